"""All measures together: per day, and per month as the sum of its days."""

from collections.abc import Mapping

import polars as pl

from rmetrics.metrics.costs import daily_costs, spends
from rmetrics.metrics.jobs import daily_jobs
from rmetrics.metrics.leads import KEY, daily_leads
from rmetrics.metrics.newest import COUNTED
from rmetrics.metrics.revenue import daily_revenue, revenue_rows
from rmetrics.money import dollars, from_micros
from rmetrics.periods import local_noon
from rmetrics.rules.model import Rules
from rmetrics.rules.validate import JOBS, PAYMENTS, TARGETS

COUNTS = ("jobs", "leads", "units", "repairs")
_INSIDE = (*COUNTS, "gross_cents", "revenue40_micros", "cost_cents")
MEASURES = (*COUNTS, "revenue_gross", "revenue40", "cost")


def last_day(facts: pl.LazyFrame, feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """The data's last day: the greatest business date among the counting rows of any dated feed but spend and targets.

    Args:
        facts: job facts; a job's business date is its metric date.
        feeds: rows by feed name.
        rules: which feeds there are, and which of them are spend.

    Returns:
        One row: last_day, null where there are no rows.
    """
    spend = spends(rules)
    days = [facts.select(pl.col("metric_date").alias("last_day"))]
    for name, rows in feeds.items():
        if name not in {JOBS, TARGETS, *spend}:
            days.append(rows.filter(pl.col(COUNTED)).select(pl.col(rules.feeds[name].business_date).alias("last_day")))
    return pl.concat(days).select(pl.col("last_day").max())


def daily_metrics(facts: pl.LazyFrame, feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """All measures per business day, source and segment.

    Args:
        facts: job facts, one row per job_id.
        feeds: rows by feed name; payments linked to jobs.
        rules: all rules.

    Returns:
        One row per (date, source, segment) in which any measure is not 0, sorted: time (local noon, UTC), jobs, leads,
        units, repairs (Int64), revenue_gross, cost (dollars), revenue40 (dollars, six decimals).

    Source: the design, section 3.
    """
    jobs = daily_jobs(facts)
    leads = daily_leads(jobs, feeds, rules)
    revenue = daily_revenue(revenue_rows(feeds[PAYMENTS], facts, rules))
    costs = daily_costs(jobs, leads, feeds, last_day(facts, feeds, rules), rules)
    every = pl.concat([jobs, leads, revenue, costs], how="diagonal")
    return _measured(every, "date", rules.business.timezone)


def monthly_metrics(daily: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """The sum of each month's days.

    Args:
        daily: ``daily_metrics``.
        rules: for the business time zone.

    Returns:
        One row per (month, source, segment): the same measures; time is noon of the first.
    """
    amounts = {"revenue_gross": "gross_cents", "cost": "cost_cents"}
    inside = daily.with_columns(
        *((pl.col(n) * 100).cast(pl.Int64).alias(c) for n, c in amounts.items()),
        (pl.col("revenue40") * 1_000_000).cast(pl.Int64).alias("revenue40_micros"),
        pl.col("date").dt.month_start().alias("month"),
    )
    return _measured(inside, "month", rules.business.timezone)


def _measured(rows: pl.LazyFrame, period: str, zone: str) -> pl.LazyFrame:
    key = [period, *list(KEY)[1:]]
    summed = rows.group_by(key).agg(pl.col(n).sum().cast(pl.Int64) for n in _INSIDE)
    return (
        summed.filter(pl.any_horizontal(pl.col(n) != 0 for n in _INSIDE))
        .select(
            *key,
            local_noon(pl.col(period), zone).alias("time"),
            *COUNTS,
            dollars(pl.col("gross_cents")).alias("revenue_gross"),
            from_micros(pl.col("revenue40_micros")).alias("revenue40"),
            dollars(pl.col("cost_cents")).alias("cost"),
        )
        .sort(key)
    )
