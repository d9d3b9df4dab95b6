"""Tables made part by part: DuckDB cannot write everything that a join or a sum holds to disk."""

from collections.abc import Callable

import duckdb

_AT_ONCE = 1_000_000  # rows; joining what is known of them takes some 150 MB


def create_in_parts(
    connection: duckdb.DuckDBPyConnection, table: str, of: str, select: Callable[[Callable[[str], str]], str]
) -> None:
    """Creates a table from a SELECT that runs for a limited number of rows of another table at a time.

    Args:
        connection: holds the other table.
        table: SQL of the name of the table; replaced if it exists.
        of: SQL of the name of the other table, none of whose rows were deleted.
        select: SQL of the rows, from a function that returns SQL of whether a column's ``rowid`` is one of these.
    """
    row = connection.execute(f"SELECT count(*) FROM {of}").fetchone()
    for first in range(0, max(row[0] if row else 0, 1), _AT_ONCE):
        ends = f"{{0}} >= {first} AND {{0}} < {first + _AT_ONCE}"
        insert = f"INSERT INTO {table}" if first else f"CREATE OR REPLACE TABLE {table} AS"
        connection.execute(f"{insert} {select(ends.format)}")


__all__ = ["create_in_parts"]
