"""The answers of both engines to an expression, for tests."""

from pathlib import Path

import polars as pl

from rmetrics.rules.expressions import duckdb_form, polars_form, typing
from rmetrics.rules.expressions.typed import Value
from rmetrics.rules.expressions.typing import Row
from rmetrics.sandbox.connection import file_name, sandbox
from rmetrics.sandbox.quoting import text as quoted


def answers(text: str, row: Row, rows: pl.DataFrame, folder: Path) -> tuple[list[object], list[object]]:
    """What Polars and DuckDB say of a condition for each row."""
    return values_of([typing.condition(text, row)], rows, folder)[0]


def values_of(typed: list[Value], rows: pl.DataFrame, folder: Path) -> list[tuple[list[object], list[object]]]:
    """What Polars and DuckDB give for each typed expression, as lists of values of one type."""
    file = folder / "rows.parquet"
    rows.with_row_index("_i").write_parquet(file)
    connection = sandbox([file], temp=folder / "duckdb")
    found = []
    try:
        for value in typed:
            first = rows.lazy().with_columns(polars_form.rendered(value).alias("_x")).collect()["_x"]
            sql = f"SELECT {duckdb_form.rendered(value)} AS x FROM read_parquet({quoted(file_name(file))}) ORDER BY _i"
            second = pl.Series("_x", connection.execute(sql).to_arrow_table().column("x"), dtype=first.dtype)
            found.append((first.to_list(), second.to_list()))
    finally:
        connection.close()
    return found
