"""A measure of one's own, from the line in TOML to PostgreSQL: published, explained, planned, remembered."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import small_company
from rmetrics.cli import run
from small_company import payments, targets
from support import ROOT, Project

OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"

[measures.receivables]
of = "jobs"
sum = "total - paid"
where = "total > paid"

[measures.callback_rate]
ratio = ["callbacks", "repairs"]
format = "percent"

[dimensions.technician]
of = "jobs"
column = "technician"
split = ","
"""
Line = Callable[..., tuple[int, Any]]


@pytest.fixture
def say(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs a command line in the project: exit code and the JSON document on stdout."""
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)

    def line(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return line


def company(project: Project) -> None:
    """A project with two months of jobs, targets, and measures of its own."""
    (project.rules / "own.toml").write_text(OWN)
    feeds = project.rules / "feeds.toml"
    mark = "target_repairs"
    line = next(at for at in feeds.read_text().splitlines() if at.startswith(mark))
    more = line + '\ntarget_callbacks = { type = "money", from = ["Target Callbacks"] }'
    feeds.write_text(feeds.read_text().replace(line, more))
    project.put(
        "Import-1.csv",
        small_company.jobs(
            (1, "Warranty", "Google", "Tue Nov 05 2024", "Ann", "0"),
            (2, "COD Repair", "Google", "Tue Nov 05 2024", "Ann, Bo", "300.00"),
            (3, "Warranty", "Rely", "Wed Nov 06 2024", "", "0"),
            (4, "COD Repair", "Google", "Mon Oct 07 2024", "Bo", "80.00"),
            more=("Tech", "Total"),
        ),
    )
    project.put("payments_1.csv", payments((2, "2024-11-06T15:00:00Z", "100.01", "p1"), more=("Transaction ID",)))
    project.put("targets.csv", targets(("2024-11", "5", "1"), more=("Target Callbacks",)))


def test_from_toml_to_postgres_and_back(project: Project, say: Line) -> None:
    company(project)
    code, done = say("sync")
    assert code == 0
    found = {(m["month"], m["measure"]): (m["value"], m["target"]) for m in done["measures"]}
    assert found["2024-11-01", "callbacks"] == ("2.000000", "1.00")
    assert Decimal(found["2024-11-01", "callback_rate"][0]) == 2
    assert project.rows(
        "SELECT date::text, source, segment, measure, value::text FROM measure_daily ORDER BY 1, 2, 3, 4"
    ) == [
        ("2024-10-07", "Google", "COD", "receivables", "80.000000"),
        ("2024-11-05", "Google", "COD", "receivables", "199.990000"),
        ("2024-11-05", "Google", "OTHER", "callbacks", "1.000000"),
        ("2024-11-06", "Rely", "OTHER", "callbacks", "1.000000"),
    ]
    assert project.rows(
        "SELECT member, measure, value::text FROM dimension_monthly "
        "WHERE month = '2024-11-01' AND measure IN ('callbacks', 'revenue_gross') ORDER BY 1, 2"
    ) == [
        ("(none)", "callbacks", "1.000000"),
        ("Ann", "callbacks", "1.000000"),
        ("Ann", "revenue_gross", "50.010000"),
        ("Bo", "revenue_gross", "50.000000"),
    ]
    assert project.rows(
        "SELECT value::int, target::int, attained::int FROM measure_vs_target "
        "WHERE month = '2024-11-01' AND measure = 'callbacks' AND source = 'ALL' AND segment = 'ALL'"
    ) == [(2, 1, 2)]
    assert project.rows(
        "SELECT measure, value::float FROM measure_vs_target WHERE month = '2024-11-01' AND measure = 'callback_rate' "
        "AND source = 'Google' AND segment = 'ALL'"
    ) == [("callback_rate", 1.0)]
    code, answer = say("sql", "SELECT sum(value) AS value FROM measure_daily WHERE measure = 'receivables'")
    assert (code, answer["rows"]) == (0, [{"value": "279.990000"}])


def test_explained_with_rule_rows_near_misses_and_proof(project: Project, say: Line) -> None:
    company(project)
    project.sync()
    code, told = say("explain", "--source", "ALL", "--month", "2024-11", "--metric", "callbacks", "--rows")
    of = told["metrics"]["callbacks"]
    assert (code, told["verdict"], told["difference"]) == (0, "match", "0.00")
    assert (of["value"], of["recomputed"], of["published"], of["sum_of_rows"]) == (2, 2, 2, 2)
    assert of["where_declared"].endswith("own.toml:2")
    assert [r["key"] for r in of["rows"]] == ["1", "3"]
    assert [(n["rows"], n["keys"]) for n in of["nearly"]] == [(1, ["2"])]
    code, told = say("explain", "--source", "Google", "--month", "2024-11", "--metric", "receivables")
    assert (told["metrics"]["receivables"]["value"], told["verdict"]) == ("199.99", "match")
    code, _ = say("explain", "--source", "ALL", "--month", "2024-11", "--metric", "callbax")
    assert code == 2


@pytest.mark.deep
def test_a_customer_who_comes_back_counts_with_rows_proof_and_days(project: Project, say: Line) -> None:
    (project.rules / "callbacks.toml").write_bytes((ROOT / "rules" / "examples" / "callbacks.toml").read_bytes())
    jobs = [
        (1, "COD Repair", "Google", "2024-10-28T12:00:00-04:00", "617-555-0101", "Oven", "Ann"),
        (2, "COD Service", "Google", "2024-11-05T12:00:00-05:00", "(617) 555-0101", "Oven", "Bo"),
        (3, "COD Service", "Google", "2024-11-06T12:00:00-05:00", "617-555-0101", "Washer", "Bo"),
        (4, "COD Service", "Google", "2024-11-07T12:00:00-05:00", "", "Oven", "Bo"),
    ]
    project.put("Import-1.csv", small_company.jobs(*jobs, more=("Phone", "Appliance", "Tech")))
    project.put("payments_1.csv", payments(more=("Method", "Status", "Transaction ID")))
    project.sync()
    _, told = say("explain", "--source", "ALL", "--month", "2024-11", "--metric", "callbacks", "--rows")
    assert ([r["key"] for r in told["metrics"]["callbacks"]["rows"]], told["verdict"]) == (["2"], "match")
    _, told = say("explain", "--source", "ALL", "--month", "2024-10", "--metric", "failed_repairs", "--rows")
    assert ([r["key"] for r in told["metrics"]["failed_repairs"]["rows"]], told["verdict"]) == (["1"], "match")
    _, told = say("explain", "--job", "2")
    assert ["days_since_repair", "8"] in told["facts"]


@pytest.mark.deep
def test_an_edit_is_planned_then_remembered_with_its_cause(project: Project, say: Line) -> None:
    company(project)
    project.sync()
    own = project.rules / "own.toml"
    text = own.read_text().replace("type = 'Warranty'", "type = 'Warranty' AND technician IS NOT NULL")
    own.write_text(text.replace('split = ","', 'split = "+"').replace('"callbacks", "repairs"', '"callbacks", "jobs"'))
    _, planned = say("plan", "--month", "2024-11")
    members = {(c["member"], c["metric"]): (c["before"], c["after"], c["cause"]) for c in planned["members"]}
    assert all(c["dimension"] == "technician" for c in planned["members"])
    assert members["Ann, Bo", "revenue_gross"][:2] == (None, "100.010000")
    assert members["Bo", "revenue_gross"][:2] == ("50.000000", None)
    ratio = [(c["source"], c["before"], c["after"]) for c in planned["changes"] if c["metric"] == "callback_rate"]
    assert ratio == [("ALL", "2.000000", "0.333333")]
    assert "dimensions.technician.split" in members["Bo", "revenue_gross"][2]
    assert "measures.callbacks.count" in members["(none)", "callbacks"][2]
    own.write_text(text)
    _, planned = say("plan")
    assert [(c["member"], c["metric"]) for c in planned["members"]] == [("(none)", "callbacks")]
    changes = [(c["source"], c["metric"], c["before"], c["after"]) for c in planned["changes"]]
    assert changes == [("Rely", "callbacks", 1, 0)] or [c[:2] for c in changes] == [("Rely", "callbacks")]
    assert "measures.callbacks.count" in planned["changes"][0]["cause"]
    project.sync()
    history = project.rows("SELECT month::text, date::text, source, metric, old_value::int, new_value::int FROM metric_changes ORDER BY date NULLS FIRST")  # fmt: skip
    assert history == [
        ("2024-11-01", None, "Rely", "callbacks", 1, None),
        ("2024-11-01", "2024-11-06", "Rely", "callbacks", 1, None),
    ]
    assert "own.toml" in project.rows("SELECT cause FROM metric_changes LIMIT 1")[0][0]
    _, told = say("history", "--month", "2024-11", "--dimension", "technician")
    assert [(c["member"], c["metric"], c["before"], c["after"]) for c in told["changes"]] == [
        ("(none)", "callbacks", "1.000000", None)
    ]
    assert "measures.callbacks.count" in told["changes"][0]["cause"]
    _, told = say("history", "--month", "2024-11")
    assert (told["members"], [c["metric"] for c in told["changes"]]) == ({"technician": 1}, ["callbacks"])
    assert say("history", "--dimension", "zip")[0] == 2


@pytest.mark.usefixtures("say")
def test_plan_and_history_print_counts_whole_and_money_with_cents(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: str) -> list[list[str]]:
        capsys.readouterr()
        assert run([*arguments]) == 0
        return [line.split() for line in capsys.readouterr().out.splitlines()]

    company(project)
    project.sync()
    own = project.rules / "own.toml"
    text = own.read_text().replace("total > paid", "total > 100")
    own.write_text(text.replace("type = 'Warranty'", "type = 'Warranty' AND technician IS NOT NULL"))
    planned = told("plan")
    assert ["Google", "COD", "receivables", "80.00", "-", "-80.00", "[1]"] in planned
    assert ["Rely", "OTHER", "callbacks", "1", "-", "-1", "[2]"] in planned
    project.sync()
    assert ["Google", "COD", "receivables", "80.00", "-", "[1]"] in told("history", "--month", "2024-10")
    assert ["Rely", "OTHER", "callbacks", "1", "-", "[1]"] in told("history", "--month", "2024-11")
    own.write_text(text.replace('sum = "total - paid"', 'count = "total > 0"').replace('\nwhere = "total > 100"', ""))
    planned = told("plan", "--month", "2024-11")
    assert ["Google", "COD", "receivables", "199.99", "1", "-198.99"] in [line[:6] for line in planned]


def test_a_measure_is_drafted_and_a_wrong_one_is_not(project: Project, say: Line) -> None:
    code, told = say("rules", "new-measure", "warranties", "--of", "jobs", "--count", "type = 'Warranty'")
    assert (code, told["measure"], told["of"]) == (0, "warranties", "jobs")
    assert say("rules", "check")[0] == 0
    code, _ = say("rules", "new-measure", "worse", "--of", "jobs", "--count", "colour = 'red'")
    assert code == 2
    assert not (project.rules / "worse.toml").exists()
