"""Reads the facts of the morning brief from the published tables."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rmetrics.brief.facts import (
    Facts,
    FailedRun,
    FeedFact,
    FindingFact,
    MissedCalls,
    MonthEnd,
    PullTrouble,
    Raised,
    Restated,
    SendTrouble,
    ToDate,
    end_of_data,
    last_whole_day,
)
from rmetrics.month_line import MonthLine
from rmetrics.periods import month_of
from rmetrics.postgres.connection import Session
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.run_log import failed_between, last_good
from rmetrics.rules import Rules
from rmetrics.rules.model import FeedLeads
from rmetrics.rules.names import JOBS, PAYMENTS, TARGETS

if TYPE_CHECKING:
    from rmetrics.pulls.covered import Covered  # its imports are for pulls only

_NONE: "Mapping[str, Covered]" = {}
_TABLES = (
    "sync_runs",
    "metric_changes",
    "daily_metrics",
    "feed_status",
    "daily_cumulative",
    "month_forecast",
    "run_findings",
)


def read_facts(
    session: Session | None,
    rules: Rules,
    day: dt.date,
    since: dt.datetime,
    until: dt.datetime,
    *,
    raised: tuple[Raised, ...] = (),
    troubles: tuple[SendTrouble, ...] = (),
    covered: "Mapping[str, Covered]" = _NONE,
    pulls: tuple[PullTrouble, ...] = (),
) -> Facts:
    """Reads the facts of one morning.

    Args:
        session: session on the published schema; None if there is no server yet.
        rules: the rules in force.
        day: the morning's business day.
        since: start of the span of runs to report, exclusive; see ``span_of``.
        until: end of the span, inclusive.
        raised: alerts that are true.
        troubles: messages that failed or may not have arrived.
        covered: by feed, the time up to which its pulls prove it complete.
        pulls: pulls that need attention.

    Raises:
        PostgresError: a query fails.
    """
    business, brief = rules.business, rules.brief
    if session is None or not has_all(session, list(_TABLES)):
        known = Facts(day, business.timezone, business.currency, brief.stale_days)
        return replace(known, raised=raised, troubles=troubles, pulls=pulls)
    yesterday = day - dt.timedelta(days=1)
    feeds = _covered(session, _feeds(session, rules), covered)
    (newest,) = session.query("SELECT max(date) FROM daily_metrics")[0]
    end = end_of_data(newest, feeds, spread_feeds(rules) | {TARGETS})
    through = last_whole_day(feeds, end, business.timezone, yesterday)
    good = last_good(session)
    return Facts(
        day=day,
        timezone=business.timezone,
        currency=business.currency,
        stale_days=brief.stale_days,
        published=good is not None,
        data_end=end,
        through=through,
        feeds=feeds,
        yesterday=_day(session, yesterday) if through == yesterday else (),
        to_date=_to_date(session, through) if through else (),
        restated=_restated(session, business.timezone, since, until),
        rejected=good.rows_rejected if good else 0,
        findings=_findings(session),
        failed=tuple(
            FailedRun(r.started_at, r.message or "") for r in failed_between(session, since, until) if r.started_at
        ),
        raised=raised,
        troubles=troubles,
        missed=_missed(session, rules, day),
        pulls=pulls,
    )


def needed_feeds(rules: Rules) -> frozenset[str]:
    """Returns the feeds from which a day's figures are counted, by the rules as they are now.

    Excludes monthly amounts that are spread over days, targets, and calls.
    """
    if rules.brief.feeds:
        return frozenset(rules.brief.feeds)
    named = {JOBS, PAYMENTS}
    for source in (dated.latest for dated in rules.sources.values()):
        if isinstance(source.leads, FeedLeads):
            named.add(source.leads.feed)
        named |= {c.feed for c in source.cost if c.feed and c.spread is None}
    return frozenset(named)


def spread_feeds(rules: Rules) -> frozenset[str]:
    """Returns the feeds of amounts that are spread over the days of their month."""
    sources = (dated.latest for dated in rules.sources.values())
    return frozenset(c.feed for source in sources for c in source.cost if c.feed and c.spread is not None)


def _missed(session: Session, rules: Rules, day: dt.date) -> MissedCalls | None:
    """Counts unreturned calls of the days in which calling back still counts; None if the table has no classes."""
    known = (
        "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('calls') AND attname = 'class' AND NOT attisdropped"
    )
    if not session.query(known):  # published by a version without classes of calls
        return None
    since = day - dt.timedelta(days=max(rules.calls.at(day).called_back, 1))
    ((lost, existing),) = session.query(
        "SELECT count(*) FILTER (WHERE class = 'missed and lost'), count(*) FILTER (WHERE class = 'existing job' "
        "AND NOT answered) FROM calls WHERE answered_within_s IS NULL AND call_date >= $1::text::date "
        "AND call_date < $2::text::date",
        [since.isoformat(), day.isoformat()],
    )
    return MissedCalls(since, int(lost), int(existing))


def _feeds(session: Session, rules: Rules) -> tuple[FeedFact, ...]:
    """Reads the feeds; one without any export is unused and not needed, unless it is jobs or named in the rules."""
    rows = session.query("SELECT feed, last_date, last_export_at, exports FROM feed_status ORDER BY feed")
    needed, always = needed_feeds(rules), {JOBS, *rules.brief.feeds}
    return tuple(
        FeedFact(name, name in needed and (exports > 0 or name in always), last, exported, exports)
        for name, last, exported, exports in rows
    )


def _covered(session: Session, feeds: tuple[FeedFact, ...], covered: "Mapping[str, Covered]") -> tuple[FeedFact, ...]:
    """Dates pulled feeds by their last complete pull: a pull without new rows also proves a feed up to date.

    This holds only if the last good run used the pulled exports. A feed of several lists is as old as the oldest one.
    """
    if not covered:
        return feeds
    good = last_good(session)
    published = good.exports if good else frozenset()
    return tuple(
        replace(f, last_export_at=_as_of(f.last_export_at, known, published))
        if (known := covered.get(f.feed)) is not None
        else f
        for f in feeds
    )


def _as_of(exported: dt.datetime | None, known: "Covered", published: frozenset[str]) -> dt.datetime | None:
    if known.at is None or not {sha256[:16] for sha256 in known.exports} <= published:
        return None if known.lists > 1 else exported
    return known.at if known.lists > 1 or exported is None else max(exported, known.at)


def _day(session: Session, day: dt.date) -> tuple[MonthLine, ...]:
    rows = session.query(
        "SELECT source, sum(jobs)::bigint, sum(leads)::bigint, sum(units)::bigint, sum(repairs)::bigint, "
        "sum(revenue_gross), sum(revenue40), sum(cost) FROM daily_metrics WHERE date = $1::text::date "
        "GROUP BY source ORDER BY source",
        [day.isoformat()],
    )
    return tuple(MonthLine(month_of(day), source, *counts, *map(Decimal, amounts)) for source, *both in rows
                 for counts, amounts in [(both[:4], both[4:])])  # fmt: skip


def _to_date(session: Session, through: dt.date) -> tuple[ToDate, ...]:
    rows = session.query(
        "SELECT source, leads_to_date, units_to_date, repairs_to_date, revenue40_to_date, cost_to_date, "
        "target_repairs, target_revenue40, repairs_pace, revenue40_pace FROM daily_cumulative "
        "WHERE date = $1::text::date AND month = date_trunc('month', $1::text::date::timestamp)::date "
        "AND repairs_to_date IS NOT NULL ORDER BY source <> 'ALL', source",
        [through.isoformat()],
    )
    ends = _month_ends(session, through)
    made = [
        ToDate(source, leads, units, repairs, *(None if a is None else Decimal(a) for a in amounts))  # type: ignore[arg-type]
        for source, leads, units, repairs, *amounts in rows
    ]
    return tuple(
        replace(row, repairs_end=ends.get((row.source, "repairs")), revenue40_end=ends.get((row.source, "revenue40")))
        for row in made
    )


def _month_ends(session: Session, through: dt.date) -> dict[tuple[str, str], MonthEnd]:
    """Reads the forecasts of the month's end made on a day, by source and measure; those of other days are outdated."""
    rows = session.query(
        "SELECT source, measure, estimate, low, high FROM month_forecast WHERE as_of = $1::text::date "
        "AND month = date_trunc('month', $1::text::date::timestamp)::date",
        [through.isoformat()],
    )
    return {
        (source, measure): MonthEnd(Decimal(value), *(None if v is None else Decimal(v) for v in limits))
        for source, measure, value, *limits in rows
    }


