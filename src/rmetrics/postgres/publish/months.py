"""Rows of published tables in the form in which they are sent, and their months in Polars and in SQL.

A table's rows are partitioned by month; ``NO_PART`` stands for rows without a date, and for all rows of a table without
months.
"""

import datetime as dt
from collections.abc import Iterable

import polars as pl

from rmetrics.periods import NO_PART, part_of
from rmetrics.postgres.connection import quoted
from rmetrics.tables import PgTable

PART = "_part"


def conformed(table: PgTable, rows: pl.LazyFrame, *, strict: bool = True) -> pl.LazyFrame:
    """The rows with exactly the table's columns and types, summed if the table requires it.

    A value that does not fit its column raises an error when the rows are collected; null if not ``strict``.
    """
    return added_up(table, rows).select(pl.col(c.name).cast(polars_type(c.type), strict=strict) for c in table.columns)


def added_up(table: PgTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row per key for a table of sums, otherwise the rows; without those that a column of the key is blank in."""
    rows = rows.drop_nulls(table.blank_keys) if table.blank_keys else rows
    if not table.sums:
        return rows
    others = [c.name for c in table.columns if c.name not in table.key]
    # The sum of nothing but nulls is 0 in Polars; here it must stay null, so that it is not published as an amount.
    rows = rows.group_by(table.key).agg(
        *(pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()).alias(n) for n in others)
    )
    return rows.filter(pl.all_horizontal(pl.col(c.name).is_not_null() for c in table.columns if c.not_null))


def month_of(table: PgTable) -> pl.Expr:
    """The part that a row belongs to."""
    return pl.lit(NO_PART) if table.part is None else part_of(pl.col(table.part))


def polars_type(pg_type: str) -> pl.DataType:
    """The Polars type whose Arrow form ADBC's COPY stores unchanged in a column of this PostgreSQL type."""
    if pg_type.startswith("numeric("):
        precision, scale = (int(p) for p in pg_type[8:-1].split(","))
        return pl.Decimal(precision, scale)
    return {
        "character varying": pl.String(),
        "text": pl.String(),
        "date": pl.Date(),
        "timestamp with time zone": pl.Datetime("us", "UTC"),
        "integer": pl.Int32(),
        "bigint": pl.Int64(),
        "boolean": pl.Boolean(),
    }[pg_type]


def within(table: PgTable, alias: str, months: Iterable[dt.date]) -> str:
    """The SQL condition for rows of some months, as date ranges that can use an index."""
    wanted = sorted(set(months))
    if table.part is None:
        return "true" if NO_PART in wanted else "false"
    column = f"{alias}.{quoted(table.part)}"
    numbers = [m.year * 12 + m.month - 1 for m in wanted]
    firsts = [n for n in numbers if n - 1 not in numbers]
    lasts = [n for n in numbers if n + 1 not in numbers]
    found = [
        f"{column} >= {_first_day(first)} AND {column} < {_first_day(last + 1)}"
        for first, last in zip(firsts, lasts, strict=True)
    ]
    if NO_PART in wanted:
        found.append(f"{column} IS NULL")
    return "(" + " OR ".join(found) + ")" if found else "false"


def month_in_sql(table: PgTable, alias: str) -> str:
    """The SQL expression for a row's part, equal to ``month_of``."""
    if table.part is None:
        return f"DATE '{NO_PART}'"
    return f"coalesce(date_trunc('month', {alias}.{quoted(table.part)})::date, DATE '{NO_PART}')"


def _first_day(month: int) -> str:
    return f"DATE '{month // 12:04}-{month % 12 + 1:02}-01'"  # also for the year 10000, beyond Python's dates
