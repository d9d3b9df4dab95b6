"""The second engine's count of days between customers' jobs, compared with the first: of all jobs, or of some."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import polars as pl

from rmetrics.checks.compare import Mismatch
from rmetrics.checks.feeds import TypedInput, create_feeds
from rmetrics.checks.jobs import create_jobs
from rmetrics.checks.returns import create_returns
from rmetrics.checks.returns_compare import compare_returns
from rmetrics.lake import Lake, writing
from rmetrics.pipeline.compute.names import RETURNS
from rmetrics.pipeline.compute.returns import same_customers
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.positions import POSITION
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.sandbox.connection import sandbox


@contextlib.contextmanager
def return_file(lake: Lake, rows: Rows) -> Iterator[Path | None]:
    """Yields a file of the first engine's returns; None if the rules declare none."""
    if not rows.rules.returns:
        yield None
        return
    rows.snapshot.verify(RETURNS)
    with _folder(lake) as folder:
        yield _file(folder / "returns.parquet", rows.snapshot.scan(RETURNS))


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
    inputs = same_customers(rows, [rows.at(JOBS, looked).collect()])
    frames = {JOBS: rows.newest_at(JOBS, inputs).collect()}
    link = rules.feeds[PAYMENTS].job
    if link is not None:
        called = pl.concat([frames[JOBS].select(pl.col(c).alias("name")) for c in link.match]).drop_nulls()["name"]
        paid = rows.newest(PAYMENTS).filter(pl.col(link.column).is_in(called.implode()))
        frames[PAYMENTS] = paid.collect(engine="streaming")
    with _folder(lake) as folder:
        files = {n: _file(folder / f"{n}.parquet", f.lazy()) for n, f in frames.items()}
        inside = pl.col(POSITION).is_in(looked.implode())
        given = _file(folder / "returns.parquet", rows.snapshot.scan(RETURNS).filter(inside))
        only = _file(folder / "looked.parquet", looked.to_frame(POSITION).lazy())
        connection = sandbox([*files.values(), given, only], temp=lake.root / "duckdb", memory_limit=memory_limit)
        try:
            _count(connection, rows, files, names)
            return compare_returns(connection, rules, given, only)
        finally:
            connection.close()


def _count(
    connection: duckdb.DuckDBPyConnection, rows: Rows, files: Mapping[str, Path], names: Mapping[str, str]
) -> None:
    inputs = {n: [TypedInput(path, tuple(rows.rules.feeds[n].mapped), None)] for n, path in files.items()}
    connection.execute("CREATE SCHEMA _work")
    create_feeds(connection, inputs, rows.rules)
    create_jobs(connection, rows.rules, names)
    create_returns(connection, rows.rules)


@contextlib.contextmanager
def _folder(lake: Lake) -> Iterator[Path]:
    lake.folder(lake.root / "duckdb")
    with tempfile.TemporaryDirectory(prefix="returns-", dir=lake.root / "duckdb") as folder:
        yield Path(folder)


def _file(path: Path, rows: pl.LazyFrame) -> Path:
    with writing(path):
        rows.sink_parquet(path, compression="lz4")
    return path


__all__ = ["check_reached_returns", "return_file"]