_RESTATED = """
WITH good AS (
    SELECT run_id, finished_at, lag(finished_at) OVER (ORDER BY finished_at, run_id) AS before
    FROM sync_runs WHERE status = 'ok'
),
changed AS (
    SELECT c.month, c.date, c.metric, c.cause, coalesce(c.new_value, 0) - coalesce(c.old_value, 0) AS change,
           (good.before AT TIME ZONE $1::text)::date AS shown
    FROM metric_changes AS c JOIN good USING (run_id)
    WHERE good.finished_at > $2::text::timestamptz AND good.finished_at <= $3::text::timestamptz
      AND c.metric NOT LIKE 'journeys.%'  -- what leads of a month earn grows for months after it
)
SELECT month, metric, string_agg(DISTINCT cause, '; '), count(DISTINCT date), sum(change)
FROM changed
WHERE CASE WHEN date IS NULL THEN (month + interval '1 month')::date <= shown
           ELSE date < shown AND (month + interval '1 month')::date > shown END
GROUP BY month, metric
ORDER BY month DESC, array_position(ARRAY['leads', 'jobs', 'units', 'repairs', 'revenue_gross', 'revenue40', 'cost'],
                                    metric::text)
"""


def _restated(session: Session, zone: str, since: dt.datetime, until: dt.datetime) -> tuple[Restated, ...]:
    """Reads changed figures of periods that were closed when the previous run published; open ones merely grow.

    For a closed month its monthly figure counts, for an open month the figures of its closed days.
    """
    rows = session.query(_RESTATED, [zone, since.isoformat(), until.isoformat()])
    return tuple(
        Restated(month, metric, int(days), Decimal(change), cause) for month, metric, cause, days, change in rows
    )


def _findings(session: Session) -> tuple[FindingFact, ...]:
    rows = session.query("SELECT code, severity, message, rows FROM run_findings WHERE latest ORDER BY severity, code")
    return tuple(FindingFact(*row) for row in rows)


def span_of(
    day: dt.date, zone: str, now: dt.datetime, last: tuple[dt.date, dt.datetime] | None
) -> tuple[dt.datetime, dt.datetime]:
    """Returns the span of runs that a brief covers; it follows the previous brief, so that nothing is reported twice.

    For today: from the previous brief on, at most 31 days; one day without any. For another day: that day's hours.

    Args:
        day: day of the brief.
        zone: the business's time zone.
        now: the present time.
        last: day and time of the last brief sent before this one. If it was sent after its day, it covered only that
            day's hours.
    """
    place = ZoneInfo(zone)
    if day != now.astimezone(place).date():
        return dt.datetime.combine(day, dt.time(), place), _end_of(day, place)
    if last is None:
        return now - dt.timedelta(days=1), now
    before, at = last
    return max(min(at, _end_of(before, place)), now - dt.timedelta(days=31)), now


def _end_of(day: dt.date, place: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), place)
