"""Sources and months as people write them: every command matches them alike, and refuses alike what is not there."""

import datetime as dt
import json
import subprocess
from collections.abc import Callable
from decimal import Decimal

import pytest

from published import run as run_sql
from rmetrics.cli import run
from rmetrics.explain.asked import MEASURES, Query
from rmetrics.explain.explainer import explainer
from rmetrics.opening import open_project
from rmetrics.usecases.explain import explain
from support import Project

NOVEMBER = dt.date(2024, 11, 1)
COMMANDS = (("plan",), ("history",), ("rules",), ("explain",))


Line = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rmetrics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """One run of the program in a project."""

    def line(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(project.root)
        for name, value in project.environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_source_that_is_not_there_is_refused_with_the_nearest(
    rmetrics: Line, small: Project, command: tuple[str, ...]
) -> None:
    done = rmetrics(small, *command, "--source", "Googel")
    assert done.returncode == 2, done.stdout
    assert "no such source: 'Googel'; did you mean 'Go" in done.stderr
    assert "ALL stands for the whole company" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("spelling", ["google ads", "GOOGLE", "pro-referral", "all", "unattributed"])
@pytest.mark.ordinary(8)
def test_case_spaces_and_aliases_do_not_matter(
    rmetrics: Line, small: Project, command: tuple[str, ...], spelling: str
) -> None:
    done = rmetrics(small, *command, "--source", spelling, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    if command == ("rules",) and spelling == "google ads":
        assert {r["topic"] for r in document["rules"]} == {"Google"}
    if command == ("explain",) and spelling == "google ads":
        assert document["source"] == "Google"


@pytest.mark.parametrize("command", [("plan",), ("history",), ("report",), ("explain", "--source", "Google")])
@pytest.mark.parametrize("month", ["2019-01", "2031-05"])
def test_a_month_without_data_is_refused_and_those_with_data_are_named(
    rmetrics: Line, small: Project, command: tuple[str, ...], month: str
) -> None:
    done = rmetrics(small, *command, "--month", month)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no data for the month {month}" in done.stderr
    assert "2024-10" in done.stderr
    assert "2024-12" in done.stderr


@pytest.mark.deep
def test_without_a_month_the_newest_is_explained(rmetrics: Line, small: Project) -> None:
    assert json.loads(rmetrics(small, "explain", "--source", "google", "--json").stdout)["month"] == "2024-12"
    assert json.loads(rmetrics(small, "history", "--json").stdout)["month"] == "2024-12-01"
    day = json.loads(rmetrics(small, "explain", "--source", "google", "--day", "2024-11-05", "--json").stdout)
    assert (day["month"], day["day"]) == ("2024-11", "2024-11-05")


def test_the_whole_company_is_the_sum_of_its_sources_and_is_proved(sample: Project) -> None:
    months = [r[0] for r in sample.rows("SELECT DISTINCT month FROM monthly_metrics ORDER BY 1")]
    with explainer(open_project(sample.settings)) as one:
        for month in months[::4]:
            whole = one.explain(Query("ALL", month))
            assert (whole.verdict, whole.difference, whole.differing) == ("match", Decimal(0), ())
            held = sample.rows(
                f"SELECT {', '.join(f'sum({m})::text' for m in MEASURES)} FROM monthly_metrics WHERE month = '{month}'"
            )[0]
            for name, published in zip(MEASURES, held, strict=True):
                metric = whole.metrics[name]
                assert metric.value == metric.listed == Decimal(published), (month, name)
                for part in metric.parts:
                    read, *others = (s.rows for s in part.steps if part.feed)
                    assert read == sum(others), (month, name, part.steps)


def test_parts_of_the_whole_company_name_their_source(small: Project) -> None:
    found = explain(small.settings, "all", NOVEMBER, segment="cod")
    assert (found.verdict, found.asked.source) == ("match", "ALL")
    assert {p.rule.partition(":")[0] for p in found.metrics["leads"].parts} >= {"eLocals", "Google", "Rely"}
    assert found.metrics["jobs"].parts[0].rule.startswith("every job counts")
    assert found.metrics["jobs"].value == 5  # of seven jobs of November one is INS, one matches no segment
    near = [n.reason for p in found.metrics["leads"].parts if p.rule.startswith("eLocals:") for n in p.nearly]
    assert near[0].startswith("cost > 0 does not hold")


def test_a_gap_of_the_whole_company_is_explained(rmetrics: Line, small: Project) -> None:
    done = rmetrics(small, "explain", "--source", "ALL", "--month", "2024-11", "--expect", "jobs=8", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gaps"][0]["metric"] == "jobs"


def test_a_difference_in_the_database_names_source_and_segment(rmetrics: Line, own: Project) -> None:
    run_sql(own.dsn, "UPDATE daily_metrics SET leads = leads + 1 WHERE source = 'Rely' AND date = '2024-11-11'")
    done = rmetrics(own, "explain", "--source", "ALL", "--month", "2024-11")
    assert done.returncode == 3
    assert "2024-11-11 Rely INS leads: 1 computed, PostgreSQL has 2" in done.stdout
