"""A group's sync: each company by itself, the group's tables, and no company that stops another."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from command_line import Line, in_process
from rmetrics.errors import SettingsError
from rmetrics.usecases.status import status
from small_company import BOSTON, TORONTO, amounts
from support import Project
from templates import Templates

pytestmark = pytest.mark.one_engine

RULES = BOSTON + TORONTO
MONTHLY = "SELECT company, currency, sum(revenue_gross)::text, sum(revenue40)::text FROM group_monthly_metrics GROUP BY 1, 2 ORDER BY 1"


def states(project: Project) -> dict[str, tuple[Any, ...]]:
    return {r[0]: r[1:] for r in project.rows("SELECT company, status, run_id, message FROM group_companies")}


def declared(project: Project) -> Project:
    """Two companies with their exports, before any sync."""
    (project.rules / "companies.toml").write_text(RULES)
    project.put("boston/payments.csv", amounts(100, 50))
    project.put("canada/toronto/payments.csv", amounts(200))
    return project


def published_group(project: Project) -> None:
    """Publishes the group."""
    declared(project).sync()


@pytest.fixture
def group(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """The group as it was published, for a test that changes it."""
    with templates.of(published_group).copy(tmp_path) as project:
        yield project


def synced(project: Project, expected: Sequence[tuple[str, str]]) -> Any:
    result = project.sync()
    assert [(c.company, c.status) for c in result.companies] == list(expected)
    return result


def test_each_company_has_its_rows_in_its_currency_and_none_is_added_to_another(project: Project) -> None:
    group = declared(project)
    result = synced(group, [("boston", "published"), ("toronto", "published")])
    assert group.rows(MONTHLY) == [("boston", "USD", "150.00", "60.000000"), ("toronto", "CAD", "200.00", "100.000000")]
    by_currency = "SELECT currency, companies, revenue_gross::text FROM group_monthly_by_currency ORDER BY 1"
    assert group.rows(by_currency) == [("CAD", 1, "200.00"), ("USD", 1, "150.00")]
    own = group.rows("SELECT sum(revenue_gross)::text FROM boston.monthly_metrics")
    assert own == [("150.00",)]
    assert group.rows("SELECT count(*) FROM pg_namespace WHERE nspname = 'toronto'") == [(0,)]
    assert group.rows("SELECT count(*) FROM payments") == [(0,)], "the group's schema has no company's rows"
    assert {f.file for f in result.files} == {"boston/payments.csv", "toronto/payments.csv"}
    again = synced(group, [("boston", "unchanged"), ("toronto", "unchanged")])
    assert again.status == "unchanged"


@pytest.mark.deep
def test_a_correction_of_one_leaves_the_others_alone(group: Project) -> None:
    before = states(group)
    group.put("canada/toronto/payments.csv", amounts(200, 7))
    synced(group, [("boston", "unchanged"), ("toronto", "published")])
    assert [r[2] for r in group.rows(MONTHLY)] == ["150.00", "207.00"]
    after = states(group)
    assert after["boston"] == before["boston"]
    assert after["toronto"][1] != before["toronto"][1]


@pytest.mark.deep
def test_a_company_is_added_and_removed_by_its_table_alone(group: Project) -> None:
    rules = group.rules / "companies.toml"
    (group.rules / "calgary.toml").write_text('[companies.calgary]\ncurrency = "CAD"\n')
    group.put("calgary/payments.csv", amounts(3))
    synced(group, [("calgary", "published"), ("boston", "unchanged"), ("toronto", "unchanged")])
    assert [(r[0], r[2]) for r in group.rows(MONTHLY)] == [
        ("boston", "150.00"),
        ("calgary", "3.00"),
        ("toronto", "200.00"),
    ]
    rules.write_text(RULES.partition("[companies.toronto]")[0])
    result = synced(group, [("calgary", "unchanged"), ("boston", "unchanged"), ("toronto", "removed")])
    assert [f.code for f in result.findings if f.severity == "warning" and "toronto" in f.message] == [
        "company-removed"
    ]
    assert [r[0] for r in group.rows(MONTHLY)] == ["boston", "calgary"]


@pytest.mark.deep
def test_what_stops_one_company_stops_no_other_and_the_run_says_so(group: Project) -> None:
    for raw in (group.settings.data_dir / "companies" / "boston" / "lake" / "raw").glob("*/*.parquet"):
        raw.unlink()  # its raw layer is lost, and so is its export
    (group.inbox / "boston" / "payments.csv").unlink()
    group.put("canada/toronto/payments.csv", amounts(300))
    result = synced(group, [("boston", "failed"), ("toronto", "published")])
    (finding,) = (f for f in result.findings if f.code == "company-failed")
    assert finding.severity == "error"
    assert finding.message.startswith("boston: not computed, its figures are those of the previous run: ")
    assert [r[2] for r in group.rows(MONTHLY)] == ["150.00", "300.00"]
    (failed, _) = status(group.settings).companies
    assert (failed.company, failed.status, failed.months, failed.exports) == ("boston", "failed", 1, 1)
    assert "payments.csv" in (failed.message or "")
    group.put("boston/payments.csv", amounts(100, 50))
    synced(group, [("boston", "published"), ("toronto", "unchanged")])
    assert states(group)["boston"][0] == "ok"


def test_status_knows_the_companies_of_a_group_and_each_company_itself(
    group: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = status(group.settings)
    assert [(c.company, c.title, c.currency, c.status, c.exports, c.days, c.months) for c in found.companies] == [
        ("boston", "Boston Appliance", "USD", "ok", 1, 1, 1),
        ("toronto", "toronto", "CAD", "ok", 1, 1, 1),
    ]
    assert "nothing is published" not in found.server
    monkeypatch.setenv("RMETRICS_COMPANY", "toronto")
    line: Line = in_process(group, monkeypatch, capsys)
    shown = line("status", "--json")
    assert [c["company"] for c in json.loads(shown.stdout)["companies"]] == ["toronto"]


@pytest.mark.deep
def test_commands_are_about_one_company(
    group: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line: Line = in_process(group, monkeypatch, capsys)
    month = ["--month", "2025-01"]
    for command in (["explain", "--source", "Unattributed", *month], ["check"], ["plan"], ["history", *month]):
        refused = line(*command)
        assert refused.returncode == SettingsError.exit_code
        assert "RMETRICS_COMPANY=boston rmetrics" in refused.stderr
    for company, verdict, gross in (("boston", "match", "150.00"), ("toronto", "unpublished", "200.00")):
        monkeypatch.setenv("RMETRICS_COMPANY", company)
        explained = line("explain", "--source", "Unattributed", "--month", "2025-01", "--json")
        assert explained.returncode == 0, explained.stderr
        found = json.loads(explained.stdout)
        assert (found["verdict"], found["metrics"]["revenue_gross"]["value"]) == (verdict, gross)
        assert line("sync").returncode == 0
    told = line("history", *month)
    assert told.returncode == SettingsError.exit_code
    assert "toronto is published in the group's tables only, which have no history" in told.stderr
    monkeypatch.setenv("RMETRICS_COMPANY", "boston")
    assert line("history", *month).returncode == 0


def test_a_group_whose_rules_have_no_companies_is_one_company(project: Project) -> None:
    project.put("payments.csv", amounts(5))
    result = project.sync()
    assert result.companies == ()
    assert project.rows("SELECT count(*) FROM pg_class WHERE relname LIKE 'group\\_%'") == [(0,)]
