"""The figures of journeys by day and source: computed, recomputed by the second engine, and published.

A touch counts on its own day and has no segment: its figures have the segment ``ALL``. Published months must be the
sums of the days.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rmetrics.checks.journeys_compare import SUMS
from rmetrics.explain.asked import Query
from rmetrics.explain.evidence import Frames
from rmetrics.metrics.journeys import COUNTED_AS
from rmetrics.pipeline.compute.journeys import lead_feeds, tied
from rmetrics.pipeline.verify.journeys import followed
from rmetrics.pipeline.verify.month_inputs import own_spellings
from rmetrics.pipeline.workspace import Workspace
from rmetrics.positions import position
from rmetrics.postgres.connection import Session
from rmetrics.postgres.ddl import has_all
from rmetrics.rules.funnel import FUNNEL
from rmetrics.rules.model import ALL
from rmetrics.sandbox.connection import duckdb_errors
from rmetrics.sandbox.query import rows as fetched
from rmetrics.tables import JOURNEY_METRICS, JOURNEYS

KEY = ("date", "source", "segment")
_AMOUNTS = {"jobs": "jobs", "touch_cost": "cost", "revenue_gross": "paid", "revenue40": "revenue40"}
"""The columns of ``journeys`` summed by the measures that are not counts."""


def computed_days(journeys: pl.LazyFrame, asked: Query) -> pl.DataFrame:
    """Returns the sums of the computed journeys: date, source, segment, and a column per measure."""
    mine = journeys.filter(asked.of(pl.col("source")) & asked.on(pl.col("touch_date")))
    # Polars sums a literal once per group, not once per row, so "every touch" is counted by the group's length.
    counts = [
        (pl.len() if c == "touches" else pl.when(fits).then(1).otherwise(0).sum()).alias(c) for c, fits in COUNTED_AS
    ]
    sums = [pl.col(of).sum().alias(c) for c, of in _AMOUNTS.items()]
    found = mine.group_by(pl.col("touch_date").alias("date"), "source").agg(*counts, *sums)
    return _typed(found.with_columns(pl.lit(ALL).alias("segment"))).collect()


def computed_months(monthly: pl.LazyFrame, asked: Query) -> pl.DataFrame:
    """Returns ``journey_metrics`` as computed, for whole months, with the first of the month as date."""
    mine = monthly.filter(asked.of(pl.col("source")) & asked.within(pl.col("month")))
    found = mine.with_columns(pl.col("month").alias("date"), pl.lit(ALL).alias("segment"))
    return _typed(found).collect()


def followed_days(
    lake: Workspace,
    frames: Frames,
    source: str,
    first: dt.date,
    end: dt.date,
    limit: str,
) -> pl.DataFrame:
    """Recomputes journeys with the second engine, from every possible touch in some months and all rows tied to one.

    Args:
        lake: the lake.
        frames: its rows, at least those of the months.
        source: the only source of the touches, or ``ALL``.
        first: the first day of the months.
        end: the first day after them.
        limit: the memory limit of DuckDB.

    Returns:
        As ``computed_days``.
    """
    rules, rows = lake.rules, lake.computed.rows
    seeds = []
    for name in lead_feeds(rules):
        day = pl.col(rules.feeds[name].business_date)
        near = frames.feeds[name].filter((day >= first) & (day < end)).with_columns(position())
        seeds.append((name, near.collect()))
    names = own_spellings(rows.snapshot)
    with (
        duckdb_errors("follow leads to their jobs"),
        followed(lake.lake, rows, tied(rows, seeds), names, limit) as connection,
    ):
        connection.execute(
            f"SELECT touch_date, source, {_sums()} FROM {JOURNEYS} "
            f"WHERE $1 IN (source, '{ALL}') AND touch_date >= $2 AND touch_date < $3 GROUP BY ALL",
            [source, first, end],
        )
        return _from_text(list(fetched(connection)))


def published_days(session: Session, asked: Query) -> pl.DataFrame:
    """Returns the sums of the published journeys, as ``computed_days``; empty if none are published."""
    if not has_all(session, [JOURNEYS]):
        return _from_text([])
    first, end = asked.days
    rows = session.query(
        f"SELECT touch_date, source, {_sums('::text')} FROM {JOURNEYS} WHERE $1::text IN (source, '{ALL}') "
        "AND touch_date >= $2::text::date AND touch_date < $3::text::date GROUP BY 1, 2",
        [asked.source, first.isoformat(), end.isoformat()],
    )
    return _from_text(rows)


def published_months(session: Session, asked: Query) -> pl.DataFrame:
    """Returns ``journey_metrics`` as published, as ``computed_months``; empty if it is not published."""
    if not has_all(session, [JOURNEY_METRICS]):
        return _from_text([])
    columns = ", ".join(f"{c}::text" for c in FUNNEL)
    rows = session.query(
        f"SELECT month, source, {columns} FROM {JOURNEY_METRICS} WHERE $1::text IN (source, '{ALL}') "
        "AND month >= $2::text::date AND month < $3::text::date",
        [asked.source, asked.month.isoformat(), asked.end.isoformat()],
    )
    return _from_text(rows)


def by_month(days: pl.DataFrame) -> pl.DataFrame:
    """Sums figures of days to months, with the first of the month as date."""
    months = days.group_by(pl.col("date").dt.month_start(), "source", "segment").agg(pl.col(c).sum() for c in FUNNEL)
    return _typed(months.lazy()).collect()


def with_funnel(daily: pl.DataFrame, funnel: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Joins a column for each requested measure of journeys to daily figures; null if there is no figure.

    Args:
        daily: date, source, segment and other measures.
        funnel: one of the frames above.
        names: the name of each measure, with its column.
    """
    mine = funnel.select(*KEY, *(pl.col(column).alias(name) for name, column in names.items()))
    return daily.join(mine, on=list(KEY), how="full", coalesce=True)


def _sums(cast: str = "") -> str:
    return ", ".join(f"({SUMS[c]}){cast} AS {c}" for c in FUNNEL)


def _typed(rows: pl.LazyFrame) -> pl.LazyFrame:
    kinds = {c: pl.Decimal(18, m.decimals) if m.decimals else pl.Int64() for c, m in FUNNEL.items()}
    return rows.select(*KEY, *(pl.col(c).cast(kind) for c, kind in kinds.items()))


def _from_text(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Builds a frame from an engine's rows of date, source and every measure."""
    schema = {"date": pl.Date, "source": pl.String, "segment": pl.String, **dict.fromkeys(FUNNEL, pl.String)}
    text = [[day, source, ALL, *(str(v) for v in values)] for day, source, *values in rows]
    return _typed(pl.DataFrame(text, schema=schema, orient="row").lazy()).collect()


__all__ = [
    "by_month", "computed_days", "computed_months", "followed_days", "published_days", "published_months",
    "with_funnel",
]  # fmt: skip
