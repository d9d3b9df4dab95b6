"""The lines above the header: the dates covered by a report."""

import datetime as dt
import functools
import re
from collections.abc import Sequence

_DATE = ("%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%Y-%m-%d", "%m/%d/%Y")
_YEAR = re.compile(r"\b[12][0-9]{3}\b")
_MAX_LENGTH = 100  # "30 September 2026 - 31 December 2026" has 36 characters
_BETWEEN = re.compile(r"\s+[-–—]\s+|\s+to\s+")  # noqa: RUF001 - the dashes people and reports write


def range_month(preamble: Sequence[str]) -> dt.date | None:
    """The month that a date range above the header covers from its first day on, or None.

    A range that begins later in the month covers only part of it and must not count as the month.

    >>> range_month(["Campaign report", '"September 1, 2026 - September 30, 2026"'])
    datetime.date(2026, 9, 1)
    >>> range_month(["September 16, 2026 - September 30, 2026"]) is None
    True
    """
    for line in preamble:
        ends = date_range(line)
        if ends and ends[0].day == 1 and (ends[0].year, ends[0].month) == (ends[1].year, ends[1].month):
            return ends[0]
    return None


@functools.lru_cache(maxsize=1024)
def date_range(line: str) -> tuple[dt.date, dt.date] | None:
    """The first and last day of a date range on a line, or None; a single day is both."""
    if not _YEAR.search(line) or len(line) > _MAX_LENGTH:
        return None
    days = [_day(part) for part in _BETWEEN.split(line.strip().strip('",;\t'))]
    if not days or len(days) > 2 or days[0] is None or days[-1] is None:
        return None
    return days[0], days[-1]


def _day(text: str) -> dt.date | None:
    for form in _DATE:
        try:
            return dt.datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return None
