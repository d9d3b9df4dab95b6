"""The second engine's count of days between customers' jobs, compared with the first: of all jobs, or of some."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from rmetrics.checks.compare import Mismatch
from rmetrics.checks.feeds import create_feeds
from rmetrics.checks.jobs import create_jobs
from rmetrics.checks.returns import create_returns
from rmetrics.checks.returns_compare import compare_returns
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.names import RETURNS
from rmetrics.pipeline.compute.returns import same_customers
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.verify.second_inputs import feed_inputs, filed, paths_of, payments_naming, stage
from rmetrics.positions import POSITION
from rmetrics.rules.names import JOBS
from rmetrics.sandbox.connection import sandbox


@contextlib.contextmanager
def return_file(lake: Lake, rows: Rows) -> Iterator[Path | None]:
    """Yields a file of the first engine's returns; None if the rules declare none."""
    if not rows.rules.returns:
        yield None
        return
    rows.snapshot.verify(RETURNS)
    with stage(lake) as folder:
        yield filed(folder / "returns.parquet", rows.snapshot.scan(RETURNS))


def check_reached_returns(
    lake: Lake, rows: Rows, looked: pl.Series, names: Mapping[str, str], memory_limit: str | None
) -> list[Mismatch]:
    """Returns the mismatches between the engines among jobs whose days were recounted.

    Uses the jobs of the same customers and their payments, whatever their months.

    Args:
        lake: for temporary files.
        rows: the rows in force.
        looked: the positions of these jobs, now and before.
        names: names of undeclared sources.
        memory_limit: for DuckDB.
    """
    if not rows.rules.returns or not len(looked):
        return []
    rules = rows.rules
    jobs = rows.newest_at(JOBS, same_customers(rows, [rows.at(JOBS, looked).collect()])).collect()
    frames = {JOBS: jobs.lazy(), **payments_naming(rows, [jobs.lazy()])}
    with feed_inputs(lake, rules, frames) as inputs, stage(lake) as folder:
        inside = pl.col(POSITION).is_in(looked.implode())
        given = filed(folder / "returns.parquet", rows.snapshot.scan(RETURNS).filter(inside))
        only = filed(folder / "looked.parquet", looked.to_frame(POSITION).lazy())
        connection = sandbox([*paths_of(inputs), given, only], temp=lake.root / "duckdb", memory_limit=memory_limit)
        try:
            connection.execute("CREATE SCHEMA _work")
            create_feeds(connection, inputs, rules)
            create_jobs(connection, rules, names)
            create_returns(connection, rules)
            return compare_returns(connection, rules, given, only)
        finally:
            connection.close()


__all__ = ["check_reached_returns", "return_file"]
