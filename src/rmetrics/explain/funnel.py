"""The rows behind a measure of journeys: every row that may be a touch of a source, with its outcome.

A touch of a source is a row of its lead feed, or an inbound call if it has none. The source's rule decides which rows
are touches, as for its leads; the outcome of each is looked up in the computed journeys.

Source: the design, section 7.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.explain.asked import Query, RowOutcome
from rmetrics.explain.evidence import Evidence, Frames, Span, of_feed, rule_text, stamp_of, with_outcomes
from rmetrics.metrics.journeys import COUNTED_AS, NO_JOB, NO_NUMBER, OUTSIDE, SHARED
from rmetrics.metrics.touches import TOUCH, inbound, row_of_place, source_order
from rmetrics.money import cents
from rmetrics.positions import POSITION, position
from rmetrics.rules.describe import RuleText, rules_in_words
from rmetrics.rules.funnel import FUNNEL
from rmetrics.rules.model import ALL, FeedLeads, Rules, Source
from rmetrics.rules.names import CALLS
from rmetrics.rules.rows import feed_row

_FITS: Mapping[str, pl.Expr] = {
    **dict(COUNTED_AS),
    "jobs": pl.col("booked"),
    "touch_cost": pl.lit(value=True),
    "revenue_gross": pl.col("booked"),
    "revenue40": pl.col("booked"),
}
_AMOUNTS: Mapping[str, pl.Expr] = {
    "jobs": pl.col("jobs"),
    "touch_cost": cents(pl.col("cost")),
    "revenue_gross": cents(pl.col("paid")),
    "revenue40": (pl.col("revenue40") * 1_000_000).cast(pl.Int64),
}
"""The contribution of a touch to a measure that is not a count, in whole units of its last decimal."""
_NO_JOB = {
    NO_JOB: "without a job: their number has no job",
    NO_NUMBER: "without a job: they have no customer's number, and no call names a job for them",
    SHARED: "without a job: many customers share their number, and no job has their ZIP code within the window",
    OUTSIDE: "without a job: their number has jobs, but none within the window",
}
_LOST = "without a job: another touch has the job that they could have"
_SHOWN = ("job", "matched_by", "reason")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consecutive days with the same rules for the touches of a source.

    Attributes:
        leads: the version of the source with its lead feed; None if its touches are calls.
        window: in days.
    """

    span: Span
    leads: Source | None
    window: int


def touch_evidence(column: str, asked: Query, frames: Frames, rules: Rules) -> Iterator[Evidence]:
    """Yields the evidence of a measure of journeys: one part per source, and per stretch of days with the same rules.

    Args:
        column: the column of ``journey_metrics``.
        asked: the requested figure; without a segment, as touches have none.
        frames: the frames of the lake.
        rules: the rules in force.
    """
    if asked.source != ALL:
        yield from _of_source(column, asked, frames, rules)
        return
    for name in source_order(rules):
        of = dataclasses.replace(asked, source=name)
        for part in _of_source(column, of, frames, rules):
            yield dataclasses.replace(part, rule=f"{name}: {part.rule}", of=of)


def _of_source(column: str, asked: Query, frames: Frames, rules: Rules) -> Iterator[Evidence]:
    for stretch in _stretches(asked, rules):
        found = _leads(asked, frames, rules, stretch) if stretch.leads else _calls(asked, frames, rules, stretch)
        if found is not None:
            yield _with_ends(found, column, asked, frames, rules, stretch)


def _stretches(asked: Query, rules: Rules) -> list[_Stretch]:
    """Returns the stretches that contain any of the requested days."""
    declared = rules.sources.get(asked.source)
    versions = list(declared.spans()) if declared else [(None, None, None)]
    first, end = asked.days
    found = list[_Stretch]()
    for start, until, version in versions:
        leads = version if version is not None and isinstance(version.leads, FeedLeads) else None
        for from_day, to_day, window in rules.journeys.windows(asked.source).spans():
            since = max((d for d in (start, from_day) if d is not None), default=None)
            before = min((d for d in (until, to_day) if d is not None), default=None)
            empty = since is not None and before is not None and since >= before
            if empty or (since is not None and since >= end) or (before is not None and before <= first):
                continue
            last = found[-1] if found else None
            if last and last.window == window and _same_leads(last.leads, leads):
                found[-1] = dataclasses.replace(last, span=(last.span[0], before))
            else:
                found.append(_Stretch((since, before), leads, window))
    return found


def _same_leads(one: Source | None, other: Source | None) -> bool:
    return (one and one.leads) == (other and other.leads)


def _leads(asked: Query, frames: Frames, rules: Rules, stretch: _Stretch) -> Evidence:
    """Returns the rows of the source's lead feed."""
    source = stretch.leads
    assert source is not None  # noqa: S101 - asked by the caller
    assert isinstance(source.leads, FeedLeads)  # noqa: S101 - as the stretch says
    described = rule_text(rules, asked.source, "leads", max(stretch.span[0] or asked.month, asked.month))
    one = pl.lit(1, dtype=pl.Int64)
    return of_feed(
        asked, frames, rules, source, stretch.span, described, source.leads.feed, source.leads.where, one, scale=0
    )


