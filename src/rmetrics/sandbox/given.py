"""Small tables of in-memory values, for a connection that may read only its files."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence

import duckdb


def create_given(
    connection: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: Iterable[Sequence[object]]
) -> None:
    """Creates and fills a table.

    Args:
        connection: to create it in.
        table: its name, quoted.
        types: DuckDB's type of each column.
        rows: text without NUL characters, whole numbers, dates, None.
    """
    # As JSON: binding lists costs half a millisecond per export, and there may be thousands of them.
    values = json.dumps([dict(zip(types, row, strict=True)) for row in rows], default=dt.date.isoformat)
    connection.execute(
        f"CREATE TABLE {table} AS SELECT unnest(from_json(CAST($1 AS JSON), $2), recursive := true)",
        [values, json.dumps([dict(types)])],
    )


__all__ = ["create_given"]
