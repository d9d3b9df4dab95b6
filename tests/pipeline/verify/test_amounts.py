"""Sums that do not fit their columns, table by table, in rows that are given."""

from decimal import Decimal
from typing import Any

import polars as pl

from rmetrics.pipeline.verify.amounts import TooLarge, large_sums
from rmetrics.tables import PgColumn, PgTable

COLUMNS = (PgColumn("campaign", "text", not_null=True), PgColumn("spend", "numeric(12,2)", not_null=False))
LIMIT = Decimal(10) ** 10


def found(table: PgTable, rows: pl.LazyFrame) -> list[TooLarge]:
    nowhere: Any = None  # the rows of every table are given
    return list(large_sums(nowhere, [table], {table.name: rows}))


def spent(*rows: tuple[str, Decimal | None]) -> pl.LazyFrame:
    return pl.LazyFrame(list(rows), schema={"campaign": pl.String, "spend": pl.Decimal(38, 2)}, orient="row")


def test_the_first_key_and_the_number_of_sums_that_do_not_fit() -> None:
    table = PgTable("spend", ("campaign",), COLUMNS, part=None)
    rows = spent(("c", -LIMIT), ("b", LIMIT), ("a", LIMIT - Decimal("0.01")), ("d", None))
    assert found(table, rows) == [TooLarge("spend", "spend", 2, (("campaign", "b"),), LIMIT)]
    assert found(table, spent(("a", None))) == []


def test_rows_that_are_added_up_are_judged_by_their_sum() -> None:
    table = PgTable("spend", ("campaign",), COLUMNS, part=None, sums=True)
    half = LIMIT / 2
    assert [f.rows for f in found(table, spent(("a", half), ("a", half), ("b", half)))] == [1]


def test_rows_without_any_amount_fit() -> None:
    table = PgTable("spend", ("campaign",), COLUMNS, part=None)
    assert found(table, pl.LazyFrame({"campaign": ["a", "b"]})) == []
