"""``rmetrics journeys``: from touches to money, by source; the effect of other windows; the accuracy of matching."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import polars as pl

from rmetrics.findings import Finding
from rmetrics.metrics.accuracy import Accuracy, accuracy
from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE, SOURCE
from rmetrics.metrics.matches import ByNumber, matches, pairs
from rmetrics.metrics.touches import TOUCH
from rmetrics.money import dollars
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import MonthRange, months_named, only_source
from rmetrics.pipeline.compute.journeys import gathered
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.workspace import opened
from rmetrics.progress import Progress, silent
from rmetrics.rules import ALL, Rules
from rmetrics.rules.model import UNATTRIBUTED
from rmetrics.rules.names import CALLS
from rmetrics.settings import Settings
from rmetrics.tables import JOURNEY_METRICS, JOURNEYS

WINDOWS = (0, 1, 3, 7, 14, 30, 60, 90)
BY_LINK, BY_NUMBER, CRM_ONLY, NONE = "by link", "by number", "CRM only", "none"
_COUNTS = (
    "touches", "answered", "booked", "visited", "repaired", "paid", "no_job", "no_number", "shared", "outside_window",
    "jobs", "returning_customers", "booked_returning",
)  # fmt: skip
_SUMS = (*_COUNTS, "touch_cost", "cost", "revenue_gross", "revenue40")


@dataclass(frozen=True, slots=True)
class Funnel:
    """The touches of a source, or of ``ALL``: their outcomes, cost and earnings.

    Attributes:
        touch_cost: the touches' own cost; ``cost``: the source's whole cost in these months.
    """

    source: str
    touches: int
    answered: int
    booked: int
    visited: int
    repaired: int
    paid: int
    no_job: int
    no_number: int
    shared: int
    outside_window: int
    jobs: int
    returning_customers: int
    booked_returning: int
    touch_cost: Decimal
    cost: Decimal
    revenue_gross: Decimal
    revenue40: Decimal
    cost_per_booked: Decimal | None
    cost_per_repair: Decimal | None
    roas: Decimal | None


@dataclass(frozen=True, slots=True)
class SourceAgreement:
    """Number of jobs by the source that the CRM names and the source of their touch, ``none`` without a touch.

    Attributes:
        known: how the source is known: ``by link``, ``by number``, ``CRM only``, ``none``.
    """

    source: str
    source_matched: str
    known: str
    jobs: int
    paid: Decimal


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The jobs that a window would attach to touches.

    Attributes:
        window: in days, for every source.
        jobs, paid: number of jobs attached, and the amount paid for them.
        confirmed: number of these jobs whose source in the CRM is that of the touch.
        named: number of these jobs for which the CRM names a source.
        precision, recall: of matching calls by number alone; None if no call names a job.
    """

    window: int
    jobs: int
    paid: Decimal
    confirmed: int
    named: int
    confirmed_share: Decimal | None
    precision: Decimal | None
    recall: Decimal | None


@dataclass(frozen=True, slots=True)
class Touch:
    """A touch and its outcome; never a phone number."""

    touch_id: str
    feed: str
    source: str
    touch_at: dt.datetime
    touch_date: dt.date
    answered: bool | None
    booked: bool
    visited: bool
    repaired: bool
    jobs: int
    job_id: str | None
    matched_by: str
    reason: str | None
    returning_customer: bool | None
    cost: Decimal
    paid: Decimal


@dataclass(frozen=True, slots=True)
class JourneysResult:
    """Outcomes of touches.

    Attributes:
        month, last: the first and the last month of the touches.
        source: the only source; None for all.
        window: the common window in force, in days.
        funnel: by source, most touches first, then ALL.
        agreement: jobs of these months by the sources that CRM and touch name.
        accuracy: of matching by number alone, with the window in force; None if no call names a job.
        sensitivity: if requested.
        rows: if requested.
        problems: why the lake could not be used as it is.
    """

    month: dt.date
    last: dt.date
    source: str | None
    window: int
    funnel: tuple[Funnel, ...]
    agreement: tuple[SourceAgreement, ...]
    accuracy: Accuracy | None
    sensitivity: tuple[Sensitivity, ...] = ()
    rows: tuple[Touch, ...] = ()
    problems: tuple[Finding, ...] = ()


def journeys(
    settings: Settings,
    months: MonthRange,
    *,
    source: str | None = None,
    sensitivity: bool = False,
    rows: bool = False,
    progress: Progress = silent,
) -> JourneysResult:
    """Returns the outcomes of the touches of some months.

    Args:
        settings: of the project.
        months: of the touches, and of the jobs when jobs are counted.
        source: only touches of this source; case, spaces and aliases do not matter.
        sensitivity: also try other windows.
        rows: list the touches.
        progress: receives progress reports.

    Raises:
        RulesError, SettingsError: the rules do not load, or there is no such source or month.
        LakeError: nothing landed yet, or a landed export is damaged.
    """
    with opened(open_project(settings), progress) as lake:
        rows_of, rules = lake.computed.rows, lake.rules
        metrics = rows_of.scan(JOURNEY_METRICS).collect()
        only = only_source(source, rules, metrics["source"])
        first, last = months_named(months, set(metrics["month"]))
        inside = pl.col("month").is_between(first, last)
        mine = metrics.filter(inside & (pl.lit(value=True) if only is None else pl.col("source") == only))
        of, _ = gathered(rows_of)
        window = rules.journeys.common.latest.window
        calls = rows_of.feed(CALLS) if CALLS in rules.feeds else None
        return JourneysResult(
            month=first,
            last=last,
            source=only,
            window=window,
            funnel=tuple(_funnel(mine, whole=only is None)),
            agreement=tuple(_agreement(rows_of, first, last, only)),
            accuracy=accuracy(of, calls, rules, window),
            sensitivity=tuple(_sensitivity(of, calls, rules, first, last, only)) if sensitivity else (),
            rows=tuple(_touches(rows_of, first, last, only)) if rows else (),
            problems=lake.problems,
        )