def _calls(asked: Query, frames: Frames, rules: Rules, stretch: _Stretch) -> Evidence | None:
    """Returns the calls of a source without a lead feed; None if no call can belong to it."""
    if CALLS not in rules.feeds or not any(
        s.name == asked.source for _, calls in rules.calls.versions for s in calls.sources
    ):
        return None
    feed = rules.feeds[CALLS]
    rows = frames.feeds[CALLS].with_columns(
        pl.col(feed.business_date).alias("_day"),
        pl.col("source").fill_null("").alias("_source"),
        pl.lit(ALL).alias("_segment"),
        inbound(feed).alias("_fits"),
        pl.lit(1, dtype=pl.Int64).alias("_amount"),
    )
    return Evidence(
        rule=f"an inbound call of {asked.source}, which has no lead feed, is a touch",
        where=rules.place("calls.sources"),
        since=None,
        feed=CALLS,
        rows=with_outcomes(rows, asked, stretch.span, key=feed.key_columns),
        scale=0,
        condition="direction = 'inbound'" if "direction" in feed.columns else None,
        row=feed_row(feed, rules.business.timezone),
        stamp=stamp_of(feed, feed.date),
    )


def _with_ends(found: Evidence, column: str, asked: Query, frames: Frames, rules: Rules, stretch: _Stretch) -> Evidence:
    """Returns the evidence of touches with the outcome of each, as far as the measure depends on it."""
    measure = FUNNEL[column]
    ends = frames.journeys.filter((pl.col("source") == asked.source) & (pl.col("feed") == (found.feed or ""))).select(
        row_of_place().alias(POSITION),
        pl.col(TOUCH).alias("_touch"),
        _FITS[column].fill_null(value=False).alias("_so"),
        (_AMOUNTS[column] if column in _AMOUNTS else pl.lit(1, dtype=pl.Int64)).alias("_adds"),
        _why_not(column).alias("_why"),
        pl.col("job_id").alias("job"),
        pl.when(pl.col("booked")).then("matched_by").alias("matched_by"),
        "reason",
    )
    # The rule alone decides whether a row is a touch, so that a touch missing from journeys shows as a difference.
    so = pl.col("_so").fill_null(value=column == "touches")
    other = (pl.col("_outcome") == RowOutcome.COUNTED.value) & ~so
    rows = (
        found.rows.drop(POSITION, *_SHOWN, strict=False)
        .with_columns(position())
        .join(ends, on=POSITION, how="left")
        .with_columns(
            pl.when(other).then(pl.lit(RowOutcome.OTHER_END.value)).otherwise("_outcome").alias("_outcome"),
            pl.col("_adds").fill_null(1 if column == "touches" else 0).alias("_amount"),
            pl.lit(ALL).alias("_segment"),
        )
    )
    words, where, since = f"{measure.words}; {found.rule}", found.where, found.since
    if measure.by_jobs:
        window, touch = _window(rules, asked, stretch)
        words = f"{words}; {window.words}, or that the CRM names; {touch.words}"
        where, since = window.where, window.since
    return dataclasses.replace(
        found,
        rule=words,
        where=where,
        since=since,
        rows=rows,
        scale=measure.decimals,
        touches=True,
        detail=_SHOWN,
    )


def _window(rules: Rules, asked: Query, stretch: _Stretch) -> tuple[RuleText, RuleText]:
    """Returns the window in force, and the rule for which of several touches gets a job."""
    day = max(stretch.span[0] or asked.month, asked.month)
    described = [s for s in rules_in_words(rules, day) if s.topic == "journeys"]
    own = next((s for s in described if s.key.startswith(f"journeys.sources.{asked.source}.")), None)
    window = next(s for s in described if s.rule == "window" and not s.key.startswith("journeys.sources."))
    return own or window, next(s for s in described if s.rule == "touch")


def _why_not(column: str) -> pl.Expr:
    """Returns why a touch does not count for a measure; null if it could never have counted."""
    booked, nothing = pl.col("booked"), pl.lit(None, dtype=pl.String)
    match column:
        case "booked":
            none = pl.col("reason").replace_strict(_NO_JOB, return_dtype=pl.String)
            return pl.when(pl.col("lost")).then(pl.lit(_LOST)).when(~booked).then(none)
        case "visited":
            return pl.when(booked).then(pl.lit("with jobs, none of which is a unit"))
        case "repaired":
            return pl.when(booked).then(pl.lit("with jobs, none of which is a repair"))
        case "paid":
            return pl.when(booked).then(pl.lit("with jobs that were paid nothing"))
        case "answered":
            missed = pl.when(pl.col("answered").is_null()).then(pl.lit("no call shows whether they were answered"))
            return missed.otherwise(pl.lit("missed"))
        case "by_link":
            return pl.when(booked).then(pl.lit("with a job matched by number only"))
        case "returning_customers":
            return pl.when(pl.col("returning_customer").is_null()).then(pl.lit("without a number of their own"))
    return nothing


__all__ = ["touch_evidence"]
