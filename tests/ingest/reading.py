"""Reading one file the way a sync does, up to its typed rows."""

import datetime as dt
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from rmetrics.ingest.read import RefusedError, open_export
from rmetrics.ingest.recognise import column_headers
from rmetrics.ingest.sniff import blocks
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.ingest.typing import type_batches
from rmetrics.pipeline.landing.placement import chosen
from rmetrics.rules import Rules, load_rules

ROOT = Path(__file__).resolve().parents[2]
EXPORTED = dt.date(2026, 1, 20)


@dataclass
class Outcome:
    """What became of one file."""

    feed: str | None = None
    columns: tuple[str, ...] = ()
    read: int = 0
    accepted: pl.DataFrame = field(default_factory=pl.DataFrame)
    rejected: list[tuple[int, str | None, str | None, str]] = field(default_factory=list)
    totals: int = 0
    refused: str = ""
    notes: tuple[str, ...] = ()

    def values(self, column: str) -> list[str | None]:
        """The accepted values of a column as text."""
        return [None if v is None else str(v) for v in self.accepted[column].to_list()]


@functools.cache
def shipped_rules() -> Rules:
    """The rules every project starts with."""
    return load_rules(ROOT / "rules")


def read(path: Path, name: str = "", rules: Rules | None = None, exported: dt.date = EXPORTED) -> Outcome:
    """Reads a file: which feed, which rows, what was rejected; or why it was refused."""
    rules = rules or shipped_rules()
    try:
        export = open_export(path, name or path.name, rules.feeds)
        fit, why = chosen(export.fits, export.layout.headers, rules.feeds)
        if fit is None:
            return Outcome(refused=why)
        layout, frames = export.layout, []
        columns = tuple(column_headers(layout.headers, rules.feeds[fit.feed]))
        outcome = Outcome(feed=fit.feed, columns=columns, notes=layout.notes)

        def counted() -> Iterator[pl.DataFrame]:
            for batch in export.batches(blocks(path)):
                outcome.read += batch.height
                yield batch

        reading = ParseContext(rules.business.timezone, exported)
        for typed in type_batches(counted(), rules.feeds[fit.feed], layout.headers, layout.preamble, reading):
            frames.append(typed.rows)
            outcome.rejected += typed.rejected.rows()
            outcome.totals += typed.totals
    except RefusedError as error:
        return Outcome(refused=str(error))
    if outcome.read == 0:
        return Outcome(feed=fit.feed, refused="has a header but no rows; export it again")
    outcome.accepted = pl.concat(frames)
    assert outcome.read == outcome.accepted.height + len(outcome.rejected) + outcome.totals
    return outcome
