"""What a column of a published table can hold."""

from decimal import Decimal

import polars as pl

from rmetrics.postgres.publish.months import added_up
from rmetrics.tables import PgTable

_MONEY, LIMIT = "numeric(12,2)", Decimal(10) ** 10


def fitting(table: PgTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, added up where the table is, without those that it cannot hold."""
    rows = added_up(table, rows)
    return rows.filter(~pl.any_horizontal(pl.lit(value=False), *(beyond(c) for c in money(table, rows))))


def money(table: PgTable, rows: pl.LazyFrame) -> list[str]:
    """The columns of money that both a table and these rows have."""
    there = rows.collect_schema().names()
    return [c.name for c in table.columns if c.type == _MONEY and c.name in there]


def beyond(column: str) -> pl.Expr:
    """Whether an amount is larger than a column of money can hold; false where it is null."""
    return (pl.col(column).abs() >= LIMIT).fill_null(value=False)
