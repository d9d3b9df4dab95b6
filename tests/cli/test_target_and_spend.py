"""Targets and spend set by command, and the zone a new project starts with."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

import small_company
from command_line import Line, in_process
from small_company import spend, targets
from support import Project, csv_text

pytestmark = pytest.mark.one_engine

TARGET = "SELECT source, segment, target_repairs, target_revenue40, target_conv_l2r, target_cpl_max FROM targets ORDER BY 1, 2"
SPEND = "SELECT month::text, campaign, spend FROM google_spend ORDER BY 1, 2"


@pytest.fixture
def line(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """One run of the program in the project."""
    return in_process(project, monkeypatch, capsys)


def inbox(project: Project) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in project.inbox.iterdir()}


def test_a_target_is_read_by_the_next_sync_with_exact_money(project: Project, line: Line) -> None:
    done = line("target", "set", "2026-01", "--repairs", "30", "--revenue", "$6,200.57", "--conversion", "31%")
    assert done.returncode == 0, done.stderr
    assert "rmetrics sync" in done.stdout
    project.sync()
    assert project.rows(TARGET) == [("ALL", "ALL", "30.00", "6200.57", "0.310000", None)]


@pytest.mark.slow
def test_what_is_not_given_stays_before_and_after_a_sync(project: Project, line: Line) -> None:
    project.put(
        "targets 2026.csv",
        targets(
            ("2026-01", 10, "", "", "1000.01"),
            ("2026-02", 11, "", "", "1100"),
            more=("Source", "Segment", "Target Revenue40"),
        ),
    )
    project.sync()
    line("target", "set", "2026-01", "--repairs", "12")
    line("target", "set", "2026-01", "--cpl-max", "45.5")
    project.sync()
    rows = project.rows("SELECT month::text, target_repairs, target_revenue40, target_cpl_max FROM targets ORDER BY 1")
    assert rows == [("2026-01-01", "12.00", "1000.01", "45.50"), ("2026-02-01", "11.00", "1100.00", None)]


@pytest.mark.deep
def test_the_same_again_writes_nothing_before_and_after_a_sync(project: Project, line: Line) -> None:
    arguments = ("target", "set", "2026-01", "--source", "google ads", "--segment", "cod", "--revenue", "600.50")
    first = json.loads(line(*arguments, "--json").stdout)
    assert (first["row"]["source"], first["row"]["segment"], first["changed"]) == ("Google", "COD", True)
    written = inbox(project)
    for _ in range(2):
        again = line(*arguments, "--json")
        assert json.loads(again.stdout)["changed"] is False
        assert inbox(project) == written
        project.sync()
    assert project.sync().status == "unchanged"


@pytest.mark.deep
def test_a_figure_that_goes_back_and_forth_is_what_was_set_last(project: Project, line: Line) -> None:
    for amount in ("700", "710.25", "700"):
        assert line("spend", "set", "2026-01", amount).returncode == 0
        project.sync()
        assert project.rows(SPEND) == [("2026-01-01", "(all)", f"{Decimal(amount):.2f}")]


@pytest.mark.deep
def test_a_newer_sheet_of_another_month_is_not_undone(project: Project, line: Line) -> None:
    line("spend", "set", "2026-01", "700")
    project.sync()
    later = project.put("ads spend.csv", spend(("2026-01", "715.00")))
    later.touch()
    project.sync()
    line("spend", "set", "2026-02", "800")
    project.sync()
    assert project.rows(SPEND) == [("2026-01-01", "(all)", "715.00"), ("2026-02-01", "(all)", "800.00")]


@pytest.mark.deep
def test_a_spend_that_would_be_added_to_a_months_other_rows_is_refused(project: Project, line: Line) -> None:
    project.put("Campaign report.csv", csv_text(
        ("Month", "Campaign", "Cost"), ("2026-01", "Brand", "100.00"), ("2026-01", "Generic", "50.00")
    ))  # fmt: skip
    project.sync()
    refused = line("spend", "set", "2026-01", "700")
    assert refused.returncode == 2
    assert "already has 2 other rows of google_spend (150.00)" in refused.stderr
    assert [*inbox(project)] == ["Campaign report.csv"]
    assert line("spend", "set", "2026-01", "700", "--add").returncode == 0
    project.sync()
    assert project.rows("SELECT sum(spend) FROM google_spend") == [("850.00",)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("target", "set", "2026-01"), "no target is given"),
        (("target", "set", "2026-01", "--repairs", "1.234"), "is not an amount"),
        (("target", "set", "2026-01", "--repairs", "12,00"), "is not an amount"),
        (("target", "set", "2026-01", "--repairs", "-5"), "is not an amount"),
        (("target", "set", "2026-01", "--revenue", "99999999999"), "is more than"),
        (("target", "set", "2026-01", "--conversion", "31"), "is not a share"),
        (("target", "set", "2026-13", "--repairs", "1"), "not a month"),
        (("target", "set", "2026-01", "--repairs", "1", "--source", "Gogle"), "did you mean 'Google'"),
        (("target", "set", "2026-01", "--repairs", "1", "--segment", "CODE"), "unknown segment: 'CODE'"),
        (("spend", "set", "2026-01", "abc"), "is not an amount"),
        (("spend", "set", "2026-01", "5", "--source", "Rely"), "no monthly spend is declared for Rely"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_is_written(
    project: Project, line: Line, arguments: tuple[str, ...], told: str
) -> None:
    done = line(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert inbox(project) == {}


# -- a new project


def test_init_takes_the_machines_zone_and_prints_zone_and_currency(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", ":America/Chicago")
    done = line("init", str(tmp_path / "acme"))
    assert "Time zone America/Chicago (this machine's), currency USD" in done.stdout
    assert 'timezone = "America/Chicago"' in (tmp_path / "acme" / "rules" / "business.toml").read_text()
    document = json.loads(
        line("init", str(tmp_path / "b"), "--timezone", "Europe/Kyiv", "--currency", "uah", "--json").stdout
    )
    assert (document["timezone"], document["currency"]) == ("Europe/Kyiv", "UAH")
    assert 'country  = "UA"' in (tmp_path / "b" / "rules" / "business.toml").read_text(encoding="utf-8")
    for name in ("RMETRICS_RULES_DIR", "RMETRICS_DATA_DIR", "RMETRICS_INBOX_DIR"):
        monkeypatch.delenv(name)
    assert line("rules", "check", "-C", str(tmp_path / "b")).returncode == 0


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Mars/Phobos", "../../etc/passwd"])
def test_init_keeps_the_shipped_zone_where_the_machine_has_none(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    assert "Time zone America/New_York (the default)" in line("init", str(tmp_path / "acme")).stdout


@pytest.mark.parametrize("option", [("--timezone", "Chicago"), ("--currency", "DOLLAR")])
def test_init_refuses_what_is_no_zone_or_currency(line: Line, tmp_path: Path, option: tuple[str, str]) -> None:
    assert line("init", str(tmp_path / "acme"), *option).returncode == 2
    assert not (tmp_path / "acme").exists()


def test_the_example_of_targets_is_read_as_targets(project: Project, line: Line, tmp_path: Path) -> None:
    line("init", str(tmp_path / "acme"))
    project.put("targets.csv", (tmp_path / "acme" / "targets.example.csv").read_bytes())
    (file,) = project.sync().files
    assert (file.feed, file.accepted, file.rejected) == ("targets", 3, 0)


@pytest.mark.slow
def test_a_withdrawn_export_that_is_dropped_again_asks_before_it_counts(project: Project, line: Line) -> None:
    jobs = small_company.jobs((1, "COD Repair", "Google", "2024-11-05"))
    project.put("Import.csv", jobs)
    assert line("sync").returncode == 0
    assert line("exports", "withdraw", "Import.csv").returncode == 0
    assert line("sync").returncode == 0
    for name in ("Import.csv", "Import again.csv"):
        project.put(name, jobs)
        told = line("sync")
        assert "Nothing changed" in told.stdout
        assert "rmetrics exports restore" in " ".join(told.stdout.split())
    assert project.rows("SELECT count(*) FROM jobs") == [(0,)]
