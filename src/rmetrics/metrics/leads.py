"""Leads per business day, source and segment, by each source's own rule."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from rmetrics.positions import COUNTED
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.model import FeedLeads, Rules
from rmetrics.rules.rows import feed_row

KEY = {"date": pl.Date(), "source": pl.String(), "segment": pl.String()}


def between(day: pl.Expr, start: dt.date | None, end: dt.date | None) -> pl.Expr:
    """True if a day is in ``[start, end)``; None leaves an end open."""
    inside = day.is_not_null()
    if start is not None:
        inside &= day >= pl.lit(start)
    if end is not None:
        inside &= day < pl.lit(end)
    return inside


def counting(feeds: Mapping[str, pl.LazyFrame], rules: Rules, name: str, where: str | None) -> pl.LazyFrame:
    """Returns the rows of a feed that count and meet ``where``, with their business day as ``_day``."""
    rows = feeds[name].filter(pl.col(COUNTED))
    if where is not None:
        rows = rows.filter(is_true(where, feed_row(rules.feeds[name], rules.business.timezone)))
    return rows.with_columns(pl.col(rules.feeds[name].business_date).alias("_day"))


def feed_leads(feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """Returns leads that are rows of a feed.

    Args:
        feeds: rows by feed name (``newest.feed_rows``), of the feeds whose leads are wanted.
        rules: sources; dated changes apply by the date of the row counted.

    Returns:
        One row per (date, source, segment): leads (Int64) > 0, in the source's own segment.
    """
    schema = {**KEY, "leads": pl.Int64()}
    parts = [pl.LazyFrame(schema=schema)]
    for name, dated in rules.sources.items():
        for start, end, source in dated.spans():
            if isinstance(source.leads, FeedLeads) and source.leads.feed in feeds:
                rows = counting(feeds, rules, source.leads.feed, source.leads.where)
                parts.append(
                    rows.filter(between(pl.col("_day"), start, end))
                    .group_by(pl.col("_day").alias("date"))
                    .agg(pl.len().cast(pl.Int64).alias("leads"))
                    .select(
                        "date",
                        pl.lit(name).alias("source"),
                        pl.lit(source.segment).alias("segment"),
                        "leads",
                    )
                )
    return pl.concat(parts)


def daily_leads(activity: pl.LazyFrame, counted: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns leads per business day, source and segment.

    Args:
        activity: jobs, units, repairs per (date, source, segment).
        counted: leads that are rows of a feed (``feed_leads``).
        rules: sources; dated changes apply by the date of the job counted.

    Returns:
        One row per (date, source, segment): leads (Int64) > 0. Leads by jobs, units or repairs take the job's segment;
        rows of a feed take the source's. Empty, with the same columns, if nothing counts.

    Source: the design, section 3: Leads.
    """
    parts = [counted.select(*KEY, "leads")]
    for name, dated in rules.sources.items():
        for start, end, source in dated.spans():
            if not isinstance(source.leads, FeedLeads):
                mine = (pl.col("source") == name) & between(pl.col("date"), start, end)
                parts.append(activity.filter(mine).select(*KEY, pl.col(source.leads).alias("leads")))
    return pl.concat(parts).group_by(*KEY).agg(pl.col("leads").sum()).filter(pl.col("leads") > 0)
