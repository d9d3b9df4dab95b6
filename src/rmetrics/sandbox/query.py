"""Views of the lake's results, and a single SELECT over them."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from rmetrics.errors import RmetricsError, SettingsError
from rmetrics.sandbox.connection import file_name, only_select, sandbox, translated
from rmetrics.sandbox.given import create_given
from rmetrics.sandbox.quoting import ident, text

T = TypeVar("T")
_RANK, _EXPORT = "_file", "_export"
_NO_VIEWS: Mapping[str, tuple[str, str]] = {}
_SPILL_LIMIT = "5GB"  # keeps an accidental cross join from filling the disk


@dataclass(frozen=True, slots=True)
class LakeView:
    """A table of the lake as a view.

    Attributes:
        name: of the view.
        paths: its Parquet files; at least one.
        hidden: columns for internal use.
    """

    name: str
    paths: Sequence[Path]
    hidden: tuple[str, ...] = ()


@contextmanager
def lake_views(
    views: Sequence[LakeView],
    exports: Mapping[int, str],
    *,
    temp: Path,
    memory_limit: str,
    more: Mapping[str, tuple[str, str]] = _NO_VIEWS,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a sandbox with one view per table; rows from exports name theirs in ``_export``, next to ``_line``.

    Args:
        views: the tables.
        exports: the exports' names by rank.
        temp: folder for spilled data.
        memory_limit: of DuckDB, for instance ``2GB``.
        more: views on views: the view that each reads, and its SELECT.

    Raises:
        LakeError: a file cannot be read.
    """
    files = [path for view in views for path in view.paths]
    connection = sandbox(files, temp=temp, memory_limit=memory_limit, spill_limit=_SPILL_LIMIT)
    try:
        connection.execute("CREATE SCHEMA _work")
        create_given(connection, "_work.exports", {"rank": "UINTEGER", "name": "VARCHAR"}, exports.items())
        for view in views:
            connection.execute(f"CREATE VIEW {ident(view.name)} AS {_select(connection, view)}")
        for name, (_, select_of) in more.items():
            connection.execute(f"CREATE VIEW {ident(name)} AS {select_of}")
        yield connection
    except duckdb.Error as error:
        raise translated(error, "read the lake") from error
    finally:
        connection.close()


def _select(connection: duckdb.DuckDBPyConnection, view: LakeView) -> str:
    parquet = f"read_parquet([{', '.join(text(file_name(p)) for p in view.paths)}])"
    columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {parquet}").fetchall()]
    shown = ", ".join(f"r.{ident(n)}" for n in columns if n not in {*view.hidden, _RANK})
    if _RANK not in columns:
        return f"SELECT {shown} FROM {parquet} r"
    return f"SELECT {shown}, e.name AS {_EXPORT} FROM {parquet} r LEFT JOIN _work.exports e ON e.rank = r.{_RANK}"


def tables_named(sql: str) -> frozenset[str]:
    """The tables that a statement reads, in lower case; empty if it is not a valid statement."""
    try:
        return frozenset(name.lower() for name in duckdb.get_table_names(sql))
    except duckdb.Error:
        return frozenset()


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[tuple[str, str], ...]:
    """Starts a user's SELECT; returns its columns and their types. Fetch the rows from the connection.

    Raises:
        SettingsError: it is not exactly one SELECT, reaches beyond the views, or DuckDB cannot run it.
        LakeError: it exceeds its memory limit.
        KeyboardInterrupt: the user stopped it.
    """
    sql = sql.strip().rstrip(";").rstrip()
    if not sql:
        raise SettingsError("the statement is empty", "Give exactly one SELECT statement.")
    only_select(connection, sql)
    with query_errors():
        interruptible(connection, lambda: connection.execute(sql))
        return tuple((str(d[0]), str(d[1])) for d in connection.description or ())


def interruptible(connection: duckdb.DuckDBPyConnection, work: Callable[[], T]) -> T:
    """Runs DuckDB work that Ctrl-C stops immediately.

    On its own, DuckDB checks for signals only occasionally; and Polars, after its first query in the process, replaces
    Python's handler with its own, which does not react while DuckDB works.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with ThreadPoolExecutor(max_workers=1) as worker:
        future = worker.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            connection.interrupt()
            wait([future])
            raise


@contextmanager
def query_errors() -> Iterator[None]:
    """Translates DuckDB's errors about a user's own SQL into ours; they may quote it and its values."""
    try:
        yield
    except duckdb.Error as error:
        raise query_error(error) from error
    except RuntimeError as error:  # raised by DuckDB on Ctrl-C
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from None


def query_error(error: duckdb.Error) -> RmetricsError:
    """The error of ours for a DuckDB error about a user's own SQL."""
    if isinstance(error, duckdb.PermissionException):
        return SettingsError("the statement reaches beyond the lake's views", "Read from the tables and views only.")
    if isinstance(error, duckdb.OutOfMemoryException):
        return translated(error, "run the statement")
    lines = [line for line in str(error).splitlines() if line.strip()]
    hint = next((line.strip() for line in lines if line.strip().startswith(("Candidate", "Did you mean"))), "")
    return SettingsError(lines[0], hint or "See the views and their columns: rmetrics sql")


def batches(connection: duckdb.DuckDBPyConnection, *, size: int = 50_000) -> Any:
    """The result of the started statement as an Arrow reader, with a bounded number of rows in memory."""
    with query_errors():
        return interruptible(connection, lambda: connection.to_arrow_reader(size))


def rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """Yields the rows of the started statement."""
    reader = iter(batches(connection))
    while True:
        with query_errors():
            batch = interruptible(connection, lambda: next(reader, None))
        if batch is None:
            return
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
