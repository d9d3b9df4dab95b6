"""Alerts of the rules: the same as Grafana's on the same data, told once, by their own words."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from published import Published, empty_schema, query, run
from rmetrics.grafana.alerts import alert_rules
from rmetrics.grafana.model import Installation
from rmetrics.notify.declared import may_have_channels
from rmetrics.notify.evaluation import raised_alerts
from rmetrics.postgres.connection import connect, server_of
from rmetrics.rules import Rules, load_rules
from rmetrics.usecases.alerts import alerts, alerts_after_sync
from services import Service, service
from small_company import jobs
from support import ROOT, Project, new_project

pytestmark = pytest.mark.one_engine

PLACE = Installation("America/New_York", "USD")
GRAFANA = {r["uid"].removeprefix("rmetrics-"): r for r in alert_rules(PLACE)["groups"][0]["rules"]}
TODAY = dt.datetime.now(ZoneInfo("America/New_York")).date()
MONTH = TODAY.replace(day=1)
RULES = load_rules(ROOT / "rules")


@pytest.fixture
def running(pg_uri: str) -> Iterator[Published]:
    """An empty schema with a business row."""
    with empty_schema(pg_uri) as made:
        run(made.owner, "INSERT INTO business (timezone, currency) VALUES ('America/New_York', 'USD')")
        yield made


def ours(where: Published, rules: Rules = RULES, today: dt.date = TODAY) -> set[tuple[str, str]]:
    """Name and what it is of, for each alert that is true."""
    with connect(server_of(where.owner)) as session:
        found = raised_alerts(session, rules, today)
    assert found is not None
    return {(o.name, o.of.partition(", ")[0]) for o in found}


def grafanas(where: Published) -> set[tuple[str, str]]:
    """The same by the SQL and thresholds of the Grafana kit: the independent answer."""
    fired = set()
    for name, rule in GRAFANA.items():
        evaluator = rule["data"][2]["model"]["conditions"][0]["evaluator"]
        columns, rows = query(where.owner, rule["data"][0]["model"]["rawSql"])
        for row in rows:
            value = None if row[-1] is None else Decimal(str(row[-1]))
            limit = Decimal(str(evaluator["params"][0]))
            over = rule["noDataState"] == "Alerting" if value is None else (
                value > limit if evaluator["type"] == "gt" else value < limit)  # fmt: skip
            if over:
                fired.add((name, row[1] if len(columns) == 3 else ""))
    return fired


DAILY = (
    "INSERT INTO daily_metrics (date, time, source, segment, leads, units, repairs, revenue_gross, revenue40, cost) "
)
MONTHLY = DAILY.replace("daily_metrics (date", "monthly_metrics (month")
OK = "INSERT INTO sync_runs (run_id, started_at, finished_at, status, detail) VALUES ('{}', {}, {}, '{}', '{}'::jsonb)"
FINDING = '{{"findings": [{{"code": "x", "severity": "{}", "message": "m", "rows": 1}}]}}'


@pytest.mark.deep
def test_silent_and_loud_like_grafana(running: Published) -> None:
    """Step by step from nothing published to all four, each time the same as the kit's own SQL says."""
    assert ours(running) == grafanas(running) == {("stale", "")}
    run(running.owner, OK.format("a", "now() - interval '27 hours'", "now() - interval '27 hours'", "ok", "{}"))
    assert ours(running) == grafanas(running) == {("stale", "")}
    run(
        running.owner,
        OK.format("b", "now() - interval '25 hours'", "now() - interval '25 hours'", "ok", FINDING.format("error")),
    )
    assert ours(running) == grafanas(running) == {("checks", "")}
    run(
        running.owner,
        OK.format("c", "now() - interval '1 hour'", "now() - interval '1 hour'", "ok", FINDING.format("warning")),
    )
    assert ours(running) == grafanas(running) == set()
    run(running.owner, OK.format("d", "now()", "now()", "failed", "{}"))
    assert ours(running) == grafanas(running) == {("checks", "")}
    values = [
        ("O''Brien", 2, 60, 20),
        ("Pro Referral", 2, 40, 20),
        ("Google", 0, 40, 20),
        ("Rely", 3, 1, 0),
        ("NSA", 3, "60.01", 20),
    ]
    for source, leads, cost, ceiling in values:
        run(
            running.owner,
            MONTHLY + f"VALUES ('{MONTH}', now(), '{source}', 'COD', {leads}, 0, 0, 0, 0, {cost})",
            f"INSERT INTO targets (month, source, segment, target_cpl_max) VALUES ('{MONTH}', '{source}', 'ALL', {ceiling})",
        )
    assert ours(running) == grafanas(running) == {("checks", ""), ("cpl", "O'Brien"), ("cpl", "NSA")}


