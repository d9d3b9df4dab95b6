"""From which day on a pull asks. Pure."""

import datetime as dt
from collections.abc import Iterable
from zoneinfo import ZoneInfo

SKEW = dt.timedelta(hours=12)
"""How far the clock of a server may be from ours: more would ask for the wrong days."""


def since(today: dt.date, good: Iterable[dt.date], overlap: dt.timedelta) -> dt.date:
    """The first day to ask for: the overlap before the last good pull, so that no day is left out between two.

    A good pull of a day that has not come yet was made under a wrong clock, and does not count.

    Args:
        today: by the business's zone.
        good: the days of the pulls that were complete.
        overlap: how far to look back.
    """
    return max((d for d in good if d <= today), default=today) - overlap


def covered_until(today: dt.date, good: Iterable[dt.date], start: dt.date) -> dt.date:
    """The day up to which no day is left out, once a pull from ``start`` on is complete.

    A pull that begins after the last good one leaves a gap, which the next one still has to ask for.
    """
    last = max((d for d in good if d <= today), default=today)
    return today if start <= last else last


def midnight(day: dt.date, zone: str) -> dt.datetime:
    """The day's first moment there."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone))
