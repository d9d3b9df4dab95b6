"""Tallies: small tables of the sums that rows add to each day, from which every figure is computed.

A tally is nothing but a sum over rows. So tallies of disjoint subsets of the rows add up, over exports, buckets and
months; and a change of rows is a change of sums: those of the new versions less those of the old ones (``added``,
``negative``). Facts that are not sums, such as a fee's first month or the data's last day, are derived from the
tallies, which are small however long the history is.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import polars as pl

from rmetrics.metrics.costs import feed_costs, spend_feeds
from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE, SEGMENT, SOURCE, placing_day
from rmetrics.metrics.leads import feed_leads
from rmetrics.metrics.measures import MeasureSums, amount, nothing
from rmetrics.metrics.revenue import revenue_rows
from rmetrics.positions import COUNTED, PARTS
from rmetrics.rules.measures import SHIPPED, measure_row
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS, TARGETS


@dataclass(frozen=True, slots=True)
class Tallies:
    """The sums of some or all rows; all are Int64.

    Attributes:
        activity: per (date, source, segment): jobs, units, repairs; the date is null for jobs without one.
        revenue: per (date, source, segment, known): payments, gross_cents, revenue40_micros; ``known`` is true if the
            job is in the data; the date is null if neither the job nor the payment has one.
        leads: per (date, source, segment): leads counted in the rows of feeds.
        spent: per (date, source, span, cost): cost_cents of costs that are sums over a feed (``costs.feed_costs``).
        days: per (feed, date): rows, and lines (of exports that make them up); counted and counted_lines, the same for
            rows that count. A job's date is its metric date.
        measures: per (date, source, segment, measure): amount of own measures (``measures.MeasureSums``).
        members: per (date, dimension, member, measure): amount; the date is the first of the month.
    """

    activity: pl.LazyFrame
    revenue: pl.LazyFrame
    leads: pl.LazyFrame
    spent: pl.LazyFrame
    days: pl.LazyFrame
    measures: pl.LazyFrame
    members: pl.LazyFrame


SUMS: Mapping[str, tuple[str, ...]] = {
    "activity": ("jobs", "units", "repairs"),
    "revenue": ("payments", "gross_cents", "revenue40_micros"),
    "leads": ("leads",),
    "spent": ("cost_cents",),
    "days": ("rows", "lines", "counted", "counted_lines"),
    "measures": ("amount",),
    "members": ("amount",),
}
"""The columns of each tally that are sums; the others are its key."""

NAMES = tuple(f.name for f in fields(Tallies))


def tally(
    facts: pl.LazyFrame,
    feeds: Mapping[str, pl.LazyFrame],
    paid: pl.LazyFrame,
    rules: Rules,
    own: MeasureSums | None = None,
) -> Tallies:
    """Returns the tallies of some rows.

    Args:
        facts: job facts.
        feeds: rows by feed name, of the feeds that have some.
        paid: ``revenue`` of the payments, whose jobs need not be those of ``facts``.
        rules: all rules.
        own: amounts that these rows add to own measures and members (``measures.measure_sums``); None for nothing.
    """
    own = nothing() if own is None else own
    return Tallies(
        activity=activity(facts, rules),
        revenue=paid,
        leads=feed_leads(feeds, rules),
        spent=feed_costs(feeds, rules),
        days=days(feeds, rules),
        measures=own.daily,
        members=own.members,
    )


def activity(facts: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns jobs, units and repairs as declared; see ``Tallies``."""
    row = measure_row(rules, JOBS)
    amounts = [amount(SHIPPED[n], row, rules).alias(n) for n in SUMS["activity"]]
    placed = facts.select(pl.col(METRIC_DATE).alias("date"), SOURCE, SEGMENT, *amounts)
    return placed.group_by("date", SOURCE, SEGMENT).agg(pl.col(n).sum() for n in SUMS["activity"])


def revenue(payments: pl.LazyFrame, facts: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the sums of payments; see ``Tallies``.

    Args:
        payments: one row per payment, linked to jobs.
        facts: the facts of all jobs that these payments are linked to.
        rules: revenue.
    """
    return (
        revenue_rows(payments, facts, rules)
        .with_columns(pl.col(JOB_ID).is_not_null().alias("known"))
        .group_by("date", SOURCE, SEGMENT, "known")
        .agg(
            pl.len().cast(pl.Int64).alias("payments"),
            pl.col("gross_cents").sum(),
            pl.col("revenue40_micros").sum(),
        )
    )


def days(feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """Returns the number of rows of each day; see ``Tallies``."""
    schema = {"feed": pl.String(), "date": pl.Date(), **dict.fromkeys(SUMS["days"], pl.Int64())}
    found = [pl.LazyFrame(schema=schema)]
    for name, rows in feeds.items():
        lines = pl.col(PARTS).cast(pl.Int64)
        found.append(
            rows.select(placing_day(rules, name).alias("date"), pl.col(COUNTED), lines.alias("_lines"))
            .group_by("date")
            .agg(
                pl.len().cast(pl.Int64).alias("rows"),
                pl.col("_lines").sum().alias("lines"),
                pl.col(COUNTED).sum().cast(pl.Int64).alias("counted"),
                pl.col("_lines").filter(pl.col(COUNTED)).sum().alias("counted_lines"),
            )
            .select(pl.lit(name).alias("feed"), "date", *SUMS["days"])
        )
    return pl.concat(found)


def added(name: str, tallies: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """Adds up several tallies of one name; drops keys whose sums are all 0."""
    sums = SUMS[name]
    columns = tallies[0].collect_schema().names()
    key = [c for c in columns if c not in sums]
    together = pl.concat([t.select(columns) for t in tallies]).group_by(key).agg(pl.col(c).sum() for c in sums)
    return together.filter(pl.any_horizontal(pl.col(c) != 0 for c in sums)).select(columns)


def negative(name: str, tally: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the tally with all sums negated, for subtraction."""
    return tally.with_columns(-pl.col(c) for c in SUMS[name])


def last_day(days: pl.LazyFrame, rules: Rules, newest: dt.date | None = None) -> pl.LazyFrame:
    """Returns the data's last day: the latest business date of counting rows of any dated feed but spend and targets.

    Args:
        days: ``Tallies.days``.
        rules: which feeds hold spend.
        newest: the day of the newest export, which caps the last day despite any rows planned beyond it.

    Returns:
        One row: last_day, null without rows.
    """
    reached = days.filter((pl.col("counted") > 0) & ~pl.col("feed").is_in(sorted({TARGETS, *spend_feeds(rules)})))
    greatest = pl.col("date").max()
    capped = greatest if newest is None else pl.min_horizontal(greatest, pl.lit(newest))
    return reached.select(pl.when(greatest.is_not_null()).then(capped).alias("last_day"))


__all__ = ["NAMES", "SUMS", "Tallies", "activity", "added", "days", "last_day", "negative", "revenue", "tally"]