def test_pace_like_grafana(running: Published) -> None:
    run(
        running.owner,
        DAILY
        + f"SELECT d::date, now(), 'Rely', 'INS', 1, 1, 1, 0, 0, 0 FROM generate_series('{MONTH}'::date, '{TODAY}'::date, '1 day') AS d",
        f"INSERT INTO targets (month, source, segment, target_repairs) SELECT '{MONTH}', s, 'ALL', n FROM (VALUES "
        "('ALL', 31.0), ('Rely', 62.0), ('Google', 10.0), ('NSA', 0.0)) AS t (s, n)",
        OK.format("a", "now()", "now()", "ok", "{}"),
        f"INSERT INTO published_parts VALUES ('daily_metrics', '{MONTH}', 1, 'x', 'a'), ('targets', '{MONTH}', 4, 'x', 'a')",
    )
    assert ours(running) == grafanas(running)
    if TODAY.day >= 8:
        assert ours(running) >= {("pace", "Rely"), ("pace", "Google")}
    run(running.owner, f"DELETE FROM daily_metrics WHERE date > '{MONTH}'::date + 6")
    assert ours(running) == grafanas(running) == set()


@pytest.mark.deep
def test_data_of_an_older_month_raise_no_pace(sample: Published) -> None:
    assert "pace" not in {name for name, _ in ours(sample)}
    assert ("pace", "Rely") in ours(sample, today=dt.date(2024, 12, 19))


def own(project: Project, text: str) -> Rules:
    (project.rules / "own.toml").write_text(text, encoding="utf-8")
    return load_rules(project.rules)


@pytest.mark.parametrize(
    ("over", "where", "expected"),
    [
        ("monthly_vs_target", "segment = 'ALL' AND source = 'ALL' AND leads > 0", "ALL"),
        ("call_funnel", "missed > 0 AND source <> 'Unattributed'", None),
        ("data_freshness", "feed = 'jobs' AND last_date < DATE '2025-01-01' AND exports > 0", "jobs"),
        ("run_findings", "code = 'undeclared-source' AND rows > 10 AND severity = 'warning'", "undeclared-source"),
        ("publication", "hours < 26.5 AND errors = 0 AND last_run_at > TIMESTAMP '2025-01-01 00:00:00'", ""),
        ("daily_cumulative", "source = 'ALL' AND running AND repairs_to_date > 0 AND cost_to_date > 1.25", "ALL"),
    ],
)
def test_each_view_can_be_looked_at(
    sample: Published, tmp_path: Path, over: str, where: str, expected: str | None
) -> None:
    project = new_project(tmp_path / "own", sample.owner)
    (project.rules / "messages.toml").unlink()
    rules = own(project, f'[[alerts]]\nname = "own"\ntitle = "Own"\nover = "{over}"\nwhere = "{where}"\n')
    found = ours(sample, rules, today=dt.date(2024, 12, 20))
    assert found == {("own", expected)} if expected is not None else all(n == "own" for n, _ in found)


