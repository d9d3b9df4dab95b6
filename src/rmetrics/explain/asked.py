"""The question that an explanation answers, and the possible outcomes of a row."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from rmetrics.metrics.leads import between
from rmetrics.periods import next_month
from rmetrics.rules.model import ALL

SCALES: Mapping[str, int] = {
    "jobs": 0, "leads": 0, "units": 0, "repairs": 0, "revenue_gross": 2, "revenue40": 6, "cost": 2,
}  # fmt: skip


MEASURES = tuple(SCALES)


class RowOutcome(StrEnum):
    """The outcomes of a row, in the order in which they are decided."""

    NO_DATE = "without a date"
    OTHER_MONTH = "other months"
    OTHER_TIME = "on days with another rule in force"
    OTHER_SOURCE = "other sources"
    OTHER_MEMBER = "other members"
    NOT_COUNTED = "not counted by the feed's rule"
    UNFIT = "not matched by the condition"
    BLANK_AMOUNT = "without an amount"
    OTHER_END = "touches with another outcome"
    OTHER_SEGMENT = "other segments"
    OTHER_DAY = "other days"
    NAMED_AFTER = "counted for the member named first"
    COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class Query:
    """The requested figure: a source in one or more months, or ``ALL`` sources, optionally one segment or some days.

    Attributes:
        month: the first day of the (first) month.
        day: only this day; with ``until``, only the days from this one on.
        last: the first day of the last of several months; None for one month.
        until: the last of several days; None for one day, or for whole months.
    """

    source: str
    month: dt.date
    segment: str | None = None
    day: dt.date | None = None
    last: dt.date | None = None
    until: dt.date | None = None

    @property
    def several(self) -> bool:
        """Whether the question covers more than one month."""
        return self.last is not None and self.last > self.month

    @property
    def end(self) -> dt.date:
        """The first day after the last month."""
        return next_month(self.last or self.month)

    def within(self, day: pl.Expr) -> pl.Expr:
        """Whether a day is in the requested months."""
        return between(day, self.month, self.end)

    @property
    def days(self) -> tuple[dt.date, dt.date]:
        """The first requested day, and the first day after the last one."""
        if self.day is None:
            return self.month, self.end
        return self.day, (self.until or self.day) + dt.timedelta(days=1)

    def on(self, day: pl.Expr) -> pl.Expr:
        """Whether a day is requested: the named days if there are any, otherwise all days of the months."""
        return between(day, *self.days)

    def of(self, source: pl.Expr) -> pl.Expr:
        """Whether a row has the requested source."""
        return pl.lit(value=True) if self.source == ALL else source == self.source
