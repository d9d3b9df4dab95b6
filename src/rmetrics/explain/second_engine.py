"""The second engine's answer to the question of an explanation."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.checks.recompute import TypedInput, recompute
from rmetrics.errors import LakeError
from rmetrics.lake.snapshot import load
from rmetrics.pipeline.asked import MonthRange, months_named
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.pipeline.verify.journeys import journey_files
from rmetrics.pipeline.verify.month_inputs import MAX_SHARE, MonthInputs, of_months
from rmetrics.pipeline.workspace import Workspace
from rmetrics.rules.measure_tables import JOURNEYS
from rmetrics.rules.measures import sums
from rmetrics.sandbox.connection import duckdb_errors, sandbox
from rmetrics.tables import MONTHLY


@contextlib.contextmanager
def needed_inputs(lake: Workspace, asked: MonthRange) -> Iterator[MonthInputs | None]:
    """Yields the inputs needed for the requested months; None if they are so many that all inputs are used."""
    known = known_months(lake)
    first, last = months_named(asked, known)
    wanted = frozenset(m for m in known if first <= m <= last)
    if len(wanted) > max(1, MAX_SHARE * len(known)):
        yield None
    else:
        with of_months(lake.lake, lake.computed.rows, wanted) as part:
            yield part


def known_months(lake: Workspace) -> frozenset[dt.date]:
    """Returns the months with figures.

    Raises:
        LakeError: no month has any figures.
    """
    months = load(lake.lake).scan(MONTHLY).select(pl.col("month").unique()).collect()["month"].to_list()
    if not months:
        raise LakeError("no row of the data counts in any month", "Run `rmetrics check`, then sync again.")
    return frozenset(months)


@contextlib.contextmanager
def touch_file(lake: Workspace) -> Iterator[Path | None]:
    """Yields a file of all touches if a measure needs them, else None."""
    if all(m.latest.of != JOURNEYS for m in sums(lake.rules).values()):
        yield None
        return
    with journey_files(lake.lake, lake.computed.rows) as files:
        yield files.every


def recomputed(lake: Workspace, part: MonthInputs | None, memory_limit: str | None, touches: Path | None) -> Any:
    """Returns a connection in which everything, or what the months need, was recomputed."""
    typed: Mapping[str, Sequence[TypedInput]] = part.inputs if part else lake.typed
    known = [p for p in ((part.scope.daily, part.scope.members) if part else ()) if p]
    known += [touches] if touches else []
    files = [*(i.path for inputs in typed.values() for i in inputs), *known]
    with duckdb_errors("recompute the metrics"):
        connection = sandbox(files, temp=lake.lake.root / "duckdb", memory_limit=memory_limit)
        try:
            recompute(
                connection,
                typed,
                lake.rules,
                part.scope if part else None,
                newest_day(lake.exports.values(), lake.rules),
                journeys=touches,
            )
        except BaseException:
            connection.close()
            raise
    return connection
