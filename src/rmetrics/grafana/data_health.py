"""*Data health*: freshness of each feed, rows read and rejected by runs, findings, and changes with their causes."""

from rmetrics.grafana import model as m
from rmetrics.grafana.model import Installation, Json, Panel

STALE_HOURS = 26  # a nightly run plus two hours of tolerance
_RANGE = "BETWEEN ($__timeFrom())::timestamptz AND ($__timeTo())::timestamptz"


def health(place: Installation) -> Json:
    """Returns the dashboard."""
    rows = [_headline(), [_freshness(), _findings()], [_runs(), _rejected()], [_causes(), _changes()]]
    about = "The state of the data: freshness, runs, rejected rows, findings and changes."
    return m.dashboard("rmetrics-health", "Data health", about, rows, [], place, ("now-29d/d", "now/d"))


def _headline() -> list[Panel]:
    last = "(SELECT run_id FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1)"
    hours = (
        'SELECT extract(epoch FROM now() - max(finished_at)) / 3600 AS "Hours since the last publish"\n'
        "FROM sync_runs WHERE status = 'ok'"
    )
    rejected = f'SELECT rows_rejected AS "Rejected rows" FROM sync_runs WHERE run_id = {last}'
    findings = "SELECT count(*) FILTER (WHERE severity = '{0}') AS \"{1}\" FROM run_findings WHERE latest"
    changed = (
        'SELECT count(*) AS "Changed since yesterday" FROM metric_changes JOIN sync_runs USING (run_id)\n'
        "WHERE finished_at > now() - interval '24 hours' AND date IS NULL"
    )
    oldest = 'SELECT max(age_days) AS "Oldest feed" FROM data_freshness'
    run = f'SELECT {last} AS "Run"'
    return [
        m.stat(
            "Since the last publish",
            f"Hours since the last publish. Red after {STALE_HOURS}.",
            hours,
            size=(4, 4),
            unit="h",
            decimals=1,
            steps=((None, m.GREEN), (STALE_HOURS, m.RED)),
        ),
        m.stat(
            "Oldest feed",
            "Age of the newest row of the stalest feed. Targets and monthly spend have the first day of their month.",
            oldest,
            size=(4, 4),
            unit="d",
            steps=((None, m.GREEN), (35, m.YELLOW), (70, m.RED)),
        ),
        m.stat(
            "Failed checks",
            "Findings at error level in the last published run: do not rely on the figures concerned.",
            findings.format("error", "Failed checks"),
            size=(4, 4),
            steps=((None, m.GREEN), (1, m.RED)),
        ),
        m.stat(
            "Warnings",
            "Findings to review, in the last published run.",
            findings.format("warning", "Warnings"),
            size=(3, 4),
            steps=((None, m.GREEN), (1, m.YELLOW)),
        ),
        m.stat(
            "Rejected rows",
            "Rows of all exports that could not be read, in the last published run. To list them: rmetrics rejected",
            rejected,
            size=(3, 4),
            steps=((None, m.GREEN), (1, m.YELLOW)),
        ),
        m.stat(
            "Changed in 24 h",
            "Published monthly figures changed by runs of the last 24 hours.",
            changed,
            size=(3, 4),
            steps=((None, m.GREEN), (1, m.BLUE)),
        ),
        m.stat("Run", "The run whose figures are shown.", run, size=(3, 4), unit="string", fields="/.*/"),
    ]


def _freshness() -> Panel:
    sql = """
SELECT feed AS "Feed", rows AS "Rows", to_char(last_date, 'YYYY-MM-DD') AS "Last day", age_days AS "Age",
       last_export_at AS "Newest export", exports AS "Exports"
FROM data_freshness
ORDER BY age_days DESC NULLS FIRST, feed"""
    return m.table(
        "Freshness by feed",
        "The last business day in each feed, its age in days, and the time of the newest export.",
        sql,
        (12, 9),
        overrides={
            "Age": {"unit": "d"} | m.cell_colours(((None, m.GREEN), (3, m.YELLOW), (35, m.RED))),
            "Newest export": {"unit": "dateTimeAsLocal"},
        },
    )


