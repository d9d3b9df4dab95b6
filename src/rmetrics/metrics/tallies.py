"""What rows add to the metrics, per day and part: small tables from which every figure is made.

A tally sums rows of one part of one table (a month of it) and nothing else, so tallies of parts can be put together,
and when rows change only the tallies of their parts are made again. What needs all of history, such as a fee's first
month or the data's last day, is asked of the tallies, which are small whatever the history.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields

import polars as pl

from rmetrics.metrics.costs import feed_costs, spends
from rmetrics.metrics.jobs import METRIC_DATE, SEGMENT, SOURCE
from rmetrics.metrics.leads import feed_leads
from rmetrics.metrics.newest import COUNTED
from rmetrics.metrics.revenue import revenue_rows
from rmetrics.periods import PART, part_of
from rmetrics.rules.model import Rules
from rmetrics.rules.validate import JOBS, PAYMENTS, TARGETS


@dataclass(frozen=True, slots=True)
class Tallies:
    """The sums of some or all parts. All counts and amounts are Int64; every table has ``part``.

    Attributes:
        activity: per (part, date, source, segment): jobs, units, repairs; the date is null for jobs without one.
        revenue: per (part, date, source, segment, known), the part being the payment's own: payments, gross_cents,
            revenue40_micros; ``known`` says whether the job is in the data; the date is null where neither has one.
        leads: per (feed, part, date, source, segment): leads counted in the rows of feeds.
        spent: per (feed, part, date, source, span, cost): cost_cents of costs that are sums over a feed (see
            ``costs.feed_costs``).
        latest: per (feed, part): latest, the greatest business day of the counting rows; of feeds that say how far the
            data reach.
    """

    activity: pl.LazyFrame
    revenue: pl.LazyFrame
    leads: pl.LazyFrame
    spent: pl.LazyFrame
    latest: pl.LazyFrame


NAMES = tuple(f.name for f in fields(Tallies))


def tally(facts: pl.LazyFrame, feeds: Mapping[str, pl.LazyFrame], paid: pl.LazyFrame, rules: Rules) -> Tallies:
    """The tallies of some rows.

    Args:
        facts: job facts.
        feeds: rows by feed name, of those feeds that have some.
        paid: ``revenue`` of the payments, whose jobs may be others than those of ``facts``.
        rules: all rules.
    """
    return Tallies(
        activity=activity(facts),
        revenue=paid,
        leads=feed_leads(feeds, rules),
        spent=feed_costs(feeds, rules),
        latest=latest(facts, feeds, rules),
    )


def activity(facts: pl.LazyFrame) -> pl.LazyFrame:
    """Jobs, units and repairs; see ``Tallies``."""
    day = pl.col(METRIC_DATE)
    return facts.group_by(part_of(day).alias(PART), day.alias("date"), SOURCE, SEGMENT).agg(
        pl.len().cast(pl.Int64).alias("jobs"),
        pl.col("is_unit").sum().cast(pl.Int64).alias("units"),
        pl.col("is_repair").sum().cast(pl.Int64).alias("repairs"),
    )


def revenue(payments: pl.LazyFrame, facts: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """What was paid; see ``Tallies``.

    Args:
        payments: one row per payment, linked to jobs.
        facts: the facts of all jobs that these payments are linked to.
        rules: revenue.
    """
    paid_on = pl.col(rules.feeds[PAYMENTS].business_date)
    return (
        revenue_rows(payments, facts, rules)
        .with_columns(part_of(paid_on).alias(PART), pl.col("job_id").is_not_null().alias("known"))
        .group_by(PART, "date", SOURCE, SEGMENT, "known")
        .agg(
            pl.len().cast(pl.Int64).alias("payments"),
            pl.col("gross_cents").sum(),
            pl.col("revenue40_micros").sum(),
        )
    )


def latest(facts: pl.LazyFrame, feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """How far the rows reach; see ``Tallies``. A job's business date is its metric date."""
    silent = {JOBS, TARGETS, *spends(rules)}
    days = [facts.select(pl.lit(JOBS).alias("feed"), pl.col(METRIC_DATE).alias("latest"))]
    for name, rows in feeds.items():
        if name not in silent:
            day = pl.col(rules.feeds[name].business_date).alias("latest")
            days.append(rows.filter(pl.col(COUNTED)).select(pl.lit(name).alias("feed"), day))
    return (
        pl.concat(days)
        .filter(pl.col("latest").is_not_null())
        .group_by("feed", part_of(pl.col("latest")).alias(PART))
        .agg(pl.col("latest").max())
    )


def last_day(reached: pl.LazyFrame, newest: dt.date | None = None) -> pl.LazyFrame:
    """The data's last day: the greatest business date among the counting rows of any dated feed but spend and targets.

    Args:
        reached: ``Tallies.latest``.
        newest: the day of the newest export, which the last day does not come after, whatever is planned beyond it.

    Returns:
        One row: last_day, null where there are no rows.
    """
    greatest = pl.col("latest").max()
    capped = greatest if newest is None else pl.min_horizontal(greatest, pl.lit(newest))
    return reached.select(pl.when(greatest.is_not_null()).then(capped).alias("last_day"))


__all__ = ["NAMES", "Tallies", "activity", "last_day", "latest", "revenue", "tally"]
