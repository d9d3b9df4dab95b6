"""The span of days that a pull requests. Pure."""

import datetime as dt
from collections.abc import Iterable
from zoneinfo import ZoneInfo

SKEW = dt.timedelta(hours=12)
"""The largest tolerated difference between a server's clock and ours; beyond it the wrong days would be requested."""


def since(today: dt.date, good: Iterable[dt.date], overlap: dt.timedelta) -> dt.date:
    """Returns the first day to request: the last good pull's day less the overlap, so that pulls leave no gap.

    Good pulls dated in the future are ignored: they were made under a wrong clock.

    Args:
        today: today in the business's time zone.
        good: the days up to which complete pulls reach.
        overlap: how far to look back.
    """
    return max((d for d in good if d <= today), default=today) - overlap


def covered_until(today: dt.date, good: Iterable[dt.date], start: dt.date) -> dt.date:
    """Returns the day up to which pulls have no gap, once a pull from ``start`` on is complete.

    A pull that starts after the last good one leaves a gap, which the next one still has to request.
    """
    last = max((d for d in good if d <= today), default=today)
    return today if start <= last else last


def midnight(day: dt.date, zone: str) -> dt.datetime:
    """Returns the start of a day in a time zone."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone))
