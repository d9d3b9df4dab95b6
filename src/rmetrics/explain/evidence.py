"""The rows behind a measure: every row of its feed, with its outcome.

Grain: one row per current row of the feed. In addition to the feed's columns, a frame of evidence has

    _key      the row's key as text                 _outcome  ``RowOutcome``: counted, or the first reason why not
    _day      the business day it counts on         _amount   its contribution if counted: rows, whole cents or whole
    _source   the source it counts for                        millionths, depending on ``Evidence.scale``
    _segment  the segment                           _fits     whether the rule's condition holds

The counted rows of all evidence of a measure add up to the measure: this is the proof.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from rmetrics.explain.asked import SCALES, Query, RowOutcome
from rmetrics.metrics.costs import fee_months, idle_months, split_by_leads, spread_days
from rmetrics.metrics.leads import between
from rmetrics.metrics.revenue import revenue_rows
from rmetrics.money import cents
from rmetrics.periods import month_of
from rmetrics.positions import COUNTED, FILE, LINE, PARTS
from rmetrics.rules.describe import RuleText, rules_in_words
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import ALL, Cost, FeedLeads, Rules, Source
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.rules.rows import feed_row, job_row

Span = tuple[dt.date | None, dt.date | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The rows behind one part of a measure.

    Attributes:
        rule: the rule in words.
        where: ``file:line`` of the rule.
        since: the first day of the rule in this form; None: always.
        feed: the feed of the rows; None for amounts without rows (a monthly fee).
        condition: the SQL condition that a row must meet; None if every row does.
        row: the row that the condition is typed against; None without a condition.
        stamp: the timestamp column behind the business day, or None.
        scale: the decimals of ``_amount``.
        split: for amounts spread over days and segments: the parts (date, segment, cost_cents); None for others.
        of: for one source of ``ALL``: the question about that source; None: the question asked.
        touches: whether the rows are touches, with the columns ``_touch`` (their id) and ``_why`` (why they nearly
            counted).
        detail: columns to show for a counted row, before those of its feed.
        priced: whether the amounts are prices of leads or jobs, which no row contains.
        near: the rows worth listing as nearly counted; None: any row.
    """

    rule: str
    where: str
    since: dt.date | None
    feed: str | None
    rows: pl.LazyFrame
    scale: int
    condition: str | None = None
    row: Row | None = None
    stamp: str | None = None
    split: pl.LazyFrame | None = None
    of: Query | None = None
    touches: bool = False
    detail: tuple[str, ...] = ()
    priced: bool = False
    near: pl.Expr | None = None


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a lake: rows by feed, job facts, daily metrics, the last day of the data, and journeys."""

    feeds: Mapping[str, pl.LazyFrame]
    facts: pl.LazyFrame
    daily: pl.LazyFrame
    last_day: pl.LazyFrame
    journeys: pl.LazyFrame = field(default_factory=pl.LazyFrame)


def evidence(measure: str, asked: Query, frames: Frames, rules: Rules) -> tuple[Evidence, ...]:
    """Returns the evidence of a measure: one part per version of its rule in force, and per part of a cost.

    Leads and cost of ``ALL`` have the parts of each source, as each source has its own rule.

    Empty if no rule gives the source the measure (an undeclared source has neither leads nor cost).

    Source: the design, section 3.
    """
    if asked.source == ALL and measure in {"leads", "cost"}:
        each = [(name, dataclasses.replace(asked, source=name)) for name in rules.sources]
        return tuple(
            dataclasses.replace(e, rule=f"{name}: {e.rule}", of=of)
            for name, of in each
            for e in evidence(measure, of, frames, rules)
        )
    match measure:
        case "jobs" | "units" | "repairs":
            return tuple(_jobs(measure, asked, frames, rules))
        case "revenue_gross" | "revenue40":
            return tuple(_revenue(measure, asked, frames, rules))
        case "leads":
            return tuple(
                part
                for source, span, text in _versions(asked, rules, "leads")
                for part in _leads(asked, frames, rules, source, span, text, price=1, scale=0)
            )
    return tuple(
        part
        for source, span, text in _versions(asked, rules, "cost")
        for cost in source.cost
        for part in _cost(asked, frames, rules, source, cost, span, text)
    )


# -- the rule, and its first day


def spans_in(
    spans: Iterator[tuple[dt.date | None, dt.date | None, Source]], asked: Query
) -> Iterator[tuple[Source, Span]]:
    """Yields the versions in force on any of the requested days."""
    first, end = asked.days
    for start, until, value in spans:
        if (start is None or start < end) and (until is None or until > first):
            yield value, (start, until)


def _versions(asked: Query, rules: Rules, rule: str) -> Iterator[tuple[Source, Span, RuleText]]:
    if asked.source in rules.sources:
        for source, span in spans_in(rules.sources[asked.source].spans(), asked):
            yield source, span, rule_text(rules, asked.source, rule, max(span[0] or asked.month, asked.month))


def rule_text(rules: Rules, topic: str, rule: str, day: dt.date) -> RuleText:
    """Returns a rule in force on a day, in words and with its place."""
    return next(s for s in rules_in_words(rules, day) if s.topic == topic and s.rule == rule)


# -- outcomes


def with_outcomes(rows: pl.LazyFrame, asked: Query, span: Span, *, key: tuple[str, ...]) -> pl.LazyFrame:
    """Adds ``_key`` and ``_outcome`` to rows that have the other columns of evidence."""
    day = pl.col("_day")
    reasons = [
        (day.is_null(), RowOutcome.NO_DATE),
        (~asked.within(day), RowOutcome.OTHER_MONTH),
        (~between(day, *span), RowOutcome.OTHER_TIME),
        (~asked.of(pl.col("_source")), RowOutcome.OTHER_SOURCE),
        (~pl.col(COUNTED), RowOutcome.NOT_COUNTED),
        (~pl.col("_fits"), RowOutcome.UNFIT),
        (pl.col("_amount").is_null(), RowOutcome.BLANK_AMOUNT),
    ]
    if asked.segment is not None:
        reasons.append((pl.col("_segment") != asked.segment, RowOutcome.OTHER_SEGMENT))
    if asked.day is not None:
        reasons.append((~asked.on(day), RowOutcome.OTHER_DAY))
    outcome = pl.lit(RowOutcome.COUNTED.value)
    for condition, reason in reversed(reasons):
        outcome = pl.when(condition).then(pl.lit(reason.value)).otherwise(outcome)
    text = pl.concat_str([pl.col(k).cast(pl.String).fill_null("") for k in key], separator="/")
    return rows.with_columns(text.alias("_key"), outcome.alias("_outcome"))


def _fits(condition: str | None, row: Row) -> pl.Expr:
    return (pl.lit(value=True) if condition is None else is_true(condition, row)).alias("_fits")


def stamp_of(feed: Feed, column: str) -> str | None:
    """Returns the column if it is a timestamp behind a business day, else None."""
    return column if feed.columns[column].type is ColumnType.TIMESTAMP else None


# -- jobs, units, repairs


def _job_rows(frames: Frames) -> pl.LazyFrame:
    """Returns every current row of the jobs feed with its job facts; jobs that do not count have no source."""
    jobs = frames.feeds[JOBS]
    known = set(frames.facts.collect_schema().names())
    made = [n for n in ("metric_date", "source", "segment", "paid", "is_unit", "is_repair") if n in known]
    return jobs.join(frames.facts.select("job_id", *made), on="job_id", how="left")


def _jobs(measure: str, asked: Query, frames: Frames, rules: Rules) -> Iterator[Evidence]:
    rule = {"jobs": "date", "units": "unit", "repairs": "repair"}[measure]
    first = asked.month
    for start, until, version in rules.jobs.spans():
        if (start is not None and start >= asked.end) or (until is not None and until <= asked.month):
            continue
        text = rule_text(rules, "jobs", rule, max(start or first, first))
        condition = {"jobs": None, "units": version.unit, "repairs": version.repair}[measure]
        yield _of_jobs(asked, frames, rules, (start, until), text, measure, condition, price=1, scale=0)


def _of_jobs(
    asked: Query,
    frames: Frames,
    rules: Rules,
    span: Span,
    text: RuleText,
    measure: str,
    condition: str | None,
    *,
    price: int,
    scale: int,
) -> Evidence:
    fits = {"jobs": pl.lit(value=True), "units": pl.col("is_unit"), "repairs": pl.col("is_repair")}[measure]
    rows = _job_rows(frames).with_columns(
        pl.col("metric_date").alias("_day"),
        pl.col("source").alias("_source"),
        pl.col("segment").alias("_segment"),
        fits.fill_null(value=False).alias("_fits"),
        pl.lit(price, dtype=pl.Int64).alias("_amount"),
    )
    feed = rules.feeds[JOBS]
    every = "every job counts" if asked.source == ALL else "every job of the source counts"
    words = text.words if measure != "jobs" else f"{every}; {text.words}"
    return Evidence(
        rule=words,
        where=text.where,
        since=text.since,
        feed=JOBS,
        rows=with_outcomes(rows, asked, span, key=feed.key_columns),
        scale=scale,
        condition=condition,
        row=job_row(rules),
        stamp=stamp_of(feed, rules.jobs.latest.date),
    )


# -- leads and costs


def _leads(
    asked: Query, frames: Frames, rules: Rules, source: Source, span: Span, text: RuleText, *, price: int, scale: int
) -> Iterator[Evidence]:
    leads = source.leads
    if isinstance(leads, FeedLeads):
        amount = pl.lit(price, dtype=pl.Int64)
        yield of_feed(asked, frames, rules, source, span, text, leads.feed, leads.where, amount, scale)
    else:
        yield from _per_job(asked, frames, rules, span, text, leads, price=price, scale=scale)


def _per_job(
    asked: Query, frames: Frames, rules: Rules, span: Span, text: RuleText, measure: str, *, price: int, scale: int
) -> Iterator[Evidence]:
    """Yields evidence for measures that count jobs, units or repairs: one part per condition in force within ``span``.

    The source's rule may stay the same while the rule of a unit changes; a nearly counted row is explained by the
    condition of its own day.
    """
    for within, condition in _conditions(asked, rules, span, measure):
        found = _of_jobs(asked, frames, rules, within, text, measure, condition, price=price, scale=scale)
        yield dataclasses.replace(found, rule=text.words)


def _conditions(asked: Query, rules: Rules, span: Span, measure: str) -> list[tuple[Span, str | None]]:
    """Returns the conditions of units or repairs in force in the requested months, with their days inside ``span``."""
    runs: list[tuple[Span, str | None]] = []
    for start, until, version in rules.jobs.spans():
        first = max((d for d in (start, span[0]) if d is not None), default=None)
        end = min((d for d in (until, span[1]) if d is not None), default=None)
        if (end or dt.date.max) <= max(first or asked.month, asked.month) or (first or asked.month) >= asked.end:
            continue
        condition = {"jobs": None, "units": version.unit, "repairs": version.repair}[measure]
        if runs and runs[-1][1] == condition:
            runs[-1] = (runs[-1][0][0], end), condition
        else:
            runs.append(((first, end), condition))
    return runs


def of_feed(
    asked: Query,
    frames: Frames,
    rules: Rules,
    source: Source,
    span: Span,
    text: RuleText,
    name: str,
    condition: str | None,
    amount: pl.Expr,
    scale: int,
) -> Evidence:
    """Returns the rows of a feed that count for a source if they meet a condition: leads, costs or touches."""
    feed = rules.feeds[name]
    row = feed_row(feed, rules.business.timezone)
    rows = frames.feeds[name].with_columns(
        pl.col(feed.business_date).alias("_day"),
        pl.lit(asked.source).alias("_source"),
        pl.lit(source.segment).alias("_segment"),
        _fits(condition, row),
        amount.alias("_amount"),
    )
    return Evidence(
        rule=text.words,
        where=text.where,
        since=text.since,
        feed=name,
        rows=with_outcomes(rows, asked, span, key=feed.key_columns),
        scale=scale,
        condition=condition,
        row=row,
        stamp=stamp_of(feed, feed.date),
    )


def _cost(
    asked: Query, frames: Frames, rules: Rules, source: Source, cost: Cost, span: Span, text: RuleText
) -> Iterator[Evidence]:
    if cost.per_lead is not None:
        price = int(cost.per_lead * 100)
        leads = _leads(asked, frames, rules, source, span, text, price=price, scale=2)
        yield from (dataclasses.replace(part, priced=True) for part in leads)
    elif cost.per_unit is not None or cost.per_repair is not None:
        measure = "units" if cost.per_unit is not None else "repairs"
        price = int((cost.per_unit or cost.per_repair or 0) * 100)
        jobs = _per_job(asked, frames, rules, span, text, measure, price=price, scale=2)
        yield from (dataclasses.replace(part, priced=True) for part in jobs)
    elif cost.monthly is not None:
        every = frames.daily.filter((pl.col("leads") > 0) | (pl.col("jobs") > 0))
        active, idle = (
            every.filter(pl.col("source") == asked.source).select("date"),
            idle_months(every, frames.last_day),
        )
        months = fee_months(active, active, frames.last_day, idle, int(cost.monthly * 100))
        yield _spread(asked, frames, rules, source, months, span, text, None)
    elif cost.feed is not None and cost.sum is not None:
        widened = asked if cost.spread is None else Query(asked.source, asked.month, last=asked.last)
        amount = cents(pl.col(cost.sum))
        found = of_feed(widened, frames, rules, source, span, text, cost.feed, cost.where, amount, 2)
        if cost.spread is None:
            yield found
            return
        counted = found.rows.filter(pl.col("_outcome") == RowOutcome.COUNTED.value)
        months = counted.select(pl.col("_day").dt.month_start().alias("month"), pl.col("_amount").alias("cost_cents"))
        months = months.group_by("month").agg(pl.col("cost_cents").sum())
        parts = _spread(asked, frames, rules, source, months, (None, None), text, found)
        yield parts


def _spread(
    asked: Query,
    frames: Frames,
    rules: Rules,
    source: Source,
    months: pl.LazyFrame,
    span: Span,
    text: RuleText,
    found: Evidence | None,
) -> Evidence:
    """Returns the evidence of a spread amount: its rows for whole months of all segments, otherwise its parts."""
    leads = frames.daily.filter((pl.col("source") == asked.source) & (pl.col("leads") > 0))
    leads = leads.select("date", "source", "segment", "leads")
    days = spread_days(months.filter(asked.within(pl.col("month"))), frames.last_day)
    parts = split_by_leads(days, leads, source.segment, rules.segment_order).filter(between(pl.col("date"), *span))
    if found is not None and asked.segment is None and asked.day is None:
        return dataclasses.replace(found, split=parts)
    rows = parts.with_columns(
        pl.col("date").alias("_day"),
        pl.lit(asked.source).alias("_source"),
        pl.col("segment").alias("_segment"),
        pl.lit(value=True).alias("_fits"),
        pl.lit(value=True).alias(COUNTED),
        pl.col("cost_cents").alias("_amount"),
        pl.lit(None, dtype=pl.UInt32).alias(FILE),
        pl.lit(None, dtype=pl.Int64).alias(LINE),
        pl.lit(1, dtype=pl.Int64).alias(PARTS),
    ).drop("cost_cents")
    return Evidence(
        rule=text.words,
        where=text.where,
        since=text.since,
        feed=None,
        rows=with_outcomes(rows, asked, (None, None), key=("date", "segment")),
        scale=2,
        split=parts,
    )


# -- revenue


def _revenue(measure: str, asked: Query, frames: Frames, rules: Rules) -> Iterator[Evidence]:
    feed = rules.feeds[PAYMENTS]
    all_rows = frames.feeds[PAYMENTS].with_columns(pl.col(COUNTED).alias("_was"), pl.lit(value=True).alias(COUNTED))
    amount = {"revenue_gross": "gross_cents", "revenue40": "revenue40_micros"}[measure]
    rows = (
        revenue_rows(all_rows, frames.facts, rules)
        .with_columns(pl.col("_was").alias(COUNTED))
        .rename({"date": "_day", "source": "_source", "segment": "_segment", amount: "_amount"})
        .with_columns(pl.lit(value=True).alias("_fits"))
        .drop("_was", "_job_date", *({"gross_cents", "revenue40_micros"} - {amount}), strict=False)
    )
    on = rule_text(rules, "revenue", "date", asked.month)
    where = rules.feed_where[PAYMENTS].at(asked.month)
    for start, until, _ in rules.revenue.spans():
        if (start is not None and start >= asked.end) or (until is not None and until <= asked.month):
            continue
        day = max(start or asked.month, asked.month)
        if measure == "revenue40":
            text = rule_text(rules, "revenue", "share", day)
            words, place, since = f"{text.words}; {on.words}", text.where, text.since
        else:
            if start is not None and start > asked.month:
                continue  # the share does not affect gross revenue
            from rmetrics.rules.condition_words import condition_in_words

            fits = f" when {condition_in_words(where)}" if where else ""
            place = rules.place(f"feeds.{PAYMENTS}.where" if where else f"feeds.{PAYMENTS}")
            words, since = f"the sum of payments: a payment counts{fits}; {on.words}", None
        span = (start, until) if measure == "revenue40" else (None, None)
        yield Evidence(
            rule=words,
            where=place,
            since=since,
            feed=PAYMENTS,
            rows=with_outcomes(rows, asked, span, key=feed.key_columns),
            scale=SCALES[measure],
            stamp=stamp_of(feed, feed.date) if rules.revenue.latest.date == "payment" else None,
        )


__all__ = [
    "Evidence",
    "Frames",
    "evidence",
    "month_of",
    "of_feed",
    "stamp_of",
    "with_outcomes",
]  # fmt: skip
