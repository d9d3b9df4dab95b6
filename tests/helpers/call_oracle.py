"""What became of calls, said once more in plain Python: slow, and read row by row. And companies to try it on."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Call:
    """A call as an export tells it; ``at`` is UTC, for moments of one zone are subtracted by the clock on the wall."""

    at: dt.datetime
    inbound: bool
    answered: bool | None
    number: str | None
    job: str | None = None
    robot: bool = False

    @property
    def day(self) -> dt.date:
        """The business day."""
        return self.at.astimezone(ZONE).date()

    @property
    def numbers(self) -> set[str]:
        """The numbers in the cell."""
        return {n for n in (self.number or "").split(";") if n.strip("0123456789") == "" and len(n) == 10}


@dataclass(frozen=True)
class Job:
    """A job: its number, its name in the phone log, the day it was made, the customer's number."""

    job_id: str
    uuid: str
    created: dt.date | None
    number: str | None

    @property
    def numbers(self) -> set[str]:
        """The numbers in the cell."""
        return {n for n in (self.number or "").split(";") if n.strip("0123456789") == "" and len(n) == 10}


@dataclass(frozen=True)
class Limits:
    """The rules: days, own lines, and the hours of each weekday."""

    existing: int = 30
    back: int = 7
    booked: int = 7
    own: frozenset[str] = frozenset()
    hours: tuple[tuple[int, int, int], ...] = ()


def became(call: Call, calls: Sequence[Call], jobs: Sequence[Job], rules: Limits) -> tuple[str, int | None] | None:
    """The class of a call and how long its caller waited; None for one that went out."""
    if not call.inbound:
        return None
    numbers = call.numbers - rules.own
    missed = call.answered is False
    contacts = [
        c.at
        for c in calls
        if c.at >= call.at
        and (not c.inbound or c.answered is True)
        and c.numbers & numbers
        and (c.day - call.day).days <= rules.back
    ]
    back = min(contacts, default=None)
    waited = 0 if not missed else None if back is None else open_seconds(call.at, back, rules.hours)
    named = sorted((j for j in jobs if call.job and j.uuid == call.job), key=lambda j: j.job_id)
    made = named[0].created if named else None
    theirs = [j.created for j in jobs if j.created and j.numbers & numbers]
    if call.numbers & rules.own:
        return "own number", waited
    if call.robot:
        return "not a customer", waited
    if (made and made < call.day) or any(0 < (call.day - d).days <= rules.existing for d in theirs):
        return "existing job", waited
    if not missed:
        return "answered", waited
    if back is not None:
        return "missed and called back", waited
    if (made and made >= call.day) or any(0 <= (d - call.day).days <= rules.booked for d in theirs):
        return "missed but booked anyway", waited
    return "missed and lost", waited


def open_seconds(start: dt.datetime, end: dt.datetime, hours: Sequence[tuple[int, int, int]]) -> int:
    """Seconds between two moments, of open hours if there are any: minute by minute would be the same."""
    if not hours:
        return int((end - start).total_seconds())
    first, last = (m.astimezone(ZONE).replace(tzinfo=None, microsecond=0) for m in (start, end))
    total, day = 0, first.date()
    while day <= last.date():
        midnight = dt.datetime.combine(day, dt.time())
        for weekday, opens, closes in hours:
            if day.weekday() == weekday:
                low = max(first, midnight + dt.timedelta(seconds=opens))
                high = min(last, midnight + dt.timedelta(seconds=closes))
                total += max(0, int((high - low).total_seconds()))
        day += dt.timedelta(days=1)
    return total
