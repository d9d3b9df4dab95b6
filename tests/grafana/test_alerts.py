"""The alert rules: their SQL as the reader role, when they fire and when they are silent."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from published import Published, empty_schema, query, rows_read, run
from rmetrics.grafana.alerts import alert_rules
from rmetrics.grafana.model import Installation
from support import ROOT

FILE = ROOT / "grafana" / "provisioning" / "alerting" / "rmetrics.yaml"
PLACE = Installation("America/New_York", "USD")
RULES = {r["uid"]: r for r in alert_rules(PLACE)["groups"][0]["rules"]}
TODAY = f"({PLACE.today})"
MONTH = f"({PLACE.running_month})"
INSERT = "INSERT INTO {0}_metrics ({1}, time, source, segment, leads, units, repairs, revenue_gross, revenue40, cost) "


def sql_of(uid: str) -> str:
    """The query of a rule."""
    return str(RULES[uid]["data"][0]["model"]["rawSql"])


def values(where: Published, uid: str) -> dict[str, Decimal | None]:
    """Source (or nothing) to value, as the reader gets them; checks the form that conditions take."""
    columns, rows = query(where.reader, sql_of(uid))
    names = [name for name, _ in columns]
    assert names in (["time", "value"], ["time", "source", "value"])
    assert str(columns[0][1]).startswith("timestamp")
    return {r[1] if len(r) == 3 else "": None if r[-1] is None else Decimal(r[-1]) for r in rows}


@pytest.fixture
def running(pg_uri: str) -> Iterator[Published]:
    """An empty schema with a business row."""
    with empty_schema(pg_uri) as made:
        run(made.owner, "INSERT INTO business (timezone, currency) VALUES ('America/New_York', 'USD')")
        yield made


def spent(where: Published, source: str, leads: int, cost: int, ceiling: int) -> None:
    """Figures and a ceiling of the running month."""
    name = source.replace("'", "''")
    run(
        where.owner,
        INSERT.format("monthly", "month") + f"VALUES ({MONTH}, now(), '{name}', 'COD', {leads}, 0, 0, 0, 0, {cost})",
        f"INSERT INTO targets (month, source, segment, target_cpl_max) VALUES ({MONTH}, '{name}', 'ALL', {ceiling})",
    )


def test_the_committed_rules_are_the_generated_ones() -> None:
    """The YAML, read as Grafana reads it ($$ is a dollar sign), is the same document."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value.replace("$$", "$") if isinstance(value, str) else value

    assert plain(yaml.safe_load(FILE.read_text(encoding="utf-8"))) == alert_rules(PLACE)


def test_rules_are_whole() -> None:
    """A condition over the query, a summary, what to do, and no dollar sign in SQL: alerts expand nothing."""
    assert set(RULES) == {"rmetrics-cpl", "rmetrics-pace", "rmetrics-stale", "rmetrics-checks"}
    for rule in RULES.values():
        steps = {d["refId"]: d for d in rule["data"]}
        assert list(steps) == ["A", "B", "C"]
        assert rule["condition"] == "C"
        assert steps["A"]["model"]["format"] == "time_series"
        assert "$" not in steps["A"]["model"]["rawSql"]
        assert "current_date" not in steps["A"]["model"]["rawSql"]
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
    assert RULES["rmetrics-stale"]["noDataState"] == "Alerting"
    assert RULES["rmetrics-stale"]["data"][2]["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [26]}
    assert RULES["rmetrics-pace"]["data"][2]["model"]["conditions"][0]["evaluator"] == {"type": "lt", "params": [0.9]}


@pytest.mark.parametrize("uid", RULES)
def test_rules_run_on_nothing_and_on_much(nothing: Published, sample: Published, years: Published, uid: str) -> None:
    """No error before the first publish; no more than the running month is read."""
    assert len(values(nothing, uid)) <= 1
    values(sample, uid)
    for table, read in rows_read(years.reader, sql_of(uid)).items():
        assert read <= (1_700 if table == "monthly_metrics" else 650), f"{uid} reads {read} rows of {table}"


def test_cpl_above_its_ceiling(running: Published) -> None:
    """60 over 2 leads against 20 fires, at the ceiling not, without leads there is nothing to say."""
    spent(running, "O'Brien", 2, 60, 20)
    spent(running, "Pro Referral", 2, 40, 20)
    spent(running, "Google", 0, 40, 20)
    assert values(running, "rmetrics-cpl") == {"O'Brien": Decimal("1.5"), "Pro Referral": 1}


def test_pace(running: Published) -> None:
    """Repairs of each day against the target's share of the days that have data; silent up to the 7th."""
    length = query(running.owner, f"SELECT extract(day FROM {MONTH} + interval '1 month' - interval '1 day')::int, extract(day FROM {TODAY})::int")[1][0]  # fmt: skip
    month_days, today = length
    last = min(10, today)
    run(
        running.owner,
        INSERT.format("daily", "date")
        + f"SELECT {MONTH} + n, now(), 'Rely', 'INS', 1, 1, 1, 0, 0, 0 FROM generate_series(0, {last - 1}) AS n",
        f"INSERT INTO targets (month, source, segment, target_repairs) VALUES ({MONTH}, 'ALL', 'ALL', {month_days}), "
        f"({MONTH}, 'Rely', 'ALL', {2 * month_days}), ({MONTH}, 'Google', 'ALL', 10), ({MONTH}, 'NSA', 'ALL', 0)",
    )
    expected = {"ALL": 1, "Rely": Decimal("0.5"), "Google": 0} if last > 7 else {}
    assert {k: round(v or Decimal(0), 6) for k, v in values(running, "rmetrics-pace").items()} == expected
    run(running.owner, f"DELETE FROM daily_metrics WHERE date > {MONTH} + 6")
    assert values(running, "rmetrics-pace") == {}


def test_stale_data(running: Published) -> None:
    """Hours since the last good run; a failed one does not count, and no run at all gives no value."""
    assert values(running, "rmetrics-stale") == {"": None}
    run(
        running.owner,
        "INSERT INTO sync_runs (run_id, started_at, finished_at, status) VALUES "
        "('a', now() - interval '31 hours', now() - interval '30 hours', 'ok'), ('b', now(), now(), 'failed')",
    )
    assert round(values(running, "rmetrics-stale")[""] or 0) == 30


def test_failed_checks(running: Published) -> None:
    """Errors among the last run's findings and failed runs after it; warnings and older runs are silent."""
    finding = '{"code": "x", "severity": "%s", "message": "m", "rows": 1}'
    errors, warnings = (f'{{"findings": [{finding % s}]}}' for s in ("error", "warning"))
    now = dt.datetime.now(dt.UTC)
    add = "INSERT INTO sync_runs (run_id, started_at, finished_at, status, detail) VALUES ('{}', '{}', '{}', '{}', '{}'::jsonb)"  # fmt: skip
    assert values(running, "rmetrics-checks") == {"": 0}
    run(running.owner, add.format("a", now - dt.timedelta(hours=3), now - dt.timedelta(hours=3), "ok", errors))
    assert values(running, "rmetrics-checks") == {"": 1}
    run(running.owner, add.format("b", now - dt.timedelta(hours=2), now - dt.timedelta(hours=2), "ok", warnings))
    assert values(running, "rmetrics-checks") == {"": 0}
    run(running.owner, add.format("c", now, now, "failed", "{}"))
    assert values(running, "rmetrics-checks") == {"": 1}
