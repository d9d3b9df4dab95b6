"""``[business].hours``: when somebody answers the phone, in readable form.

    hours = ["Mon-Fri 08:00-18:00", "Sat 09:00-14:00"]

Each text is one or more weekdays and a span of local time; a day may have several spans that do not overlap.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(DAYS)
_FORM = re.compile(
    rf"(?P<days>(?:{_DAY})(?:-(?:{_DAY}))?(?:\s*,\s*(?:{_DAY})(?:-(?:{_DAY}))?)*)\s+"
    r"(?P<h1>[0-9]{1,2}):(?P<m1>[0-9]{2})\s*-\s*(?P<h2>[0-9]{1,2}):(?P<m2>[0-9]{2})",
    re.IGNORECASE,
)
_EXAMPLE = 'write weekdays and a span of local time, such as "Mon-Fri 08:00-18:00" or "Sat,Sun 09:00-14:00"'


@dataclass(frozen=True, slots=True, order=True)
class WeekdayHours:
    """Consecutive hours of one weekday.

    Attributes:
        day: 0 is Monday.
        opens, closes: seconds since local midnight; ``closes`` is after ``opens`` and at most 24 hours.
    """

    day: int
    opens: int
    closes: int


def spans_of(hours: tuple[str, ...]) -> tuple[WeekdayHours, ...]:
    """Returns the spans of a week in order; none if no hours are declared, which means that every hour counts.

    >>> spans_of(("Sat-Sun 9:00-9:30",))
    (Span(day=5, opens=32400, closes=34200), Span(day=6, opens=32400, closes=34200))

    Raises:
            ValueError: a text is malformed, or spans overlap.
    """
    found = sorted(span for text in hours for span in _spans(text))
    for before, after in pairwise(found):
        if before.day == after.day and after.opens < before.closes:
            msg = f"has overlapping spans on {DAYS[after.day]}; list each hour once"
            raise ValueError(msg)
    return tuple(found)


def _spans(text: str) -> list[WeekdayHours]:
    form = _FORM.fullmatch(text.strip())
    if form is None:
        msg = f"{text!r} is not a span of hours; {_EXAMPLE}"
        raise ValueError(msg)
    opens, closes = (60 * (60 * int(form[h]) + int(form[m])) for h, m in (("h1", "m1"), ("h2", "m2")))
    if int(form["m1"]) > 59 or int(form["m2"]) > 59 or not opens < closes <= 86_400:
        msg = f"{text!r} must begin before it ends, at 24:00 at the latest"
        raise ValueError(msg)
    days = dict.fromkeys(day for part in form["days"].split(",") for day in _days(part.strip()))
    return [WeekdayHours(day, opens, closes) for day in days]


def _days(part: str) -> list[int]:
    """Returns the weekdays from the first to the last named, across the end of the week if necessary."""
    ends = [DAYS.index(name.strip().capitalize()) for name in part.split("-")]
    return [(ends[0] + i) % 7 for i in range((ends[-1] - ends[0]) % 7 + 1)]


def _readable(hours: tuple[str, ...]) -> tuple[str, ...]:
    spans_of(hours)
    return hours


Hours = Annotated[tuple[str, ...], AfterValidator(_readable)]

__all__ = ["DAYS", "Hours", "WeekdayHours", "spans_of"]