def _funnel(metrics: pl.DataFrame, *, whole: bool) -> Sequence[Funnel]:
    sums = [pl.col(c).sum() for c in _SUMS]
    by_source = metrics.group_by("source").agg(sums).filter((pl.col("touches") > 0) | (pl.col("cost") != 0))
    by_source = by_source.sort("touches", "source", descending=[True, False])
    if whole and by_source.height:
        by_source = pl.concat([by_source, metrics.select(pl.lit(ALL).alias("source"), *sums)])
    return [_line(row) for row in by_source.iter_rows(named=True)]


def _line(row: dict[str, Any]) -> Funnel:
    cost, booked, repaired = row["cost"], row["booked"], row["repaired"]
    ratios = (ratio(cost, booked), ratio(cost, repaired), ratio(row["revenue_gross"], cost))
    return Funnel(**row, cost_per_booked=ratios[0], cost_per_repair=ratios[1], roas=ratios[2])


def ratio(amount: Decimal | int, by: Decimal | int) -> Decimal | None:
    """Divides with four decimals; None if the divisor is 0."""
    return (Decimal(amount) / Decimal(by)).quantize(Decimal("0.0001")) if by else None


def _agreement(rows: Rows, first: dt.date, last: dt.date, only: str | None) -> list[SourceAgreement]:
    known = (
        pl.when(pl.col("matched_by") == "uuid").then(pl.lit(BY_LINK))
        .when(pl.col("matched_by").is_not_null()).then(pl.lit(BY_NUMBER))
        .when(pl.col(SOURCE) != UNATTRIBUTED).then(pl.lit(CRM_ONLY))
        .otherwise(pl.lit(NONE))
    )  # fmt: skip
    jobs = rows.scan(FACTS).filter(pl.col(METRIC_DATE).dt.month_start().is_between(first, last))
    if only is not None:
        jobs = jobs.filter((pl.col(SOURCE) == only) | (pl.col("source_matched") == only))
    found = (
        jobs.group_by(SOURCE, pl.col("source_matched").fill_null(NONE), known.alias("known"))
        .agg(pl.len().alias("jobs"), pl.col("paid").sum())
        .sort(SOURCE, "source_matched", "known")
    )
    return [SourceAgreement(**row) for row in found.collect().iter_rows(named=True)]


def _sensitivity(
    of: ByNumber, calls: pl.LazyFrame | None, rules: Rules, first: dt.date, last: dt.date, only: str | None
) -> list[Sensitivity]:
    """Returns the matches that each window would make, all other rules unchanged."""
    inside = pl.col("touch_date").dt.month_start().is_between(first, last)
    if only is not None:
        inside &= pl.col("source_matched") == only
    widest = pl.lit(max(WINDOWS), dtype=pl.Int64).alias("window")
    wide = ByNumber(
        of.touches.with_columns(widest),
        of.touch_keys.with_columns(widest),
        of.jobs,
        of.job_keys,
        of.links,
        of.call_evidence,
    )
    every = pairs(wide).collect(engine="streaming").lazy()
    found = []
    for window in WINDOWS:
        within_window = every.filter((pl.col("step") == 1) | (pl.col("days") <= window))
        matched = (
            matches(of, within_window, rules).join(of.touches.select(TOUCH, "touch_date"), on=TOUCH).filter(inside)
        )
        named = pl.col(SOURCE) != UNATTRIBUTED
        sums = (
            matched.join(of.jobs.select(JOB_ID, SOURCE, "paid_cents"), on=JOB_ID)
            .select(
                pl.len().alias("jobs"),
                dollars(pl.col("paid_cents").sum()).alias("paid"),
                (pl.col(SOURCE) == pl.col("source_matched")).sum().alias("confirmed"),
                named.sum().alias("named"),
            )
            .collect(engine="streaming")
        )
        jobs, paid, confirmed, with_name = sums.row(0)
        known = accuracy(of, calls, rules, window)
        found.append(
            Sensitivity(
                window,
                jobs,
                paid or Decimal(0),
                confirmed,
                with_name,
                ratio(confirmed, jobs),
                None if known is None else ratio(known.right, known.right + known.wrong),
                None if known is None else ratio(known.right, known.known),
            )
        )
    return found


def _touches(rows: Rows, first: dt.date, last: dt.date, only: str | None) -> list[Touch]:
    inside = pl.col("month").is_between(first, last)
    if only is not None:
        inside &= pl.col("source") == only
    columns = [f.name for f in fields(Touch)]
    found = rows.scan(JOURNEYS).filter(inside).select(columns).sort("touch_at", TOUCH).collect()
    return [Touch(**row) for row in found.iter_rows(named=True)]


__all__ = ["WINDOWS", "Funnel", "JourneysResult", "Sensitivity", "SourceAgreement", "Touch", "journeys", "ratio"]
