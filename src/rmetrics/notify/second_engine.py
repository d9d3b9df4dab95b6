"""Evaluates the conditions of alerts in DuckDB, the second engine, from its own rendering of the same text."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from rmetrics.rules.expressions.duckdb_form import expression
from rmetrics.rules.expressions.typing import Row
from rmetrics.sandbox.connection import duckdb_errors, sandbox

Holds = Callable[[pl.DataFrame, str, Row], list[bool]]
"""Evaluates a condition for each row of a frame in the second engine."""


@contextlib.contextmanager
def second_engine() -> Iterator[Holds]:
    """Opens the second engine; yields a function that evaluates conditions.

    Raises:
        LakeError: a condition cannot be evaluated.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        connection = sandbox([], temp=Path(folder), threads=1)

        def holds(rows: pl.DataFrame, condition: str, row: Row) -> list[bool]:
            with duckdb_errors("evaluate an alert"):
                connection.register("looked_at", rows.with_row_index("_row").to_arrow())
                results = connection.execute(
                    f"SELECT coalesce({expression(condition, row)}, false) FROM looked_at ORDER BY _row"
                ).fetchall()
                connection.unregister("looked_at")
            return [bool(hit) for (hit,) in results]

        try:
            yield holds
        finally:
            connection.close()


__all__ = ["Holds", "second_engine"]
