"""Callers: who waits for a call back, how soon callers are reached, and how much reached callers pay.

A caller is a number; all calls of a number are one caller. Figures of reached and lost callers use only calls that may
be leads, not those about existing jobs, from the company itself or from people who are not customers.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import polars as pl

from rmetrics.metrics.call_classes import (
    ANSWERED,
    ANYWAY,
    BACK,
    CALLER,
    CLASS,
    EXISTING,
    LOST,
    WITHIN,
    customer_ends,
    job_numbers,
)
from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, first_key, keyed
from rmetrics.money import cents
from rmetrics.positions import POSITION
from rmetrics.rules.model import ALL, UNATTRIBUTED, Rules
from rmetrics.rules.names import CALLS

LEADS = (ANSWERED, BACK, ANYWAY, LOST)
MIN_CASES = 30  # cases below which the worth of a lost caller is not estimated
_Z = Decimal("1.96")  # of the normal distribution: 95 of 100 such intervals contain the true mean
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Speed:
    """How soon the callers, or the leads, of a source were reached.

    Attributes:
        calls: number of calls that may be leads, or of leads of a feed.
        reached: number of these that were answered or called back.
        median_s, p90_s: seconds until then, of those reached: half, and nine of ten, waited no longer.
    """

    source: str
    calls: int
    reached: int
    median_s: int | None
    p90_s: int | None


@dataclass(frozen=True, slots=True)
class Worth:
    """Estimate of the amount that lost callers of a source would have paid, had they paid like reached callers.

    Attributes:
        lost: number of callers that nobody reached and that booked nothing.
        reached: number of reached callers: the cases behind the estimate.
        booked: number of these that booked a job.
        completed: number of these that paid something.
        booking_rate, completion: the shares; None if the denominator is 0.
        average_paid: per paying caller.
        each: per caller: booking_rate * completion * average_paid; with its interval, None if refused.
        total: of all lost callers, with its interval.
        refused: why there is no estimate; empty if there is one.
    """

    source: str
    lost: int
    reached: int
    booked: int
    completed: int
    booking_rate: Decimal | None
    completion: Decimal | None
    average_paid: Decimal | None
    each: tuple[Decimal, Decimal, Decimal] | None
    total: tuple[Decimal, Decimal, Decimal] | None
    refused: str = ""


def customer_calls(calls: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns classed inbound calls: position, key, source (never null), day, at, answered, class, wait, customer."""
    feed = rules.feeds[CALLS]
    number = customer_ends(feed)[0]
    return calls.drop_nulls(CLASS).select(
        POSITION,
        feed.key_columns[0],
        pl.col("source").fill_null(UNATTRIBUTED),
        pl.col(feed.business_date).alias("day"),
        pl.col(feed.date).alias("at"),
        (pl.col("answered") if "answered" in feed.columns else pl.lit(None, dtype=pl.Boolean)).alias("answered"),
        CLASS,
        WITHIN,
        (pl.col(number) if number else pl.lit(None, dtype=pl.String)).alias(CALLER),
    )


def waiting(calls: pl.LazyFrame) -> pl.LazyFrame:
    """Returns callers that nobody reached: one row per number and class (lost, or about an existing job).

    Args:
        calls: ``customer_calls``.

    Returns:
        phone_key (null: all callers without a number), class, source of the last call, first and last (times), calls
        (their number), day of the last call; the longest waiting first.
    """
    missed = calls.filter(pl.col(CLASS).is_in([LOST, EXISTING]) & pl.col("answered").eq_missing(pl.lit(value=False)))
    unreached = missed.filter(pl.col(WITHIN).is_null()).with_columns(first_key(CALLER).alias(KEY))
    return (
        unreached.group_by(KEY, CLASS)
        .agg(
            pl.col("source").sort_by("at", POSITION).last(),
            pl.col("at").min().alias("first"),
            pl.col("at").max().alias("last"),
            pl.len().alias("calls"),
            pl.col("day").max(),
        )
        .sort(pl.col(CLASS) != LOST, "first", KEY)
    )


def speeds(calls: pl.LazyFrame) -> list[Speed]:
    """Returns how soon callers were reached, by source, ALL first; leaves out calls that cannot be leads."""
    return speed_of(calls.filter(pl.col(CLASS).is_in(LEADS)).select("source", WITHIN))


