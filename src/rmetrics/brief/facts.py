"""The facts behind a brief: published figures, and the state of runs, pulls and messages. Amounts are exact."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from rmetrics.month_line import MonthLine

ALL = "ALL"


@dataclass(frozen=True, slots=True)
class FeedFact:
    """A feed at the last publish.

    Attributes:
        needed: whether a day's figures are counted from it.
        last_date: the newest business day among its rows; None without any.
        last_export_at: when its newest export was made, or its pulls were last complete; None if unknown.
        exports: how many of its exports are published.
    """

    feed: str
    needed: bool
    last_date: dt.date | None
    last_export_at: dt.datetime | None
    exports: int


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """Estimate of a measure at the month's end; in four of five cases it lies between ``low`` and ``high``."""

    value: Decimal
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class ToDate:
    """Month-to-date figures of one source, or of ALL, and the pace of their targets.

    Attributes:
        repairs_pace, revenue40_pace: the target's share due by the end of the day; None without a target.
        repairs_end, revenue40_end: the forecast; None with fewer than eight weeks of data or if made on another day.
    """

    source: str
    leads: int
    units: int
    repairs: int
    revenue40: Decimal
    cost: Decimal
    target_repairs: Decimal | None
    target_revenue40: Decimal | None
    repairs_pace: Decimal | None
    revenue40_pace: Decimal | None
    repairs_end: MonthEnd | None = None
    revenue40_end: MonthEnd | None = None


@dataclass(frozen=True, slots=True)
class Restated:
    """A change by later runs to figures published after their day or month was over.

    Attributes:
        days: number of days concerned in a month that is not over; 0 for the figure of a whole closed month.
        change: the difference over all sources; 0 if amounts only moved between sources, segments or days.
        cause: as recorded in ``metric_changes``.
    """

    month: dt.date
    metric: str
    days: int
    change: Decimal
    cause: str | None


@dataclass(frozen=True, slots=True)
class FindingFact:
    """A finding of the last run that published."""

    code: str
    severity: str
    message: str
    rows: int


@dataclass(frozen=True, slots=True)
class PullTrouble:
    """A declared pull that is not complete, or overdue.

    Attributes:
        complete_at: when it was last complete; None: never.
        why: why the last attempt was not complete; empty if it is overdue or has never run.
        spread: whether it fetches amounts that are spread over the days of a month. No day waits for these, so
            yesterday's cost is shown without the missing part.
    """

    name: str
    complete_at: dt.datetime | None
    why: str
    spread: bool = False


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that published nothing."""

    started_at: dt.datetime
    message: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert that is true now.

    Attributes:
        of: the source, feed or finding; empty if the alert concerns the whole company.
        cause: the values that raised it.
        command: the command that explains it.
    """

    name: str
    title: str
    of: str
    cause: str
    command: str


@dataclass(frozen=True, slots=True)
class SendTrouble:
    """A message that failed or may not have arrived.

    Attributes:
        state: failed: the service refused it or could not be reached; doubtful: the sender was killed while sending.
        key: the day of a brief; name and row of an alert.
        at: when the sending began.
    """

    channel: str
    kind: str
    key: str
    state: str
    at: dt.datetime
    why: str


@dataclass(frozen=True, slots=True)
class MissedCalls:
    """Recent calls that nobody answered or returned.

    Attributes:
        since: the first day counted.
        lost: calls of potential new customers who have booked nothing.
        existing: calls of customers about a job.
    """

    since: dt.date
    lost: int
    existing: int


@dataclass(frozen=True, slots=True)
class Disputable:
    """Leads of a source that its vendor's terms make creditable and whose deadline has not passed.

    Attributes:
        until: the earliest deadline.
        hours: whole hours until then.
        amount: the cost of the leads, as far as known.
    """

    source: str
    leads: int
    until: dt.datetime
    hours: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a brief reports about one morning.

    Attributes:
        day: the morning's business day; the brief covers the day before.
        unreachable: whether the database could not be reached, so that nothing else is known.
        data_end: the newest day of the daily figures.
        through: the last whole day: every needed feed was exported after its end; None if there is none.
        yesterday: yesterday's figures by source, without targets; empty if yesterday is not whole.
        to_date: month-to-date figures up to ``through``, ALL first.
        rejected: number of rows that the last publish could not read.
        stale_days: the greatest age in days that a feed's newest row may have.
        missed: unreturned calls; None if the published tables do not classify calls.
        disputable: leads to dispute, by source; None if the lake could not be read.
        pulls: pulls that need attention.
    """

    day: dt.date
    timezone: str
    currency: str
    stale_days: int
    published: bool = False
    unreachable: bool = False
    data_end: dt.date | None = None
    through: dt.date | None = None
    feeds: tuple[FeedFact, ...] = ()
    yesterday: tuple[MonthLine, ...] = ()
    to_date: tuple[ToDate, ...] = ()
    restated: tuple[Restated, ...] = ()
    rejected: int = 0
    findings: tuple[FindingFact, ...] = ()
    failed: tuple[FailedRun, ...] = ()
    raised: tuple[Raised, ...] = ()
    troubles: tuple[SendTrouble, ...] = ()
    missed: MissedCalls | None = None
    disputable: tuple[Disputable, ...] | None = ()
    pulls: tuple[PullTrouble, ...] = ()

    @property
    def yesterday_date(self) -> dt.date:
        """The day that the brief covers."""
        return self.day - dt.timedelta(days=1)

    @property
    def stale(self) -> bool:
        """Whether yesterday's figures are incomplete."""
        return self.through is None or self.through < self.yesterday_date

    @property
    def month_is_over(self) -> bool:
        """Whether the month to date is the whole month."""
        return self.through is not None and (self.through + dt.timedelta(days=1)).day == 1


def whole_day(feed: FeedFact, zone: str) -> dt.date | None:
    """Returns the last day that was over when a feed was exported; None if it never was."""
    if feed.last_export_at is None:
        return None
    return feed.last_export_at.astimezone(ZoneInfo(zone)).date() - dt.timedelta(days=1)


def end_of_data(figures: dt.date | None, feeds: tuple[FeedFact, ...], planned: frozenset[str]) -> dt.date | None:
    """Returns the newest day with any activity.

    Args:
        figures: the newest day of the daily figures.
        feeds: as published.
        planned: feeds whose rows may be entered ahead, such as the spend of a month: they give future days a cost.
    """
    observed = [f.last_date for f in feeds if f.last_date is not None and f.feed not in planned]
    return min([figures, max(observed)]) if figures is not None and observed else figures


def last_whole_day(
    feeds: tuple[FeedFact, ...], data_end: dt.date | None, zone: str, yesterday: dt.date
) -> dt.date | None:
    """Returns the last day up to yesterday whose figures are whole.

    An export made before a day was over cannot contain all of it, so the oldest needed export sets the limit.

    Args:
        feeds: as published; those not needed are ignored.
        data_end: the newest day of the figures.
        zone: the business's time zone.
        yesterday: the latest day to consider.

    Returns:
        The day; None if nothing is published or a needed feed was never exported.
    """
    ends = [whole_day(f, zone) for f in feeds if f.needed]
    if data_end is None or any(e is None for e in ends):
        return None
    return min([data_end, yesterday, *(e for e in ends if e is not None)])
