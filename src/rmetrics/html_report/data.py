"""The figures of the page: frozen values from the lake, aggregated for its views. Amounts are exact decimals."""

import datetime as dt
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from rmetrics.findings import Finding
from rmetrics.html_report.own_data import OwnData
from rmetrics.month_line import MonthLine
from rmetrics.periods import days_of, next_month
from rmetrics.pipeline.forecasts import Estimate

COUNTS = ("jobs", "leads", "units", "repairs")
ALL = "ALL"


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A feed: its rows, last business day, time of the newest export, and rejected rows."""

    feed: str
    rows: int
    last_date: dt.date | None
    last_export_at: dt.datetime | None
    exports: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day of the month for all sources, with sums since the first day; None after the end of the data."""

    date: dt.date
    leads: int | None
    units: int | None
    repairs: int | None
    repairs_to_date: int | None
    revenue40_to_date: Decimal | None
    leads_to_date: int | None
    cost_to_date: Decimal | None
    repairs_pace: Decimal | None
    revenue40_pace: Decimal | None


@dataclass(frozen=True, slots=True)
class FunnelLine:
    """The outcomes of a source's touches in the month: the number that reached each step, their cost and revenue."""

    source: str
    touches: int
    answered: int
    booked: int
    visited: int
    repaired: int
    paid: int
    cost: Decimal
    revenue_gross: Decimal


class SegmentLine(NamedTuple):
    """The figures of a segment in a month, of all sources."""

    month: dt.date
    segment: str
    repairs: int
    revenue40: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class PageData:
    """All data of the page.

    Attributes:
        month: the month of the views *This month* and *Channels*.
        last_day: the last day of the data, over all months.
        lines: each month by source, and in total as source ALL, oldest first.
        segments: figures by month and segment, oldest first.
        days: the calendar days of ``month``.
        feeds, findings: the contents of *Data health*.
        estimates: the forecast of the month's end; empty unless the data ends in this month.
        funnel: the touches of ``month``, by source, most touches first.
        own: declared measures and dimensions.
    """

    month: dt.date
    last_day: dt.date
    timezone: str
    currency: str
    version: str
    lines: tuple[MonthLine, ...]
    segments: tuple[SegmentLine, ...]
    days: tuple[Day, ...]
    feeds: tuple[FeedLine, ...]
    findings: tuple[Finding, ...]
    estimates: tuple[Estimate, ...] = ()
    funnel: tuple[FunnelLine, ...] = ()
    own: OwnData = field(default_factory=OwnData)

    def estimate(self, measure: str, source: str = ALL) -> Estimate | None:
        """Returns the estimate of a measure at the end of the month; None if there is no forecast."""
        return next((e for e in self.estimates if (e.source, e.measure) == (source, measure)), None)

    def month_end(self, line: MonthLine, measure: str) -> Decimal | None:
        """Returns a measure at the end of the month: an estimate, or the figure itself if the month is over."""
        found = self.estimate(measure, line.source)
        if found is not None and found.path:
            return found.value
        over = self.passed == len(self.days) and all(not e.path for e in self.estimates)
        return Decimal(getattr(line, measure)) if over else None

    @property
    def months(self) -> list[dt.date]:
        """The months up to the page's month, at most twelve, oldest first."""
        return sorted({line.month for line in self.lines if line.month <= self.month})[-12:]

    @property
    def whole(self) -> dict[dt.date, MonthLine]:
        """The company's line by month."""
        return {line.month: line for line in self.lines if line.source == ALL}

    @property
    def sources(self) -> list[str]:
        """The sources with figures in the months shown, largest revenue first, which is also the order of colours."""
        total: dict[str, Decimal] = {}
        shown = frozenset(self.months)
        for line in self.lines:
            if line.source != ALL and line.month in shown:
                total[line.source] = total.get(line.source, Decimal(0)) + line.revenue40
        return sorted(total, key=lambda name: (-total[name], name))

    def of(self, source: str) -> list[MonthLine]:
        """Returns the lines of one source, or ALL, in the months shown, oldest first."""
        shown = frozenset(self.months)
        return [line for line in self.lines if line.source == source and line.month in shown]

    @property
    def passed(self) -> int:
        """The number of days of the month that the data covers."""
        return sum(day.repairs is not None for day in self.days)


def segment_lines(monthly: pl.DataFrame) -> tuple[SegmentLine, ...]:
    """Returns repairs, revenue40 and cost by month and segment, oldest first."""
    rows = monthly.group_by("month", "segment").agg(pl.col("repairs", "revenue40", "cost").sum())
    return tuple(SegmentLine(*row) for row in rows.sort("month", "segment").select(SegmentLine._fields).iter_rows())


def funnel_lines(metrics: pl.DataFrame, month: dt.date) -> tuple[FunnelLine, ...]:
    """Returns the funnel of a month by source, most touches first, without sources that have no touches.

    Args:
        metrics: ``journey_metrics``.
        month: its first day.
    """
    columns = [f.name for f in fields(FunnelLine)]
    rows = metrics.filter((pl.col("month") == month) & (pl.col("touches") > 0))
    rows = rows.sort("touches", "source", descending=[True, False]).select(columns)
    return tuple(FunnelLine(**row) for row in rows.iter_rows(named=True))


def month_days(
    daily: pl.DataFrame, month: dt.date, last_day: dt.date, targets: tuple[Decimal | None, Decimal | None]
) -> tuple[Day, ...]:
    """Returns every calendar day of a month with sums to date; None after ``last_day``.

    Args:
        daily: ``daily_metrics``.
        month: its first day.
        last_day: the last day of the data.
        targets: the month's targets of repairs and revenue40; None if there is no target.
    """
    inside = daily.filter((pl.col("date") >= month) & (pl.col("date") < next_month(month)))
    sums = inside.group_by("date").agg(pl.col("leads", "units", "repairs", "revenue40", "cost").sum())
    by_day = {row["date"]: row for row in sums.iter_rows(named=True)}
    length = days_of(month)
    made: list[Day] = []
    leads, repairs, revenue, cost = 0, 0, Decimal(0), Decimal(0)
    for number in range(1, length + 1):
        date = month.replace(day=number)
        pace = [None if t is None else t * number / length for t in targets]
        if date > last_day:
            made.append(Day(date, None, None, None, None, None, None, None, *pace))
            continue
        row = by_day.get(date, {})
        leads, repairs = leads + row.get("leads", 0), repairs + row.get("repairs", 0)
        revenue, cost = revenue + row.get("revenue40", 0), cost + row.get("cost", 0)
        counts = (row.get("leads", 0), row.get("units", 0), row.get("repairs", 0))
        made.append(Day(date, *counts, repairs, revenue, leads, cost, *pace))
    return tuple(made)
