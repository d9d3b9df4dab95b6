"""What the brief is made of: figures as published, and what the bookkeeping knows. Amounts are exact."""

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
        needed: whether the figures of a day are counted from it.
        last_date: the newest business day among its rows.
        last_export_at: when its newest export was made.
    """

    feed: str
    needed: bool
    last_date: dt.date | None
    last_export_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """Where a measure is estimated to end the month; in four of five cases between ``low`` and ``high``."""

    value: Decimal
    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class ToDate:
    """One source, or ALL, from the first of a month up to a day, against the pace of its target.

    Attributes:
        repairs_pace, revenue40_pace: what the target asks for by the end of the day; None without a target.
        repairs_end, revenue40_end: the forecast; None with fewer than eight weeks of data, or of another day.
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
    """What later runs changed of figures that were published when their day, or their month, was over.

    Attributes:
        days: how many days of a running month it concerns; 0 for the figure of a whole month that is over.
        change: by how much, all sources together; 0 where it only moved between sources, segments or days.
        cause: as ``metric_changes`` has it.
    """

    month: dt.date
    metric: str
    days: int
    change: Decimal
    cause: str | None


@dataclass(frozen=True, slots=True)
class FindingFact:
    """What a check of the last run that published found."""

    code: str
    severity: str
    message: str
    rows: int


@dataclass(frozen=True, slots=True)
class PullTrouble:
    """A declared pull that is not complete, or overdue.

    Attributes:
        complete_at: when it last was; None: never.
        why: why the last try was not complete; empty where it was, but too long ago.
        spread: whether it brings amounts that are spread over the days of a month. No day waits for these, so the cost
            of yesterday is shown without what is missing.
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
        of: which source, feed or finding; empty where it is of the whole.
        cause: the values that tell why.
        command: explains it.
    """

    name: str
    title: str
    of: str
    cause: str
    command: str


@dataclass(frozen=True, slots=True)
class SendTrouble:
    """A message that did not arrive for certain.

    Attributes:
        state: failed: the service refused it or could not be reached; doubtful: the sender was killed while sending.
        key: the day of a brief; name and row of an alert.
        at: when it was sent.
    """

    channel: str
    kind: str
    key: str
    state: str
    at: dt.datetime
    why: str


@dataclass(frozen=True, slots=True)
class MissedCalls:
    """Calls of the last days that nobody answered or returned.

    Attributes:
        since: the first of these days.
        lost: of callers who may be new customers and have booked nothing.
        existing: of customers about a job.
    """

    since: dt.date
    lost: int
    existing: int


@dataclass(frozen=True, slots=True)
class Disputable:
    """Leads of a source that its vendor's terms make creditable, while there is time.

    Attributes:
        until: when the first of them expires.
        hours: whole hours until then.
        amount: what the leads cost, as far as it is known.
    """

    source: str
    leads: int
    until: dt.datetime
    hours: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a brief tells of one morning.

    Attributes:
        day: the morning's business day; the brief is of the day before.
        unreachable: whether the database could not be asked, so nothing else is known.
        data_end: the newest day of the daily figures.
        through: the last day that is whole: every needed feed was exported after it was over; None where none is.
        yesterday: its figures by source, without targets; empty where yesterday is not whole.
        to_date: up to ``through``, ALL first.
        rejected: rows that the last publish could not read.
        stale_days: how old a feed's newest row may be.
        missed: calls that nobody returned; None where the published tables do not tell.
        disputable: leads to dispute, by source; None where the lake could not be read.
        pulls: those that somebody has to look at.
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
        """The day the brief is of."""
        return self.day - dt.timedelta(days=1)

    @property
    def stale(self) -> bool:
        """Whether yesterday cannot be shown whole."""
        return self.through is None or self.through < self.yesterday_date

    @property
    def month_is_over(self) -> bool:
        """Whether the month so far is the whole month."""
        return self.through is not None and (self.through + dt.timedelta(days=1)).day == 1


def whole_day(feed: FeedFact, zone: str) -> dt.date | None:
    """The last day that was over when a feed was exported; None where it never was."""
    if feed.last_export_at is None:
        return None
    return feed.last_export_at.astimezone(ZoneInfo(zone)).date() - dt.timedelta(days=1)


def end_of_data(figures: dt.date | None, feeds: tuple[FeedFact, ...], planned: frozenset[str]) -> dt.date | None:
    """The newest day that something happened on.

    Args:
        figures: the newest day of the daily figures.
        feeds: as published.
        planned: feeds whose rows may be entered ahead, such as the spend of a month: its days have a cost before
            anything happened on them.
    """
    happened = [f.last_date for f in feeds if f.last_date is not None and f.feed not in planned]
    return min([figures, max(happened)]) if figures is not None and happened else figures


def last_whole_day(
    feeds: tuple[FeedFact, ...], data_end: dt.date | None, zone: str, yesterday: dt.date
) -> dt.date | None:
    """The last day up to yesterday whose figures are whole.

    An export that was made before a day was over cannot hold all of it, so no day after the oldest needed export is.

    Args:
        feeds: as published; those that are not needed do not matter.
        data_end: the newest day of the figures.
        zone: whose days are business days.
        yesterday: no later day is asked for.

    Returns:
        None where nothing is published, or a needed feed was never exported.
    """
    ends = [whole_day(f, zone) for f in feeds if f.needed]
    if data_end is None or any(e is None for e in ends):
        return None
    return min([data_end, yesterday, *(e for e in ends if e is not None)])
