"""The second engine's journeys, compared with the first's: all of them, or those that a change is tied to."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl

from rmetrics.checks.compare import CrossCheck, Mismatch
from rmetrics.checks.feeds import create_feeds
from rmetrics.checks.jobs import create_jobs
from rmetrics.checks.journeys import create_journeys
from rmetrics.checks.journeys_compare import SUMMED, JourneyFiles, compare_journeys
from rmetrics.lake import Lake
from rmetrics.metrics.touches import row_of_place
from rmetrics.pipeline.compute.journeys import lead_feeds
from rmetrics.pipeline.compute.names import MATCHES
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.verify.second_inputs import feed_inputs, filed, paths_of, payments_naming, stage
from rmetrics.positions import POSITION
from rmetrics.rules.measure_tables import JOURNEYS as MEASURED
from rmetrics.rules.measures import sums
from rmetrics.rules.names import JOBS
from rmetrics.sandbox.connection import sandbox
from rmetrics.tables import DAILY, JOURNEY_METRICS, JOURNEYS, MONTHLY


@contextlib.contextmanager
def journey_files(
    lake: Lake, rows: Rows, reached: pl.Series | None = None, months: frozenset[dt.date] | None = None
) -> Iterator[JourneyFiles]:
    """Yields files of the first engine's journeys.

    Args:
        lake: for temporary files.
        rows: the rows in force.
        reached: positions of the jobs, leads and calls whose journeys are compared row by row; None for all.
        months: of the touches to sum; None for all.
    """
    snapshot = rows.snapshot
    snapshot.verify(JOURNEYS, MATCHES, JOURNEY_METRICS)
    with stage(lake) as folder:
        journeys, matched = snapshot.scan(JOURNEYS), snapshot.scan(MATCHES)
        inside = journeys if months is None else journeys.filter(pl.col("month").is_in(sorted(months)))
        if reached is not None and all(m.latest.of != MEASURED for m in sums(rows.rules).values()):
            inside = inside.select(SUMMED)
        reached_only = every = filed(folder / "every.parquet", inside)
        if reached is not None:
            reached_only = filed(folder / "some.parquet", journeys.filter(row_of_place().is_in(reached.implode())))
            matched = matched.filter(pl.col(POSITION).is_in(reached.implode()))
        matches = filed(folder / "matches.parquet", matched)
        metrics, daily, monthly = (snapshot.path(t) for t in (JOURNEY_METRICS, DAILY, MONTHLY))
        yield JourneyFiles(reached_only, matches, every, metrics, daily, monthly, months)


def check_reached(
    lake: Lake, rows: Rows, reached: pl.Series, files: JourneyFiles, names: Mapping[str, str], memory_limit: str | None
) -> list[Mismatch]:
    """Returns the mismatches between the engines among the touches and jobs that a change is tied to.

    Args:
        lake: for temporary files.
        rows: the rows in force.
        reached: positions of these jobs, leads and calls, including every row tied to one of them.
        files: the first engine's journeys (``journey_files``).
        names: names of undeclared sources.
        memory_limit: for DuckDB.
    """
    with followed(lake, rows, reached, names, memory_limit, also=files.paths) as connection:
        return compare_journeys(connection, files, rows.rules)


@contextlib.contextmanager
def followed(
    lake: Lake,
    rows: Rows,
    reached: pl.Series,
    names: Mapping[str, str],
    memory_limit: str | None,
    *,
    also: Sequence[Path] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a connection in which the second engine has followed some leads to their jobs; see ``checks.journeys``.

    Args:
        lake: for temporary files.
        rows: the rows in force.
        reached: positions of jobs, leads and calls, including every row tied to one of them.
        names: names of undeclared sources.
        memory_limit: for DuckDB.
        also: other files that the connection may read.
    """
    feeds = dict.fromkeys([JOBS, *lead_feeds(rows.rules)])
    frames = {name: rows.newest_at(name, reached) for name in feeds}
    frames[JOBS] = frames[JOBS].collect(engine="streaming").lazy()  # read twice below
    frames |= payments_naming(rows, [frames[JOBS]])
    with feed_inputs(lake, rows.rules, frames) as inputs:
        connection = sandbox([*paths_of(inputs), *also], temp=lake.root / "duckdb", memory_limit=memory_limit)
        try:
            connection.execute("CREATE SCHEMA _work")
            create_feeds(connection, inputs, rows.rules)
            create_jobs(connection, rows.rules, names)
            create_journeys(connection, rows.rules)
            yield connection
        finally:
            connection.close()


def follow_and_compare(connection: duckdb.DuckDBPyConnection, files: JourneyFiles, rows: Rows) -> list[Mismatch]:
    """Creates journeys in a connection that has feeds and jobs, and compares them."""
    create_journeys(connection, rows.rules)
    return compare_journeys(connection, files, rows.rules)


def with_journeys(found: CrossCheck, mismatches: Sequence[Mismatch]) -> CrossCheck:
    """Adds further mismatches to a cross-check."""
    return replace(found, count=found.count + len(mismatches), mismatches=(*found.mismatches, *mismatches))


__all__ = ["check_reached", "follow_and_compare", "followed", "journey_files", "with_journeys"]
