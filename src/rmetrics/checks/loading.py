"""Loading of the first engine's files as tables of the second, for comparison."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from rmetrics.errors import LakeError
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import text


def load_file(connection: duckdb.DuckDBPyConnection, name: str, file: Path, wanted: Mapping[str, str]) -> None:
    """Creates ``_given.<name>`` from a Parquet file.

    Args:
        connection: may read the file, and has the schema ``_given``.
        name: of the table.
        file: the Parquet file.
        wanted: its columns and their DuckDB types.

    Raises:
        LakeError: a column is missing or of another type.
    """
    parquet = f"read_parquet({text(file_name(file))})"
    found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {parquet}").fetchall()}
    wrong = [f"{c} is {found.get(c, 'missing')}" for c, kind in wanted.items() if found.get(c) != kind]
    if wrong:
        raise LakeError(f"{file} has the wrong columns or types: {', '.join(wrong)}", "Delete it, then sync again.")
    connection.execute(f"CREATE TABLE _given.{name} AS SELECT {', '.join(wanted)} FROM {parquet}")


__all__ = ["load_file"]
