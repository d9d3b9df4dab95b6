"""Evaluates the alerts of the rules over the published views."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rmetrics.notify.raised import Occurrence, raised_by
from rmetrics.notify.second_engine import second_engine
from rmetrics.postgres.connection import Session, quoted
from rmetrics.postgres.ddl import has_all
from rmetrics.rules import Rules
from rmetrics.rules.notifications import Alert
from rmetrics.rules.published_views import VIEWS

_TABLES = ("sync_runs", "daily_metrics", "monthly_vs_target", "daily_cumulative", "data_freshness", "run_findings")
# Columns that alerts may use and the views lack. $1 is today in the business's time zone.
_ADDED: Mapping[str, Mapping[str, str]] = {
    "daily_cumulative": {
        "repairs_of_pace": "repairs_to_date / nullif(repairs_pace, 0)",
        "revenue40_of_pace": "revenue40_to_date / nullif(revenue40_pace, 0)",
        "running": "month = date_trunc('month', $1::text::date::timestamp)::date",
    }
}
_PUBLICATION = """
SELECT extract(epoch FROM now() - max(finished_at) FILTER (WHERE status = 'ok')) / 3600 AS hours,
       (SELECT count(*) FROM run_findings WHERE latest AND severity = 'error') AS errors,
       count(*) FILTER (WHERE status = 'failed' AND started_at > coalesce(
           (SELECT max(finished_at) FROM sync_runs WHERE status <> 'failed'), '-infinity'::timestamptz)) AS failed_runs,
       max(finished_at) FILTER (WHERE status = 'ok') AS last_run_at
FROM sync_runs"""
# Spend entered ahead gives future days a cost, so a window of days ends with the newest day that is not in the future.
_WINDOWS = {
    "months": "month BETWEEN (date_trunc('month', $1::text::date::timestamp) - make_interval(months => {n} - 1))::date "
    "AND $1::text::date",
    "days": "date > (SELECT least(max(date), $1::text::date) FROM daily_metrics) - {n} "
    "AND date <= (SELECT least(max(date), $1::text::date) FROM daily_metrics)",
}


def raised_alerts(session: Session, rules: Rules, today: dt.date) -> tuple[Occurrence, ...] | None:
    """Returns every occurrence of every alert, in the order of the rules; None if no publish has created the views yet.

    Args:
        session: session on the published schema.
        rules: the rules that declare the alerts.
        today: the business day that determines the current month.

    Raises:
        PostgresError: a query fails.
    """
    if not has_all(session, list(_TABLES)):
        return None
    zone = rules.business.timezone
    with second_engine() as second:
        return tuple(
            o for alert in rules.alerts.values() for o in raised_by(alert, _rows(session, alert, today), zone, second)
        )


def _rows(session: Session, alert: Alert, today: dt.date) -> list[dict[str, Any]]:
    """Reads the rows over which an alert is evaluated."""
    view, names = VIEWS[alert.over], list(VIEWS[alert.over].columns)
    if alert.over == "publication":
        return [dict(zip(names, row, strict=True)) for row in session.query(_PUBLICATION)]
    added = _ADDED.get(alert.over, {})
    columns = ", ".join(f"{added[n]} AS {quoted(n)}" if n in added else quoted(n) for n in names)
    where = "TRUE"
    if view.window:
        where = _WINDOWS[view.window].format(n=alert.span)
    elif alert.over == "run_findings":
        where = "latest"
    order = ", ".join(quoted(n) for n in names if n in {"month", "date", *view.identity})
    sql = f"SELECT {columns} FROM {quoted(alert.over)} WHERE {where} ORDER BY {order}"
    return [
        dict(zip(names, row, strict=True)) for row in session.query(sql, [today.isoformat()] if view.window else [])
    ]
