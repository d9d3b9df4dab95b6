"""The conditions of alerts once more, by the other engine: DuckDB reads the same text by a rendering of its own."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from rmetrics.rules.expressions.duckdb_form import expression
from rmetrics.rules.expressions.typing import Row
from rmetrics.sandbox.connection import duckdb_errors, sandbox

Holds = Callable[[pl.DataFrame, str, Row], list[bool]]
"""For which rows of a frame a condition is true, by the second engine."""


@contextlib.contextmanager
def second_engine() -> Iterator[Holds]:
    """Opens the engine for some conditions.

    Raises:
        LakeError: it cannot evaluate a condition.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        connection = sandbox([], temp=Path(folder), threads=1)

        def holds(rows: pl.DataFrame, condition: str, row: Row) -> list[bool]:
            with duckdb_errors("evaluate an alert"):
                connection.register("looked_at", rows.with_row_index("_row").to_arrow())
                told = connection.execute(
                    f"SELECT coalesce({expression(condition, row)}, false) FROM looked_at ORDER BY _row"
                ).fetchall()
                connection.unregister("looked_at")
            return [bool(hit) for (hit,) in told]

        try:
            yield holds
        finally:
            connection.close()


__all__ = ["Holds", "second_engine"]
