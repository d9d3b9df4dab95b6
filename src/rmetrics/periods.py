"""Business days, months and other periods.

A day is a ``datetime.date`` in the business time zone; a month is the date of its first day. Ranges are half open:
``[start, end)``, and an end of None means "still in force". Tables are stored, computed and published in parts: the
rows of a month, and under ``NO_PART`` those without a day.
"""

import calendar
import datetime as dt
import re
from enum import StrEnum

import polars as pl

NO_PART = dt.date(1, 1, 1)
_MONTH = re.compile(r"(\d{4})-(\d{2})")


class Grain(StrEnum):
    """The length of a period. Weeks are ISO 8601 weeks, Monday to Sunday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_MONTHS = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}
_WEEKS_OF_YEAR = 52


def period_of(day: dt.date, grain: Grain) -> dt.date:
    """The first day of the period that contains ``day``.

    >>> period_of(dt.date(2024, 11, 7), Grain.WEEK), period_of(dt.date(2024, 11, 7), Grain.QUARTER)
    (datetime.date(2024, 11, 4), datetime.date(2024, 10, 1))
    """
    if grain is Grain.DAY:
        return day
    if grain is Grain.WEEK:
        return day - dt.timedelta(days=day.weekday())
    months = _MONTHS[grain]
    return dt.date(day.year, (day.month - 1) // months * months + 1, 1)


def next_period(start: dt.date, grain: Grain, by: int = 1) -> dt.date:
    """The first day of the period ``by`` periods after the one that begins on ``start``."""
    if grain in _MONTHS:
        number = start.year * 12 + start.month - 1 + by * _MONTHS[grain]
        return dt.date(number // 12, number % 12 + 1, 1)
    return start + dt.timedelta(days=by * (7 if grain is Grain.WEEK else 1))


def year_before(start: dt.date, grain: Grain) -> dt.date | None:
    """The first day of the period a year earlier to compare with; None if there is none.

    A week is compared with the one 52 weeks earlier, so that both have the same weekdays. 29 February has no such day.

    >>> year_before(dt.date(2024, 2, 29), Grain.DAY) is None
    True
    >>> year_before(dt.date(2024, 12, 30), Grain.WEEK)
    datetime.date(2024, 1, 1)
    """
    if grain is Grain.WEEK:
        return next_period(start, grain, -_WEEKS_OF_YEAR)
    if (start.month, start.day) == (2, 29):
        return None
    return start.replace(year=start.year - 1)


def period_name(start: dt.date, grain: Grain) -> str:
    """The name of a period.

    >>> [period_name(dt.date(2024, 12, 30), grain) for grain in (Grain.DAY, Grain.WEEK, Grain.MONTH)]
    ['2024-12-30', '2025-W01', '2024-12']
    >>> period_name(dt.date(2024, 10, 1), Grain.QUARTER), period_name(dt.date(2024, 1, 1), Grain.YEAR)
    ('2024-Q4', '2024')
    """
    match grain:
        case Grain.DAY:
            return start.isoformat()
        case Grain.WEEK:
            year, week, _ = start.isocalendar()
            return f"{year:04}-W{week:02}"
        case Grain.MONTH:
            return f"{start:%Y-%m}"
        case Grain.QUARTER:
            return f"{start.year:04}-Q{(start.month + 2) // 3}"
        case Grain.YEAR:
            return f"{start.year:04}"


def month_of(day: dt.date) -> dt.date:
    """The first day of the month that contains ``day``."""
    return day.replace(day=1)


def next_month(month: dt.date) -> dt.date:
    """The first day of the month after ``month``."""
    return (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1)


def days_of(month: dt.date) -> int:
    """The number of days in ``month``."""
    return calendar.monthrange(month.year, month.month)[1]


def parse_month(text: str) -> dt.date | None:
    """The month written as ``YYYY-MM``; None for any other text.

    >>> parse_month("2024-11")
    datetime.date(2024, 11, 1)
    >>> parse_month("2024-13") is None
    True
    """
    match = _MONTH.fullmatch(text.strip())
    if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1:
        return None
    return dt.date(int(match[1]), int(match[2]), 1)


def part_of(day: pl.Expr) -> pl.Expr:
    """The part of a table that a row belongs to: the month of its day, or ``NO_PART`` without one."""
    return day.dt.month_start().fill_null(NO_PART)


def local_date(stamp: pl.Expr, zone: str) -> pl.Expr:
    """The business day of an aware timestamp column."""
    return stamp.dt.convert_time_zone(zone).dt.date()


def local_noon(day: pl.Expr, zone: str) -> pl.Expr:
    """Noon of a business day as a UTC timestamp.

    Grafana shows a bare date as UTC midnight, which is the previous day anywhere west of Greenwich. Noon exists on
    every day, even when clocks change, and remains on its day in every zone less than twelve hours away.
    """
    return day.cast(pl.Datetime("us")).dt.offset_by("12h").dt.replace_time_zone(zone).dt.convert_time_zone("UTC")
