"""The rows used by explanations: assembled once for any number of explained figures.

The rows of a few months are kept in memory. If any month may be asked about, the rows go to temporary files, which are
memory-mapped instead of read: they hold all years of a company.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rmetrics.explain.asked import RowOutcome
from rmetrics.explain.evidence import Frames
from rmetrics.lake import Lake, writing
from rmetrics.metrics.tallies import last_day
from rmetrics.pipeline.compute.names import FACTS, TALLIES
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.pipeline.verify.month_inputs import MonthInputs
from rmetrics.pipeline.workspace import Workspace
from rmetrics.positions import PARTS
from rmetrics.rules.names import JOBS
from rmetrics.tables import DAILY, JOURNEYS

Excluded = Mapping[str, Mapping[str, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class EvidenceRows:
    """The rows of a lake that explanations use.

    Attributes:
        frames: rows by feed, job facts, daily metrics.
        excluded: by feed and outcome, the number of rows that were not loaded, and of the lines they were made from;
            empty if all rows were loaded.
    """

    frames: Frames
    excluded: Excluded


@contextlib.contextmanager
def evidence_rows(lake: Workspace, only: MonthInputs | None) -> Iterator[EvidenceRows]:
    """Assembles the rows that explanations use.

    Args:
        lake: the lake.
        only: the positions of the rows that some months need; None: every row.

    Raises:
        LakeError: the temporary files cannot be written.
    """
    rows = lake.computed.rows
    newest = newest_day(lake.exports.values(), lake.rules)
    end = last_day(rows.snapshot.scan(TALLIES["days"]), lake.rules, newest).collect().lazy()
    names = (*lake.rules.feeds, FACTS)
    with contextlib.ExitStack() as stack:
        if only is None:
            folder = stack.enter_context(_folder(lake.lake))
            found = {name: _mapped(rows.scan(name), folder / f"{name}.arrow") for name in names}
        else:
            found = {name: _at(rows, name, only).collect().lazy() for name in names}
        facts = found.pop(FACTS)
        excluded = _excluded_rows(rows, found, facts) if only is not None else {}
        frames = Frames(found, facts, rows.scan(DAILY), end, rows.snapshot.scan(JOURNEYS))
        yield EvidenceRows(frames, excluded)


@contextlib.contextmanager
def _folder(lake: Lake) -> Iterator[Path]:
    parent = lake.root / "duckdb"  # the next run cleans up after a killed process
    lake.folder(parent)
    # Windows does not delete files while they are mapped; the next sync does.
    with tempfile.TemporaryDirectory(prefix="rows-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _mapped(rows: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    with writing(path):
        rows.sink_ipc(path, compression="uncompressed")
    return pl.scan_ipc(path)


def _at(rows: Rows, name: str, only: MonthInputs) -> pl.LazyFrame:
    return rows.facts_at(only.positions[JOBS]) if name == FACTS else rows.at(name, only.positions[name])


def _excluded_rows(computed: Rows, feeds: Mapping[str, pl.LazyFrame], facts: pl.LazyFrame) -> Excluded:
    """Counts the rows of each feed that were not loaded, by outcome.

    They belong to other months, except that jobs that do not count have no facts, and therefore no day.
    """
    sums = [pl.col(c).sum() for c in ("rows", "lines", "counted", "counted_lines")]
    days = computed.snapshot.scan(TALLIES["days"]).group_by("feed").agg(sums).collect()
    counted = {feed: numbers for feed, *numbers in days.iter_rows()}
    found = {}
    for name, frame in {**feeds, FACTS: facts}.items():
        seen, lines = frame.select(pl.len(), pl.col(PARTS).sum()).collect().row(0)
        total = counted.get(JOBS if name == FACTS else name, [0, 0, 0, 0])
        rows, of_rows = total[2:] if name == FACTS else total[:2]
        found[name] = (rows - seen, of_rows - (lines or 0))
    dated, of_dated = found.pop(FACTS)
    result = {name: {RowOutcome.OTHER_MONTH.value: left} for name, left in found.items()}
    rows, of_rows = found[JOBS]
    undated = rows - dated, of_rows - of_dated
    return {**result, JOBS: {RowOutcome.OTHER_MONTH.value: (dated, of_dated), RowOutcome.NO_DATE.value: undated}}


__all__ = ["EvidenceRows", "evidence_rows"]