def test_a_window_reaches_back(sample: Published, tmp_path: Path) -> None:
    """Three months of the company: the running one and the two before, as plain SQL has them."""
    project = new_project(tmp_path / "own", sample.owner)
    (project.rules / "messages.toml").unlink()
    text = (
        '[[alerts]]\nname = "own"\ntitle = "Own"\nover = "monthly_vs_target"\nmonths = 3\n'
        "where = \"source = 'ALL' AND segment = 'ALL'\"\n"
    )
    with connect(server_of(sample.owner)) as session:
        found = raised_alerts(session, own(project, text), dt.date(2024, 12, 20)) or ()
    assert [o.key for o in found] == [f"2024-{m}-01/ALL/ALL" for m in (10, 11, 12)]
    assert found[0].command == "rmetrics explain --source ALL --month 2024-10"
    assert found[0].of == "ALL, 2024-10"


# -- once only


@pytest.fixture
def project_with_a_channel(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Project, Service]]:
    """A published project whose alert `many` is true, and one channel that gets it."""
    with service() as made:
        monkeypatch.setenv("TEST_OWNER", made.url())
        (project.rules / "messages.toml").unlink()
        own(
            project,
            '[notify.owner]\nurl = "TEST_OWNER"\ngets = ["alerts"]\n'
            '[[alerts]]\nname = "many"\ntitle = "Jobs"\nover = "data_freshness"\nwhere = "feed = \'jobs\' AND rows > 1"\n'
            'explain = "rmetrics status"\n',
        )
        project.put(
            "jobs.csv", jobs((1, "COD Repair", "Google", "11/05/2024"), (2, "COD Repair", "Google", "11/05/2024"))
        )
        project.sync()
        yield project, made


def test_an_occurrence_is_told_once_and_again_when_it_comes_back(
    project_with_a_channel: tuple[Project, Service],
) -> None:
    project, made = project_with_a_channel
    for _ in range(3):
        (found,) = alerts(project.settings).alerts
    assert len(made.got) == 1
    assert made.got[0]["title"] == "rmetrics: Jobs"
    assert "Jobs: jobs (rows 2)" in made.got[0]["message"]
    assert "rmetrics status" in made.got[0]["message"]
    assert found.since is not None
    project.put("jobs.csv", jobs((1, "COD Repair", "Google", "11/05/2024")))
    run(project.dsn, "UPDATE feed_status SET rows = 1")
    assert alerts(project.settings).alerts == ()
    run(project.dsn, "UPDATE feed_status SET rows = 2")
    alerts(project.settings)
    assert len(made.got) == 2


def test_a_look_keeps_and_sends_nothing(project_with_a_channel: tuple[Project, Service]) -> None:
    project, made = project_with_a_channel
    assert len(alerts(project.settings, send_them=False).alerts) == 1
    assert made.got == []
    assert not (project.root / "data" / "messages.sqlite").exists()


def test_a_failing_channel_is_a_finding_and_is_tried_again(project_with_a_channel: tuple[Project, Service]) -> None:
    project, made = project_with_a_channel
    made.status = 503
    (finding,) = alerts_after_sync(project.settings)
    assert (finding.code, finding.severity) == ("message-not-sent", "warning")
    assert "owner" in finding.message
    assert "503" in finding.message
    made.status = 200
    assert alerts_after_sync(project.settings) == ()
    assert [m["title"] for m in made.got] == ["rmetrics: Jobs"] * 2


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("", False), ("# [notify.owner]\n", False), ('  [notify.owner]\nurl = "X"\n', True), ("[notify]\n", True),
        ('["notify".owner]\nurl = "X"\n', True), ('notify.owner.url = "X"\n', True), ("notify = {}\n", True),
    ],
)  # fmt: skip
def test_whether_anybody_is_to_be_told_is_known_without_loading_the_rules(
    project: Project, text: str, may: bool
) -> None:
    (project.rules / "own.toml").write_text(text, encoding="utf-8")
    assert may_have_channels(project.settings.rules_dir) == may


def test_without_a_channel_nothing_is_looked_at_after_a_sync(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("rmetrics.usecases.alerts.alerts", fail)
    assert alerts_after_sync(project.settings) == ()


def test_before_the_first_publish_there_is_nothing_to_evaluate(bare_project: Project) -> None:
    project = bare_project
    result = alerts(project.settings)
    assert (result.evaluated, result.alerts, result.declared) == (False, (), 4)
