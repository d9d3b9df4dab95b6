"""The alert rules. Alerts have no variables: their SQL contains no dollar sign and uses the business's own today."""

from rmetrics.grafana.data_health import STALE_HOURS
from rmetrics.grafana.model import SOURCE, Installation, Json

FIRST_DAY_OF_PACE = 8  # before that a single repair moves the pace by more than a tenth
PACE = 0.9


def alert_rules(place: Installation) -> Json:
    """Returns the provisioning document of all rules."""
    rules = [
        _rule(
            "rmetrics-cpl",
            "CPL above its ceiling",
            "The leads of {{ $labels.source }} cost more than the target allows this month.",
            "Compare on the dashboard Channels, then run: rmetrics explain --source NAME --month YYYY-MM --metric cost",
            f"""
SELECT now() AS "time", source, cpl / target_cpl_max AS value
FROM monthly_vs_target
WHERE month = {place.running_month} AND segment = 'ALL' AND target_cpl_max > 0 AND cpl IS NOT NULL
ORDER BY source""",
            ("gt", 1),
            no_data="OK",
            pending="1h",
        ),
        _rule(
            "rmetrics-pace",
            "Repairs below 90 % of pace",
            "Repairs of {{ $labels.source }} are below 90 % of the target's pace.",
            "See the dashboard This month. No alert before the 7th, while a single repair changes the pace too much.",
            f"""
WITH last AS (
  SELECT least(max(date), {place.today}) AS day FROM daily_metrics
)
SELECT now() AS "time", t.source,
       (SELECT coalesce(sum(repairs), 0) FROM daily_metrics AS d
        WHERE d.date >= t.month AND d.date <= last.day AND (t.source = 'ALL' OR d.source = t.source))
       / (t.target_repairs * extract(day FROM last.day)
          / extract(day FROM t.month + interval '1 month' - interval '1 day')) AS value
FROM targets AS t
CROSS JOIN last
WHERE t.month = {place.running_month} AND last.day >= t.month + {FIRST_DAY_OF_PACE - 1}
  AND t.segment = 'ALL' AND t.target_repairs > 0
ORDER BY t.source""",
            ("lt", PACE),
            no_data="OK",
            pending="1h",
        ),
        _rule(
            "rmetrics-stale",
            f"No fresh data for {STALE_HOURS} hours",
            f"Nothing has been published for more than {STALE_HOURS} hours.",
            "Check rmetrics status, the log of the nightly run, and whether new exports are in the inbox.",
            """
SELECT now() AS "time", extract(epoch FROM now() - max(finished_at)) / 3600 AS value
FROM sync_runs
WHERE status = 'ok'""",
            ("gt", STALE_HOURS),
            no_data="Alerting",
            pending="0s",
        ),
        _rule(
            "rmetrics-checks",
            "Failed checks",
            "The last run found errors in the data, or a run failed after it.",
            "See the dashboard Data health, then run: rmetrics check",
            """
SELECT now() AS "time",
       (SELECT count(*) FROM run_findings WHERE latest AND severity = 'error')
       + (SELECT count(*) FROM sync_runs WHERE status = 'failed' AND started_at > coalesce(
              (SELECT max(finished_at) FROM sync_runs WHERE status <> 'failed'), '-infinity'::timestamptz)) AS value""",
            ("gt", 0),
            no_data="OK",
            pending="0s",
        ),
    ]
    group = {"orgId": 1, "name": "rmetrics", "folder": "rmetrics", "interval": "10m", "rules": rules}
    return {"apiVersion": 1, "groups": [group]}


def _rule(
    uid: str,
    title: str,
    summary: str,
    what_to_do: str,
    sql: str,
    threshold: tuple[str, float],
    *,
    no_data: str,
    pending: str,
) -> Json:
    span = {"from": 600, "to": 0}
    query = {
        "refId": "A",
        "datasourceUid": SOURCE["uid"],
        "relativeTimeRange": span,
        "model": {
            "refId": "A",
            "datasource": SOURCE,
            "editorMode": "code",
            "format": "time_series",
            "rawQuery": True,
            "rawSql": sql.strip(),
            "intervalMs": 60000,
            "maxDataPoints": 43200,
        },
    }
    reduce: Json = {"refId": "B", "type": "reduce", "expression": "A", "reducer": "last"}
    kind, limit = threshold
    limits: Json = {
        "refId": "C",
        "type": "threshold",
        "expression": "B",
        "conditions": [{"evaluator": {"type": kind, "params": [limit]}}],
    }
    return {
        "uid": uid,
        "title": title,
        "condition": "C",
        "for": pending,
        "noDataState": no_data,
        "execErrState": "Error",
        "labels": {"app": "rmetrics"},
        "annotations": {"summary": summary, "description": what_to_do},
        "data": [
            query,
            *({"refId": e["refId"], "datasourceUid": "__expr__", "relativeTimeRange": span,
               "model": {**e, "datasource": {"type": "__expr__", "uid": "__expr__"}}} for e in (reduce, limits)),
        ],
    }  # fmt: skip
