"""Sums of daily figures by period and member, and the days that a period and its comparison cover.

Everything here is exact: sums of integers and decimals, no averages.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from rmetrics.periods import Grain, next_period, period_name, period_of, year_before

MEMBER = "member"
SPAN = "span"
AGES = (0, 30, 60, 90)
"""Youngest day of each age, in days before the data's last day."""
_DAY = dt.timedelta(days=1)


class Coverage(StrEnum):
    """How much of a period its figures cover."""

    WHOLE = "whole"
    BEGUN = "begun"  # the data end inside it
    AHEAD = "ahead"  # it begins after the data's end and holds only planned days
    PART = "part"  # the data begin inside it, or only some of its days are requested


class Compare(StrEnum):
    """The period that a period is compared with."""

    PREVIOUS = "previous"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Span:
    """A range of days, both ends included."""

    first: dt.date
    last: dt.date

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class Period:
    """A period and the days of it that are added up.

    Attributes:
        start: its first day; identifies it together with the grain.
        span: the days whose figures are added up.
        through: the last of them that the data reach; before ``span`` if they reach none.
        age: the label of an age; "" for a period named by its first day and grain.
    """

    start: dt.date
    grain: Grain
    span: Span
    through: dt.date
    state: Coverage
    age: str = ""

    @property
    def name(self) -> str:
        """Label of the period."""
        return self.age or period_name(self.start, self.grain)


def ages_of(data: Span, end: dt.date) -> Iterator[Period]:
    """Yields the days of the data by age, youngest first: 0 to 29 days before the last day, 30 to 59, and so on.

    Every day belongs to exactly one age, so the ages add up to the total. Planned days after the data's last day form
    an age of their own.

    Args:
        data: from the first day with figures to the data's last day, from which ages are counted back.
        end: the last day with a figure.
    """
    if end > data.last:
        first = data.last + _DAY
        yield Period(first, Grain.DAY, Span(first, end), data.last, Coverage.AHEAD, "ahead")
    for youngest, older in zip(AGES, (*AGES[1:], None), strict=True):
        last = data.last - dt.timedelta(days=youngest)
        first = data.first if older is None else max(data.first, data.last - dt.timedelta(days=older - 1))
        if first <= last:
            name = f"{youngest}+ days" if older is None else f"{youngest}-{older - 1} days"
            yield Period(first, Grain.DAY, Span(first, last), last, Coverage.WHOLE, name)


def periods_of(wanted: Span, data: Span, grain: Grain) -> Iterator[Period]:
    """Yields the periods that contain the requested days, oldest first.

    Args:
        wanted: the requested days; a period leaves out its other days.
        data: from the first day of the first month with figures to the data's last day.
        grain: the length of a period.
    """
    start = period_of(wanted.first, grain)
    while start <= wanted.last:
        end = next_period(start, grain) - _DAY
        span = Span(max(start, wanted.first), min(end, wanted.last))
        if start > data.last:
            state = Coverage.AHEAD
        elif end > data.last and span.last >= min(end, data.last):
            state = Coverage.BEGUN
        elif start < data.first or span != Span(start, end):
            state = Coverage.PART
        else:
            state = Coverage.WHOLE
        yield Period(start, grain, span, min(span.last, data.last), state)
        start = end + _DAY


def compared_with(period: Period, how: Compare, data: Span) -> Span | None:
    """Returns the days that a period is compared with; None if the data do not reach that far back.

    A whole period is compared with a whole one, a partial one with the same number of days from the same offset: five
    days of November with the first five of October.
    """
    grain, start = period.grain, period.start
    other = year_before(start, grain) if how is Compare.YEAR else next_period(start, grain, -1)
    if other is None or period.state is Coverage.AHEAD:
        return None
    end = next_period(other, grain) - _DAY
    if period.span == Span(start, next_period(start, grain) - _DAY) and period.through == period.span.last:
        span = Span(other, end)
    else:
        first = other + (period.span.first - start)
        span = Span(first, min(first + (period.through - period.span.first), end))
    return span if span.first >= data.first and span.days > 0 else None


def sums(daily: pl.LazyFrame, spans: Sequence[Span], member: str | None, measures: Sequence[str]) -> pl.LazyFrame:
    """Adds up the daily figures by member over spans of days, which may overlap.

    Args:
        daily: rows with ``date``, the column named by ``member``, and the measures; only rows that count.
        spans: the days to add up.
        member: the column whose values are the members; None: a single member, null.
        measures: additive columns.

    Returns:
        One row per span (its index) and member that has rows: ``span``, ``member``, the measures.
    """
    of = pl.lit(None, dtype=pl.String) if member is None else pl.col(member)
    limits = pl.LazyFrame(
        [(n, s.first, s.last) for n, s in enumerate(spans)],
        schema={SPAN: pl.Int64, "first": pl.Date, "last": pl.Date},
        orient="row",
    )
    days = limits.select(SPAN, pl.date_ranges("first", "last").alias("date")).explode("date")
    inside = days.join(daily, on="date").with_columns(of.alias(MEMBER))
    return inside.group_by(SPAN, MEMBER).agg(pl.col(m).sum() for m in measures)


__all__ = ["AGES", "Compare", "Coverage", "Period", "Span", "ages_of", "compared_with", "periods_of", "sums"]
