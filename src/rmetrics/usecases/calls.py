"""``rmetrics calls``: callers to call back, classes of calls, waits, and the worth of lost callers."""

import dataclasses
import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.metrics.call_classes import CLASS, CLASSES, LOST
from rmetrics.metrics.callers import Speed, Worth, customer_calls, speeds, waiting, worths
from rmetrics.metrics.lead_speed import lead_speeds
from rmetrics.metrics.phones import KEY
from rmetrics.opening import open_project
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.speed import followed_leads
from rmetrics.pipeline.workspace import opened
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules
from rmetrics.rules.model import ALL, UNATTRIBUTED
from rmetrics.rules.names import CALLS
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class Waiting:
    """A caller whom nobody has reached.

    Attributes:
        number: the number to call back; not in ``repr``, and never part of a document.
        about: the class of the calls: ``missed and lost`` or ``existing job``.
        source: of the last call.
        first, last: times of the first and the last call, in the company's zone.
        calls: number of calls.
    """

    number: str = field(repr=False)
    about: str
    source: str
    first: dt.datetime
    last: dt.datetime
    calls: int


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Number of calls of a source by class, in the order of ``classes``."""

    source: str
    calls: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CallsResult:
    """The calls of a span of days.

    Attributes:
        first, last: the days; the list of waiting callers begins at ``since``.
        classes: the names of the classes.
        counts: by source, ALL first; the counts of ALL add up to its calls.
        waiting: callers to call back, possible new customers first, then the longest waiting first.
        without_number: number of missed calls without a number, which nobody can return.
        speeds, worths: by source, ALL first.
        lead_speeds: how soon the leads of feeds were reached, by source, ALL first; of leads from the first to the last
            day of calls.
        hours: the hours in which waits are counted; empty: every hour.
        problems: why the lake does not match the current rules and exports.
    """

    first: dt.date | None
    last: dt.date | None
    since: dt.date | None
    classes: tuple[str, ...]
    counts: tuple[ClassCount, ...]
    waiting: tuple[Waiting, ...]
    without_number: int
    speeds: tuple[Speed, ...]
    worths: tuple[Worth, ...]
    lead_speeds: tuple[Speed, ...]
    hours: tuple[str, ...]
    problems: tuple[str, ...] = ()


def calls(settings: Settings, day: dt.date | None = None, progress: Progress = silent) -> CallsResult:
    """Returns classes, waits and losses of calls, and the callers to call back.

    Args:
        settings: of the project.
        day: only the calls of this business day; None: all calls, but as waiting only those of the last days, in which
            a call back still counts (``[calls].called_back``), up to the newest call.
        progress: receives progress reports.

    Raises:
        SettingsError: the rules declare no calls feed, or there are no calls.
        RulesError, LakeError: see ``errors``.
    """
    with opened(open_project(settings), progress) as lake:
        rules = lake.rules
        if CALLS not in rules.feeds:
            raise SettingsError("the rules declare no calls", "Declare [feeds.calls]; `rmetrics init` writes one.")
        rows = lake.computed.rows
        every = customer_calls(rows.feed(CALLS), rules).collect()
        facts = rows.facts()
        last = every["day"].max()
        if not isinstance(last, dt.date):
            raise SettingsError(
                "no inbound call has landed yet", "Put the phone log into the inbox and run: rmetrics sync"
            )
        since = day or last - dt.timedelta(days=max(rules.calls.at(last).called_back - 1, 0))
        seen = every if day is None else every.filter(pl.col("day") == day)
        near = seen.filter(pl.col("day") >= since)
        people = waiting(near.lazy()).collect()
        named = people.drop_nulls(KEY)
        first = every["day"].min() if day is None else day
        return CallsResult(
            first if isinstance(first, dt.date) else None,
            day or last,
            since,
            CLASSES,
            _counts(seen),
            tuple(_waiting(row, rules) for row in named.to_dicts()),
            int(people.filter(pl.col(KEY).is_null())["calls"].sum()),
            tuple(speeds(seen.lazy())),
            tuple(worths(seen.lazy(), facts, rules)),
            tuple(_lead_speeds(rows, every, day)),
            rules.business.hours,
            tuple(p.message for p in lake.problems),
        )


def _lead_speeds(rows: Rows, calls: pl.DataFrame, day: dt.date | None) -> list[Speed]:
    """Returns how soon leads of feeds were reached, of the days of the phone log or of one day."""
    of, waits = followed_leads(rows)
    inside = pl.col("touch_date").is_between(calls["day"].min(), calls["day"].max())
    inside = inside if day is None else pl.col("touch_date") == day
    return lead_speeds(dataclasses.replace(of, touches=of.touches.filter(inside)), waits)


def _waiting(row: dict[str, object], rules: Rules) -> Waiting:
    zone = ZoneInfo(rules.business.timezone)
    first, last = (m.astimezone(zone) for m in (row["first"], row["last"]) if isinstance(m, dt.datetime))
    return Waiting(str(row[KEY]), str(row[CLASS]), str(row["source"]), first, last, int(str(row["calls"])))


def _counts(calls: pl.DataFrame) -> tuple[ClassCount, ...]:
    both = pl.concat([calls.select("source", CLASS), calls.select(pl.lit(ALL).alias("source"), CLASS)])
    found = both.group_by("source", CLASS).len()
    order = sorted(found["source"].unique(), key=lambda s: (s != ALL, s == UNATTRIBUTED, s))
    by = {(source, name): count for source, name, count in found.iter_rows()}
    counts = {source: tuple(by.get((source, name), 0) for name in CLASSES) for source in order}
    return tuple(ClassCount(source, sum(c), c) for source, c in counts.items())


__all__ = ["LOST", "CallsResult", "ClassCount", "Waiting", "calls"]
