"""The largest amounts that columns of published tables can hold."""

from decimal import Decimal

import polars as pl

from rmetrics.postgres.publish.months import added_up
from rmetrics.tables import PgTable

LIMITS = {"numeric(12,2)": Decimal(10) ** 10, "numeric(18,6)": Decimal(10) ** 12}


def fitting(table: PgTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, summed if the table requires it, without those whose amounts exceed a column's limit."""
    rows = added_up(table, rows)
    return rows.filter(~pl.any_horizontal(pl.lit(value=False), *(beyond(*c) for c in amounts(table, rows).items())))


def amounts(table: PgTable, rows: pl.LazyFrame) -> dict[str, Decimal]:
    """The exact columns that both table and rows have, each with its limit: the smallest amount that is too large."""
    names = rows.collect_schema().names()
    return {c.name: LIMITS[c.type] for c in table.columns if c.type in LIMITS and c.name in names}


def beyond(column: str, limit: Decimal) -> pl.Expr:
    """Whether an amount exceeds its column's limit; false for null."""
    return (pl.col(column).abs() >= limit).fill_null(value=False)
