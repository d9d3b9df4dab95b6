"""All measures together: per day, and per month as the sum of its days."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from rmetrics.metrics.costs import daily_costs
from rmetrics.metrics.leads import KEY, daily_leads
from rmetrics.metrics.tallies import Tallies, last_day, revenue, tally
from rmetrics.money import dollars, from_micros
from rmetrics.periods import local_noon
from rmetrics.rules.model import Rules
from rmetrics.rules.names import PAYMENTS

COUNTS = ("jobs", "leads", "units", "repairs")
_INSIDE = (*COUNTS, "gross_cents", "revenue40_micros", "cost_cents")
MEASURES = (*COUNTS, "revenue_gross", "revenue40", "cost")


def daily_metrics(facts: pl.LazyFrame, feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """Returns all measures per business day, source and segment, of all rows at once.

    Args:
        facts: job facts, one row per job_id.
        feeds: rows by feed name; payments linked to jobs.
        rules: all rules.

    Returns:
        See ``daily_of``.
    """
    return daily_of(tally(facts, feeds, revenue(feeds[PAYMENTS], facts, rules), rules), rules)


def daily_of(tallies: Tallies, rules: Rules, newest: dt.date | None = None) -> pl.LazyFrame:
    """Returns all measures per business day, source and segment.

    Args:
        tallies: of all rows.
        rules: all rules.
        newest: the day of the newest export; None for no limit on the data's last day.

    Returns:
        One row per (date, source, segment) with any measure not 0, sorted: time (local noon, UTC), jobs, leads, units,
        repairs (Int64), revenue_gross, cost (dollars), revenue40 (dollars, six decimals).

    Source: the design, section 3.
    """
    dated = pl.col("date").is_not_null()
    jobs = tallies.activity.filter(dated).select(*KEY, "jobs", "units", "repairs")
    leads = daily_leads(jobs, tallies.leads, rules)
    revenue = tallies.revenue.filter(dated).select(*KEY, "gross_cents", "revenue40_micros")
    costs = daily_costs(jobs, leads, tallies.spent, last_day(tallies.days, rules, newest), rules)
    every = pl.concat([jobs, leads, revenue, costs], how="diagonal")
    return _measured(every, "date", rules.business.timezone)


def monthly_metrics(daily: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the sum of each month's days.

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
