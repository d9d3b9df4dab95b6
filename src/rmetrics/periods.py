"""Business days and months.

A day is a ``datetime.date`` in the business time zone; a month is the date of its first day. Ranges are half open:
``[start, end)``, and an end of None means "still in force". Tables are kept, computed and published in parts: the rows
of a month together, and under ``NO_PART`` those without a day.
"""

import calendar
import datetime as dt
import re

import polars as pl

NO_PART = dt.date(1, 1, 1)
_MONTH = re.compile(r"(\d{4})-(\d{2})")


def month_of(day: dt.date) -> dt.date:
    """The first day of the month that holds ``day``."""
    return day.replace(day=1)


def next_month(month: dt.date) -> dt.date:
    """The first day of the month after ``month``."""
    return (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1)


def days_of(month: dt.date) -> int:
    """How many calendar days ``month`` has."""
    return calendar.monthrange(month.year, month.month)[1]


def parse_month(text: str) -> dt.date | None:
    """The month written ``YYYY-MM``, or None when the text is anything else.

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
    """The part of a table that a row belongs to: the month of its day, ``NO_PART`` without one."""
    return day.dt.month_start().fill_null(NO_PART)


def local_date(stamp: pl.Expr, zone: str) -> pl.Expr:
    """The business day of an aware timestamp column."""
    return stamp.dt.convert_time_zone(zone).dt.date()


def local_noon(day: pl.Expr, zone: str) -> pl.Expr:
    """Noon of a business day as a UTC timestamp.

    Grafana shows a bare date as UTC midnight, that is as the day before anywhere west of Greenwich. Noon exists on
    every day, also when clocks change, and stays on its day in every zone less than twelve hours away.
    """
    return day.cast(pl.Datetime("us")).dt.offset_by("12h").dt.replace_time_zone(zone).dt.convert_time_zone("UTC")
