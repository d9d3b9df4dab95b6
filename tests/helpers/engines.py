"""The answers of both engines to an expression, for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from rmetrics.rules.expressions import duckdb_form, polars_form
from rmetrics.rules.expressions.typed import Value
from rmetrics.sandbox.connection import file_name, sandbox
from rmetrics.sandbox.quoting import text as quoted


def values_of(typed: list[Value], rows: pl.DataFrame, folder: Path) -> list[tuple[list[object], list[object]]]:
    """What Polars and DuckDB give for each typed expression, as lists of values of one type."""
    with both_engines(rows, folder) as asked:
        return [asked(value) for value in typed]


@contextmanager
def both_engines(rows: pl.DataFrame, folder: Path) -> Iterator[Callable[[Value], tuple[list[object], list[object]]]]:
    """Answers of Polars and DuckDB to typed expressions over some rows, for the length of a ``with`` block."""
    file = folder / "rows.parquet"
    rows.with_row_index("_i").write_parquet(file)
    connection = sandbox([file], temp=folder / "duckdb")

    def asked(value: Value) -> tuple[list[object], list[object]]:
        first = rows.lazy().with_columns(polars_form.rendered(value).alias("_x")).collect()["_x"]
        sql = f"SELECT {duckdb_form.rendered(value)} AS x FROM read_parquet({quoted(file_name(file))}) ORDER BY _i"
        second = pl.Series("_x", connection.execute(sql).to_arrow_table().column("x"), dtype=first.dtype)
        return first.to_list(), second.to_list()

    try:
        yield asked
    finally:
        connection.close()