def speed_of(leads: pl.LazyFrame) -> list[Speed]:
    """Returns median and p90 of waits by source, ALL first; needs ``source`` and ``answered_within_s`` (nullable)."""
    every = pl.concat([leads, leads.with_columns(pl.lit(ALL).alias("source"))])
    waits = pl.col(WITHIN).drop_nulls().sort()
    found = every.group_by("source").agg(
        pl.len().alias("calls"),
        pl.col(WITHIN).count().alias("reached"),
        *(waits.get(_rank(p), null_on_oob=True).alias(f"p{p}") for p in (50, 90)),
    )
    ordered = found.sort(pl.col("source") != ALL, "source").collect()
    return [Speed(*row) for row in ordered.select("source", "calls", "reached", "p50", "p90").iter_rows()]


def _rank(percent: int) -> pl.Expr:
    """Index of a percentile in the sorted waits: the lowest wait that covers at least that percentage."""
    reached = pl.col(WITHIN).count().cast(pl.Int64)
    return (reached * percent + 99) // 100 - 1


def worths(calls: pl.LazyFrame, facts: pl.LazyFrame, rules: Rules) -> list[Worth]:
    """Returns the worth of lost callers by source, ALL first.

    Args:
        calls: ``customer_calls``.
        facts: job facts, with the columns of their feed.
        rules: the number of days within which a job counts as booked.

    Source: the design, section 7; never an industry figure.
    """
    leads = keyed(calls.filter(pl.col(CLASS).is_in(LEADS)), CALLER)
    every = pl.concat([leads, leads.with_columns(pl.lit(ALL).alias("source"))])
    was_reached = pl.col(CLASS).is_in([ANSWERED, BACK])
    callers = every.group_by("source", KEY).agg(
        pl.col("day").filter(was_reached).min().alias("reached"),
        ((pl.col(CLASS) == LOST).any() & ~pl.col(CLASS).is_in([ANSWERED, BACK, ANYWAY]).any()).alias("lost"),
    )
    paid = facts.select(JOB_ID, cents(pl.col("paid")).alias("cents"))
    jobs = keyed(job_numbers(facts, rules), "phone").join(paid, on=JOB_ID).select(KEY, "created", "cents")
    days = (pl.col("created") - pl.col("reached")).dt.total_days()
    limit = in_force(rules.calls, pl.col("reached"), lambda c: pl.lit(c.booked))
    bought = (
        callers.drop_nulls("reached")
        .join(jobs, on=KEY)
        .filter((days >= 0) & (days <= limit))
        .group_by("source", KEY)
        .agg(pl.col("cents").sum(), pl.lit(value=True).first().alias("booked"))
    )
    joined = callers.join(bought, on=["source", KEY], how="left").with_columns(pl.col("cents").fill_null(0))
    case = pl.col("reached").is_not_null()
    found = joined.group_by("source").agg(
        pl.col("lost").sum(),
        case.sum().alias("cases"),
        (case & pl.col("booked").fill_null(value=False)).sum().alias("booked"),
        (case & (pl.col("cents") > 0)).sum().alias("completed"),
        pl.col("cents").filter(case),
    )
    ordered = found.sort(pl.col("source") != ALL, "source").collect()
    return [_worth(*row) for row in ordered.iter_rows()]


def _worth(source: str, lost: int, cases: int, booked: int, completed: int, paid: list[int]) -> Worth:
    """Computes the figures from whole cents; ``paid`` has one amount per case."""
    total, squares = sum(paid), sum(p * p for p in paid)
    shares = (_share(booked, cases), _share(completed, booked))
    average = _dollars(Decimal(total) / completed) if completed else None
    refused = ""
    if cases < MIN_CASES or completed < MIN_CASES:
        refused = f"{cases} callers were reached and {completed} of them paid; {MIN_CASES} of each are needed"
    if refused:
        return Worth(source, lost, cases, booked, completed, *shares, average, None, None, refused)
    mean = Decimal(total) / cases
    spread = Decimal(cases * squares - total * total) / (cases * (cases - 1))
    half = _Z * (spread / cases).sqrt()
    ends = (max(mean - half, Decimal(0)), mean, mean + half)
    each, lost_total = tuple(_dollars(e) for e in ends), tuple(_dollars(e * lost) for e in ends)
    return Worth(source, lost, cases, booked, completed, *shares, average, each, lost_total)  # type: ignore[arg-type]


def _share(part: int, total: int) -> Decimal | None:
    return (Decimal(part) / total).quantize(Decimal("0.0001"), ROUND_HALF_UP) if total else None


def _dollars(amount: Decimal) -> Decimal:
    return (amount / 100).quantize(_CENT, ROUND_HALF_UP)


__all__ = ["LEADS", "MIN_CASES", "Speed", "Worth", "customer_calls", "speed_of", "speeds", "waiting", "worths"]
