"""Journeys: the outcome of each touch.

``journeys`` describes each touch with the jobs that came from it (``metrics.matches``); ``journey_tally`` adds them up.

Source: the design, section 7, and its notes on journeys.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.matches import STEPS, ByNumber
from rmetrics.metrics.phones import KEY
from rmetrics.metrics.revenue import revenue_rows
from rmetrics.metrics.touches import TOUCH, place
from rmetrics.money import dollars, from_micros
from rmetrics.periods import local_noon
from rmetrics.positions import POSITION
from rmetrics.rules.model import Rules

NO_JOB, NO_NUMBER, SHARED, OUTSIDE = "no-job", "no-number", "shared", "outside-window"
REASONS = (NO_JOB, NO_NUMBER, SHARED, OUTSIDE)


def revenue_of_jobs(payments: pl.LazyFrame, facts: pl.LazyFrame, matched: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the company's share of the payments for matched jobs: job_id, revenue40_micros."""
    matched_payments = payments.join(matched.select(JOB_ID), on=JOB_ID, how="semi")
    return revenue_rows(matched_payments, facts, rules).group_by(JOB_ID).agg(pl.col("revenue40_micros").sum())


def journeys(of: ByNumber, found: pl.LazyFrame, matched: pl.LazyFrame, revenue: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the outcome of each touch.

    Args:
        of: touches and jobs.
        found: ``matches.pairs`` of them.
        matched: ``matches.matches``.
        revenue: ``revenue_of_jobs``.

    Returns:
        One row per touch: its id, POSITION (``touches.place``), feed, source, touch_at, touch_date, month; answered
        (null if no call shows it), booked, visited, repaired; jobs (their number), job_id (of the first), matched_by
        (of that job, ``none`` without one), reason (why there is none, null if there is one), lost (a job that it
        matches went to another touch); returning_customer (the number had a job before; null without a number of its
        own), cost, paid, revenue40.
    """
    first = ["job_day", pl.col(JOB_ID).str.len_chars(), JOB_ID]
    of_touch = (
        matched.join(of.jobs.select(JOB_ID, "job_day", "is_unit", "is_repair", "paid_cents"), on=JOB_ID)
        .join(revenue, on=JOB_ID, how="left")
        .group_by(TOUCH)
        .agg(
            pl.len().cast(pl.Int64).alias("jobs"),
            *(pl.col(c).sort_by(first, nulls_last=True).first() for c in (JOB_ID, "matched_by")),
            pl.col("is_unit").any().alias("visited"),
            pl.col("is_repair").any().alias("repaired"),
            pl.col("paid_cents").sum(),
            pl.col("revenue40_micros").sum(),
        )
    )
    since = of.job_keys.group_by(KEY).agg(pl.col("job_day").min().alias("_since"))
    numbered = (
        of.touch_keys.select(TOUCH, KEY, "shared")
        .join(since, on=KEY, how="left")
        .group_by(TOUCH)
        .agg((~pl.col("shared")).any().alias("_alone"), pl.col("_since").filter(~pl.col("shared")).min())
    )
    joined = (
        of.touches.select(TOUCH, place(), "feed", "source", "touch_at", "touch_date", "answered", "cost_cents")
        .join(of_touch, on=TOUCH, how="left")
        .join(of.call_evidence.rename({"answered": "_heard"}), on=TOUCH, how="left")
        .join(found.select(TOUCH).unique().with_columns(_lost=True), on=TOUCH, how="left")
        .join(of.links.select(TOUCH).unique().with_columns(_linked=True), on=TOUCH, how="left")
        .join(numbered, on=TOUCH, how="left")
    )
    why = (
        pl.when(pl.col("_lost")).then(pl.lit(NO_JOB))
        .when(pl.col("_linked")).then(pl.lit(OUTSIDE))
        .when(pl.col("_alone").is_null()).then(pl.lit(NO_NUMBER))
        .when(~pl.col("_alone")).then(pl.lit(SHARED))
        .when(pl.col("_since").is_not_null()).then(pl.lit(OUTSIDE))
        .otherwise(pl.lit(NO_JOB))
    )  # fmt: skip
    booked = pl.col("jobs").is_not_null()
    return joined.select(
        TOUCH,
        POSITION,
        "feed",
        "source",
        "touch_at",
        "touch_date",
        pl.col("touch_date").dt.month_start().alias("month"),
        pl.coalesce("answered", "_heard").alias("answered"),
        booked.alias("booked"),
        pl.col("visited").fill_null(value=False),
        pl.col("repaired").fill_null(value=False),
        pl.col("jobs").fill_null(0),
        JOB_ID,
        pl.col("matched_by").fill_null("none"),
        pl.when(~booked).then(why).alias("reason"),
        pl.col("_lost").fill_null(value=False).and_(~booked).alias("lost"),
        pl.when(pl.col("_alone"))
        .then((pl.col("_since") < pl.col("touch_date")).fill_null(value=False))
        .alias("returning_customer"),
        dollars(pl.col("cost_cents")).alias("cost"),
        dollars(pl.col("paid_cents").fill_null(0)).alias("paid"),
        from_micros(pl.col("revenue40_micros").fill_null(0)).alias("revenue40"),
    )


COUNTED_AS: Sequence[tuple[str, pl.Expr]] = (
    ("touches", pl.lit(value=True)),
    ("answered", pl.col("answered")),
    ("booked", pl.col("booked")),
    ("visited", pl.col("visited")),
    ("repaired", pl.col("repaired")),
    ("paid", pl.col("paid") > 0),
    ("no_job", pl.col("reason") == NO_JOB),
    ("no_number", pl.col("reason") == NO_NUMBER),
    ("shared", pl.col("reason") == SHARED),
    ("outside_window", pl.col("reason") == OUTSIDE),
    ("by_link", pl.col("matched_by") == STEPS[1]),
    ("returning_customers", pl.col("returning_customer")),
    ("booked_returning", pl.col("returning_customer") & pl.col("booked")),
)
"""The columns of ``journey_metrics`` that count touches, and the condition of each."""


SUMS: Mapping[str, pl.DataType] = {
    **{name: pl.Int64() for name, _ in COUNTED_AS},
    "jobs": pl.Int64(),
    "touch_cost": pl.Decimal(18, 2),
    "revenue_gross": pl.Decimal(18, 2),
    "revenue40": pl.Decimal(18, 6),
}
"""The columns of ``journey_metrics`` that are sums over touches."""


def journey_tally(of: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the contribution of some touches to ``journey_metrics``; tallies of disjoint subsets add up.

    Args:
        of: ``journeys``.

    Returns:
        One row per (month, source) with a touch: the columns ``SUMS``.
    """
    counts = (
        pl.when(fits).then(1).otherwise(0).cast(pl.Int64).sum().alias(n) for n, fits in COUNTED_AS if n != "touches"
    )
    summed = of.group_by("month", "source").agg(
        *counts,
        pl.len().cast(pl.Int64).alias("touches"),
        pl.col("jobs").sum(),
        pl.col("cost").sum().alias("touch_cost"),
        pl.col("paid").sum().alias("revenue_gross"),
        pl.col("revenue40").sum(),
    )
    return summed.select("month", "source", *(pl.col(n).cast(t) for n, t in SUMS.items()))


def changed_tally(before: pl.LazyFrame, was: pl.LazyFrame, now: pl.LazyFrame) -> pl.LazyFrame:
    """Returns ``journey_tally`` after a change.

    Args:
        before: the tally of all touches before it; extra columns are allowed, and rows without a touch are left out.
        was: ``journeys`` of the touches affected, before the change.
        now: the same touches after it.
    """
    less = journey_tally(was).with_columns(-pl.col(n) for n in SUMS)
    cuts = [t.select("month", "source", *SUMS) for t in (before, less, journey_tally(now))]
    summed = pl.concat(cuts).group_by("month", "source").agg(pl.col(n).sum().cast(t) for n, t in SUMS.items())
    return summed.filter(pl.col("touches") != 0)


def journey_metrics(tally: pl.LazyFrame, monthly: pl.LazyFrame, zone: str) -> pl.LazyFrame:
    """Returns journeys by the month of the touch and its source.

    Args:
        tally: ``journey_tally`` of all touches.
        monthly: ``monthly_metrics``, for the cost of a source in a month.
        zone: the business time zone.

    Returns:
        One row per (month, source) with a touch or a cost, sorted: time (noon of the first), the counts of
        ``COUNTED_AS``, jobs, touch_cost (the touches' own cost), cost (the source's whole cost in that month),
        revenue_gross and revenue40 (of the payments for the touches' jobs, whenever paid).
    """
    spent = monthly.group_by("month", "source").agg(pl.col("cost").sum()).filter(pl.col("cost") != 0)
    return (
        tally.join(spent, on=["month", "source"], how="full", coalesce=True)
        .select(
            "month",
            "source",
            local_noon(pl.col("month"), zone).alias("time"),
            *(pl.col(n).fill_null(0).cast(t) for n, t in SUMS.items()),
            pl.col("cost").fill_null(0).cast(pl.Decimal(18, 2)),
        )
        .sort("month", "source")
    )


__all__ = [
    "COUNTED_AS", "NO_JOB", "NO_NUMBER", "OUTSIDE", "REASONS", "SHARED", "SUMS", "changed_tally", "journey_metrics",
    "journey_tally", "journeys", "revenue_of_jobs",
]  # fmt: skip