def _findings() -> Panel:
    sql = """
SELECT severity AS "Severity", code AS "Finding", rows AS "Rows", message AS "What, and what to do"
FROM run_findings
WHERE latest
ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, rows DESC, code"""
    word = {
        "type": "value",
        "options": {"error": {"color": m.RED, "index": 0}, "warning": {"color": m.YELLOW, "index": 1}},
    }
    return m.table(
        "Findings of the last run",
        "Failed checks first. No rows means no findings.",
        sql,
        (12, 9),
        overrides={
            "Severity": {"mappings": [word], "custom.cellOptions": {"type": "color-text"}, "custom.width": 90},
            "Rows": {"custom.width": 70},
            "What, and what to do": m.WRAPPED,
            "Finding": {"custom.width": 170},
        },
    )  # fmt: skip


def _runs() -> Panel:
    sql = f"""
SELECT finished_at AS "Finished", status AS "Status",
       (SELECT message FROM run_findings AS f WHERE f.run_id = r.run_id AND f.code = 'run-failed') AS "Why it failed",
       files AS "Exports", rows_read AS "Rows read", rows_rejected AS "Rejected",
       extract(epoch FROM finished_at - started_at) AS "Took", version AS "Version", run_id AS "Run"
FROM sync_runs AS r
WHERE started_at {_RANGE}
ORDER BY started_at DESC
LIMIT 100"""
    word = {"type": "value", "options": {"ok": {"color": m.GREEN, "index": 0}, "failed": {"color": m.RED, "index": 1}}}
    return m.table(
        "Runs",
        "Runs that published or failed, newest first. A run without new data writes nothing, except "
        "after a failed run: unchanged means that the failure is resolved.",
        sql,
        (12, 9),
        overrides={
            "Finished": {"unit": "dateTimeAsLocal"},
            "Took": {"unit": "s", "decimals": 1},
            "Why it failed": m.WRAPPED,
            "Status": {"mappings": [word], "custom.cellOptions": {"type": "color-text"}},
        },
    )


def _rejected() -> Panel:
    sql = f"""
SELECT finished_at AS "time", rows_rejected AS "Rejected rows"
FROM sync_runs
WHERE status = 'ok' AND finished_at {_RANGE}
ORDER BY finished_at"""
    return m.lines(
        "Rejected rows by run",
        "Rows of all exports that each run could not read. A jump usually means that a vendor changed its export.",
        sql,
        (12, 9),
        min_=0,
    )


def _causes() -> Panel:
    sql = f"""
SELECT finished_at AS "When", cause AS "Why", count(*) AS "Numbers", count(DISTINCT month) AS "Months",
       count(DISTINCT source) AS "Sources"
FROM metric_changes
JOIN sync_runs USING (run_id)
WHERE date IS NULL AND finished_at {_RANGE}
GROUP BY run_id, finished_at, cause
ORDER BY finished_at DESC, count(*) DESC
LIMIT 100"""
    return m.table(
        "Why numbers changed",
        "Changes of monthly figures by run and cause.",
        sql,
        (10, 11),
        overrides={
            "When": {"unit": "dateTimeAsLocal", "custom.width": 160},
            "Why": m.WRAPPED,
            **{n: {"custom.width": 80} for n in ("Numbers", "Months", "Sources")},
        },
    )


def _changes() -> Panel:
    sql = f"""
SELECT finished_at AS "When", to_char(month, 'YYYY-MM') AS "Month", source AS "Source", segment AS "Segment",
       metric AS "Metric", old_value AS "Was", new_value AS "Is", cause AS "Why"
FROM metric_changes
JOIN sync_runs USING (run_id)
WHERE date IS NULL AND finished_at {_RANGE}
ORDER BY finished_at DESC, month DESC, source, segment, metric
LIMIT 200"""
    return m.table(
        "What changed",
        "Published monthly figures changed by runs: the old and the new value. A dash means no row.",
        sql,
        (14, 11),
        overrides={
            "When": {"unit": "dateTimeAsLocal", "custom.width": 160},
            "Why": m.WRAPPED,
            "Was": {"decimals": 2},
            "Is": {"decimals": 2},
        },
    )
