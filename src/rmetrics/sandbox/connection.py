"""A DuckDB connection that can read the files it is given and nothing else.

Rules and `rmetrics sql` bring in SQL from outside, and SQL is code. The connection is in memory, without network,
extensions or other files, and its settings are locked. DuckDB's file restrictions do not cover every statement
(overwriting an allowed file, enabling a log file), so ``only_select`` checks a statement first.
"""

import contextlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import duckdb

from rmetrics.errors import LakeError, OutOfMemoryError, RmetricsError, SettingsError
from rmetrics.sandbox.quoting import text

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
# Table functions that a SELECT may call. All others either open files, run a string as SQL, or change the state of the
# process: enable_logging() passes as a SELECT and makes DuckDB 1.5 abort the whole process.
_TABLE_FUNCTIONS = frozenset({
    "range", "generate_series", "unnest", "repeat", "read_parquet", "parquet_scan", "parquet_schema",
    "parquet_metadata", "parquet_file_metadata", "duckdb_columns", "duckdb_functions", "duckdb_keywords",
    "duckdb_settings", "duckdb_tables", "duckdb_types", "duckdb_views", "pragma_table_info", "pragma_version",
    "json_each", "json_tree", "pg_timezone_names", "icu_calendar_names",
})  # fmt: skip
_REFUSED_FUNCTIONS = frozenset({"write_log", "getenv", "sleep_ms", "nextval", "currval", "query", "query_table"})


_opened = ContextVar["Opened | None"]("opened", default=None)


def file_name(path: Path) -> str:
    """A path in the spelling that SQL and the list of allowed files must share."""
    return str(path.resolve())


def sandbox(
    files: Sequence[Path],
    *,
    temp: Path,
    memory_limit: str | None = None,
    threads: int | None = None,
    spill_limit: str | None = None,
) -> duckdb.DuckDBPyConnection:
    """Returns an in-memory connection that may read exactly these files.

    Args:
        files: Parquet files; globs and folders are not allowed.
        temp: folder for spilled data, which is customers' data: a private subfolder is created and removed with the
            connection.
        memory_limit: for instance ``2GB``; None keeps DuckDB's default.
        threads: None uses all cores.
        spill_limit: maximum size of spilled data, for instance ``5GB``; None keeps DuckDB's default.

    Raises:
        SettingsError: DuckDB does not understand a limit.
        LakeError: the folder for spilled data cannot be created.
    """
    try:
        temp.mkdir(mode=0o700, parents=True, exist_ok=True)
        spill = Path(tempfile.mkdtemp(prefix="duckdb-", dir=temp.resolve()))
    except OSError as error:
        raise LakeError(
            f"cannot create a folder in {temp}: {error.strerror or error}",
            "Check the disk's free space and permissions.",
        ) from error
    connection = duckdb.connect(config=_CONFIG)
    if opened := _opened.get():
        opened.add(connection)
    weakref.finalize(connection, shutil.rmtree, spill, ignore_errors=True)
    try:
        if memory_limit is not None:
            connection.execute(f"SET memory_limit = {text(memory_limit)}")
        if threads is not None:
            connection.execute(f"SET threads = {int(threads)}")
        if spill_limit is not None:
            connection.execute(f"SET max_temp_directory_size = {text(spill_limit)}")
    except duckdb.Error as error:
        raise SettingsError(
            f"DuckDB cannot work with the memory limit {memory_limit!r} and {threads} threads",
            "Use a limit such as 2GB and at least one thread.",
        ) from error
    allowed = ", ".join(text(file_name(f)) for f in files)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = {text(str(spill))}")
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")  # last: nothing can be set afterwards
    return connection


class Opened:
    """The connections that one piece of work opens, so that another thread can end the work."""

    def __init__(self) -> None:
        self._connections = weakref.WeakSet[duckdb.DuckDBPyConnection]()

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Notes every sandbox that this thread opens inside the block."""
        before = _opened.set(self)
        try:
            yield
        finally:
            _opened.reset(before)

    def add(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Notes a connection for as long as it exists."""
        self._connections.add(connection)

    def interrupt(self) -> None:
        """Ends what DuckDB is doing in these connections; it fails with an error."""
        for connection in list(self._connections):
            with contextlib.suppress(duckdb.Error):  # closed meanwhile
                connection.interrupt()


def only_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Accepts only a statement that reads.

    Raises:
        SettingsError: it is not exactly one SELECT, or it calls a function that does more than read.
    """
    hint = "Give exactly one SELECT statement."
    if "\x00" in sql:
        raise SettingsError("the statement contains a NUL character", hint)
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise SettingsError(f"not an SQL statement: {str(error).splitlines()[0]}", hint) from error
    if len(statements) != 1:
        raise SettingsError(f"found {len(statements)} statements", hint)
    if statements[0].type != duckdb.StatementType.SELECT:
        raise SettingsError(f"found a statement of type {statements[0].type.name}", hint)
    row = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    if tree.get("error"):  # PRAGMA passes as a SELECT but has no tree
        raise SettingsError("the statement is not a plain SELECT", hint)
    for table_function, name in _functions(tree):
        if name in _REFUSED_FUNCTIONS or (table_function and name not in _TABLE_FUNCTIONS):
            raise SettingsError(f"the function {name}() is not allowed here", "Read from the tables and views only.")


def _functions(node: Any, *, in_from: bool = False) -> Iterator[tuple[bool, str]]:
    """Yields every function call: whether it is a table function, and its name in lower case."""
    if isinstance(node, list):
        for child in node:
            yield from _functions(child, in_from=in_from)
    elif isinstance(node, dict):
        if "function_name" in node:
            yield in_from, str(node["function_name"]).lower()
        for key, child in node.items():
            called = node.get("type") == "TABLE_FUNCTION" and key == "function"
            yield from _functions(child, in_from=called)


@contextlib.contextmanager
def duckdb_errors(doing: str) -> Iterator[None]:
    """Translates DuckDB's errors into ours; keeps only messages about files, because others may quote customers' data.

    Args:
        doing: the failed action, for the message: "DuckDB could not ...".
    """
    try:
        yield
    except duckdb.Error as error:
        raise translated(error, doing) from error


def translated(error: duckdb.Error, doing: str) -> RmetricsError:
    """The error of ours for a DuckDB error."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return OutOfMemoryError(
            f"DuckDB could not {doing}: it ran out of memory or of space for temporary files",
            "Free disk space under the data folder, close other programs, or allow more: RMETRICS_MEMORY_LIMIT.",
        )
    if isinstance(error, (duckdb.IOException, duckdb.PermissionException, duckdb.HTTPException)):
        return LakeError(
            f"DuckDB could not {doing}: {str(error).splitlines()[0]}",
            "Delete the computed files of the lake (all but raw/) and sync again.",
        )
    return LakeError(
        f"DuckDB could not {doing} ({type(error).__name__})",
        "Delete the computed files of the lake (all but raw/) and sync again; if the error remains, please report it.",
    )
