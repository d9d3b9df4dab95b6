"""What the morning brief is made of, read from the published tables."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

from rmetrics.brief.facts import (
    DayFigures,
    Facts,
    FailedRun,
    FeedFact,
    FindingFact,
    Raised,
    Restated,
    SendTrouble,
    ToDate,
    last_whole_day,
)
from rmetrics.postgres.connection import Session
from rmetrics.postgres.ddl import has_all
from rmetrics.rules import Rules
from rmetrics.rules.model import FeedLeads
from rmetrics.rules.names import JOBS, PAYMENTS

_TABLES = ("sync_runs", "metric_changes", "daily_metrics", "feed_status", "daily_cumulative", "run_findings")


def read_facts(
    session: Session | None,
    rules: Rules,
    day: dt.date,
    since: dt.datetime,
    until: dt.datetime,
    *,
    raised: tuple[Raised, ...] = (),
    troubles: tuple[SendTrouble, ...] = (),
) -> Facts:
    """The facts of a morning.

    Args:
        session: of the schema published to; None where there is no server yet.
        rules: whose zone it is, and which feeds figures come from.
        day: the morning's business day.
        since: runs after this may have restated something.
        until: no run after this is looked at.
        raised: alerts that are true.
        troubles: messages that may not have arrived.

    Raises:
        PostgresError: the server refuses.
    """
    business, brief = rules.business, rules.brief
    if session is None or not has_all(session, list(_TABLES)):
        return Facts(day, business.timezone, business.currency, brief.stale_days, raised=raised, troubles=troubles)
    yesterday = day - dt.timedelta(days=1)
    feeds = _feeds(session, rules)
    (end,) = session.query("SELECT max(date) FROM daily_metrics")[0]
    through = last_whole_day(feeds, end, business.timezone, yesterday)
    published, rejected = _last_good(session)
    return Facts(
        day=day,
        timezone=business.timezone,
        currency=business.currency,
        stale_days=brief.stale_days,
        published=published,
        data_end=end,
        through=through,
        feeds=feeds,
        yesterday=_day(session, yesterday) if through == yesterday else (),
        to_date=_to_date(session, through) if through else (),
        restated=_restated(session, business.timezone, since, until),
        rejected=rejected,
        findings=_findings(session),
        failed=_failed(session, since, until),
        raised=raised,
        troubles=troubles,
    )


def needed_feeds(rules: Rules) -> frozenset[str]:
    """The feeds that the figures of a day are counted from, as the rules are now.

    Not among them: amounts of a whole month, which are spread over its days, targets, and calls.
    """
    if rules.brief.feeds:
        return frozenset(rules.brief.feeds)
    named = {JOBS, PAYMENTS}
    for source in (dated.latest for dated in rules.sources.values()):
        if isinstance(source.leads, FeedLeads):
            named.add(source.leads.feed)
        named |= {c.feed for c in source.cost if c.feed and c.spread is None}
    return frozenset(named)


def _feeds(session: Session, rules: Rules) -> tuple[FeedFact, ...]:
    """The feeds; one that has never had an export is not used by this company, unless it is jobs or named."""
    rows = session.query("SELECT feed, last_date, last_export_at, exports FROM feed_status ORDER BY feed")
    needed, always = needed_feeds(rules), {JOBS, *rules.brief.feeds}
    return tuple(
        FeedFact(name, name in needed and (exports > 0 or name in always), last, exported)
        for name, last, exported, exports in rows
    )


def _last_good(session: Session) -> tuple[bool, int]:
    rows = session.query(
        "SELECT coalesce(rows_rejected, 0) FROM sync_runs WHERE status = 'ok' "
        "ORDER BY finished_at DESC, run_id DESC LIMIT 1"
    )
    return bool(rows), int(rows[0][0]) if rows else 0


def _day(session: Session, day: dt.date) -> tuple[DayFigures, ...]:
    rows = session.query(
        "SELECT source, sum(jobs)::bigint, sum(leads)::bigint, sum(units)::bigint, sum(repairs)::bigint, "
        "sum(revenue_gross), sum(revenue40), sum(cost) FROM daily_metrics WHERE date = $1::text::date "
        "GROUP BY source ORDER BY source",
        [day.isoformat()],
    )
    return tuple(DayFigures(source, *counts, *map(Decimal, amounts)) for source, *both in rows
                 for counts, amounts in [(both[:4], both[4:])])  # fmt: skip


def _to_date(session: Session, through: dt.date) -> tuple[ToDate, ...]:
    rows = session.query(
        "SELECT source, leads_to_date, units_to_date, repairs_to_date, revenue40_to_date, cost_to_date, "
        "target_repairs, target_revenue40, repairs_pace, revenue40_pace FROM daily_cumulative "
        "WHERE date = $1::text::date AND month = date_trunc('month', $1::text::date::timestamp)::date "
        "AND repairs_to_date IS NOT NULL ORDER BY source <> 'ALL', source",
        [through.isoformat()],
    )
    return tuple(
        ToDate(source, leads, units, repairs, *(None if a is None else Decimal(a) for a in amounts))  # type: ignore[arg-type]
        for source, leads, units, repairs, *amounts in rows
    )


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
    """Changed figures of what was over when the run before published: what still grows is not restated.

    Of a month that was over, the whole month's figure; of one that was not, its days that were.
    """
    rows = session.query(_RESTATED, [zone, since.isoformat(), until.isoformat()])
    return tuple(
        Restated(month, metric, int(days), Decimal(change), cause) for month, metric, cause, days, change in rows
    )


def _findings(session: Session) -> tuple[FindingFact, ...]:
    rows = session.query("SELECT code, severity, message, rows FROM run_findings WHERE latest ORDER BY severity, code")
    return tuple(FindingFact(*row) for row in rows)


def _failed(session: Session, since: dt.datetime, until: dt.datetime) -> tuple[FailedRun, ...]:
    """Runs that failed in the span; where the newest of all runs failed, that one, too."""
    rows = session.query(
        "SELECT started_at, coalesce(detail -> 'error' ->> 'message', '') FROM sync_runs AS r WHERE status = 'failed' "
        "AND started_at <= $2::text::timestamptz AND (started_at > $1::text::timestamptz "
        "OR NOT EXISTS (SELECT 1 FROM sync_runs AS later WHERE later.started_at > r.started_at)) ORDER BY started_at",
        [since.isoformat(), until.isoformat()],
    )
    return tuple(FailedRun(at, message) for at, message in rows)


def span_of(
    day: dt.date, zone: str, now: dt.datetime, last_sent: dt.datetime | None
) -> tuple[dt.datetime, dt.datetime]:
    """Since when and until when runs are looked at.

    Today: since the brief before, but at least a day and at most a month. Another day: its own hours.
    """
    place = ZoneInfo(zone)
    if day != now.astimezone(place).date():
        start = dt.datetime.combine(day, dt.time(), place)
        return start, dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), place)
    back = now - dt.timedelta(days=1)
    if last_sent is not None:
        back = max(min(back, last_sent), now - dt.timedelta(days=31))
    return back, now
