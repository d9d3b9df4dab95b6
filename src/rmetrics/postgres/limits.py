"""What a column of a published table can hold."""

from decimal import Decimal

import polars as pl

from rmetrics.postgres.publish.months import added_up
from rmetrics.tables import PgTable

LIMITS = {"numeric(12,2)": Decimal(10) ** 10, "numeric(18,6)": Decimal(10) ** 12}


def fitting(table: PgTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, added up where the table is, without those that it cannot hold."""
    rows = added_up(table, rows)
    return rows.filter(~pl.any_horizontal(pl.lit(value=False), *(beyond(*c) for c in amounts(table, rows).items())))


def amounts(table: PgTable, rows: pl.LazyFrame) -> dict[str, Decimal]:
    """The exact columns that both a table and these rows have, with the amount from which on they hold no more."""
    there = rows.collect_schema().names()
    return {c.name: LIMITS[c.type] for c in table.columns if c.type in LIMITS and c.name in there}


def beyond(column: str, limit: Decimal) -> pl.Expr:
    """Whether an amount is larger than its column can hold; false where it is null."""
    return (pl.col(column).abs() >= limit).fill_null(value=False)
