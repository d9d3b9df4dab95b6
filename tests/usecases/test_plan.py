"""What an edit or an export would change, before it does; and that history then tells the same."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from rmetrics.cli import run
from small_company import jobs, leads, payments, referrals
from support import Project, fresh_database, new_project

PRICE = '[[sources."Pro Referral".changes]]\nfrom = 2024-11-16\ncost = { per_lead = 25.00 }\n'

Line = Callable[..., tuple[int, str]]
Json = dict[str, Any]


@pytest.fixture
def say(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs a command line in the project: exit code and stdout."""
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)

    def line(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(list(arguments))
        return code, capsys.readouterr().out

    return line


@pytest.fixture(scope="module")
def base(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Two months of a small company, published once; each test works on a copy."""
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("plan") / "project", uri)
        project.put(
            "Import-1.csv",
            jobs(
                (1, "COD Service", "Google", "10/15/2024"),
                (2, "INS Repair", "Rely", "11/20/2024"),
                (3, "COD Service", "Fixly", "11/21/2024"),
            ),
        )
        project.put("payments_1.csv", payments((2, "2024-11-20T15:00:00Z", "100.00", "p1"), more=("Transaction ID",)))
        project.put("proref.csv", referrals(("a", "11/10/2024 09:00 AM"), ("b", "11/16/2024 09:00 AM")))
        project.put("leads cost Elocals 1.csv", leads(("e1", "2024-11-05 10:00:00 -0500", "40.00")))
        project.sync()
        yield project


@pytest.fixture
def published(base: Project, project: Project) -> Project:
    """The published company in a folder and a database of its own."""
    mine, theirs = (re.search(r"/(test_\w+)\?", p.dsn) for p in (project, base))
    assert mine
    assert theirs
    with dbapi.connect(project.dsn.replace(mine[1], "postgres"), autocommit=True) as server, server.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {mine[1]}")
        cursor.execute(f"CREATE DATABASE {mine[1]} TEMPLATE {theirs[1]}")
    shutil.copytree(base.root, project.root, dirs_exist_ok=True)
    return replace(project, minutes=10)  # newer than what is there


def plan(say: Line, *options: str) -> Json:
    code, text = say("plan", "--json", *options)
    assert code == 0
    found: Json = json.loads(text)
    return found


def changes(found: Json) -> list[tuple[Any, ...]]:
    return [tuple(c[n] for n in ("month", "source", "segment", "metric", "before", "after")) for c in found["changes"]]


def recorded(project: Project) -> list[tuple[Any, ...]]:
    """What the database noted of months, in the form of a plan."""
    return project.rows(
        "SELECT month::text, source, segment, metric, old_value, new_value FROM metric_changes WHERE date IS NULL "
        "ORDER BY month, source, segment, change_id"
    )


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def append(project: Project, text: str) -> int:
    """Adds to sources.toml; returns the line the addition begins on."""
    path = project.rules / "sources.toml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "\n" + text, encoding="utf-8")
    return before.count("\n") + 2


@pytest.mark.usefixtures("published")
@pytest.mark.deep
def test_nothing_edited_changes_nothing(say: Line) -> None:
    found = plan(say)
    assert changes(found) == []
    assert found["rows"] == []
    assert found["unchanged"] == ["2024-10-01", "2024-11-01"]
    assert say("plan", "--exit-code")[0] == 0
    assert "would change no figure" in say("plan")[1]


def test_price_shows_before_and_after_with_the_row_and_the_line(published: Project, say: Line) -> None:
    line = append(published, PRICE)
    found = plan(say)
    assert changes(found) == [("2024-11-01", "Pro Referral", "COD", "cost", "40.00", "45.00")]
    edit = f"rule edit rules/sources.toml:{line} sources.Pro Referral.changes added"
    assert found["changes"][0]["cause"].startswith(edit)
    (row,) = found["rows"]
    assert (row["feed"], row["key"]) == ("proref_leads", "b")
    assert row["from"] == "lead of Pro Referral (COD) at 20.00, 2024-11-16"
    assert row["to"] == "lead of Pro Referral (COD) at 25.00, 2024-11-16"
    assert row["cause"].startswith(edit)
    assert found["daily_changes"] == 1
    assert found["unchanged"] == ["2024-10-01"]


def test_plan_and_sync_and_history_show_the_same_figures(published: Project, say: Line) -> None:
    append(published, PRICE)
    business = published.rules / "business.toml"
    business.write_text(business.read_text(encoding="utf-8").replace("share = 0.40", "share = 0.425"), encoding="utf-8")
    published.put("leads cost Elocals 2.csv", leads(("e1", "2024-11-05 10:00:00 -0500", "0")))
    found = plan(say)
    assert changes(found) == [
        ("2024-11-01", "Pro Referral", "COD", "cost", "40.00", "45.00"),
        ("2024-11-01", "Rely", "INS", "revenue40", "40.000000", "42.500000"),
        ("2024-11-01", "eLocals", "COD", "leads", "1", None),
        ("2024-11-01", "eLocals", "COD", "cost", "40.00", None),
    ]
    assert recorded(published) == []
    published.sync()
    planned = sorted((*c[:4], *(None if v is None else float(v) for v in c[4:])) for c in changes(found))
    noted = sorted((*c[:4], *(None if v is None else float(v) for v in c[4:])) for c in recorded(published))
    assert planned == noted
    assert len(published.rows("SELECT 1 FROM metric_changes WHERE date IS NOT NULL")) == found["daily_changes"]
    told = json.loads(say("history", "--month", "2024-11", "--json")[1])
    assert {(c["source"], c["metric"], c["cause"]) for c in told["changes"]} == {
        (c["source"], c["metric"], c["cause"]) for c in found["changes"]
    }
    assert plan(say)["changes"] == []


@pytest.mark.deep
def test_each_figure_has_its_own_cause(published: Project, say: Line) -> None:
    line = append(published, PRICE)
    published.put("leads cost Elocals 2.csv", leads(("e1", "2024-11-05 10:00:00 -0500", "12.50")))
    causes = {c["source"]: c["cause"] for c in plan(say)["changes"]}
    assert causes["eLocals"] == "new export leads cost Elocals 2.csv: 1 changed row"
    assert causes["Pro Referral"].startswith(f"rule edit rules/sources.toml:{line} ")
    published.sync()
    assert dict(published.rows("SELECT DISTINCT source, cause FROM metric_changes")) == causes


def test_rows_of_a_new_export_are_told_from_changed_ones(published: Project, say: Line) -> None:
    published.put(
        "proref 2.csv",
        referrals(
            ("a", "11/10/2024 09:00 AM", "Passed"),  # was a lead
            ("b", "11/16/2024 09:00 AM"),  # as before
            ("c", "11/17/2024 09:00 AM"),  # new
        ),
    )
    found = plan(say)
    assert found["exports"] == ["proref 2.csv (proref_leads): 1 new and 1 changed rows"]
    assert [(r["key"], r["from"], r["to"], r["cause"]) for r in found["rows"]] == [
        (
            "a",
            "lead of Pro Referral (COD) at 20.00, 2024-11-10",
            "counts nowhere, 2024-11-10",
            "changed row in proref 2.csv",
        ),
        ("c", None, "lead of Pro Referral (COD) at 20.00, 2024-11-17", "new row in proref 2.csv"),
    ]
    assert changes(found) == []  # one lead went, one came
    assert found["daily_changes"] == 4  # leads and cost of both days


def test_a_new_alias_takes_jobs_over(published: Project, say: Line) -> None:
    sources = published.rules / "sources.toml"
    text = sources.read_text(encoding="utf-8").replace('aliases = ["GoogleAds",', 'aliases = ["Fixly", "GoogleAds",')
    sources.write_text(text, encoding="utf-8")
    found = plan(say)
    assert changes(found) == [
        ("2024-11-01", "Fixly", "COD", "jobs", "1", None),
        ("2024-11-01", "Fixly", "COD", "units", "1", None),
        ("2024-11-01", "Google", "COD", "jobs", None, "1"),
        ("2024-11-01", "Google", "COD", "leads", None, "1"),
        ("2024-11-01", "Google", "COD", "units", None, "1"),
    ]
    assert {c["cause"].split(":")[1].split(" ")[1] for c in found["changes"]} == {"sources.Google.aliases"}
    assert [(r["from"], r["to"]) for r in found["rows"]] == [
        ("Fixly, COD, 2024-11-21, unit", "Google, COD, 2024-11-21, unit, lead")
    ]


def test_plan_writes_nothing(published: Project, say: Line) -> None:
    append(published, PRICE)
    published.put("proref 2.csv", referrals(("c", "12/01/2024 09:00 AM")))
    before, tables = files(published.root), published.rows("SELECT count(*) FROM sync_runs")
    plan(say)
    assert files(published.root) == before
    assert published.rows("SELECT count(*) FROM sync_runs") == tables


@pytest.mark.deep
def test_month_and_source_narrow_a_plan(published: Project, say: Line) -> None:
    append(published, PRICE)
    assert plan(say, "--month", "2024-10")["changes"] == []
    assert plan(say, "--month", "2024-10")["rows"] == []
    assert len(plan(say, "--month", "2024-11", "--source", "Pro Referral")["changes"]) == 1
    assert plan(say, "--source", "Google")["changes"] == []


def test_a_source_that_is_not_there_is_refused(published: Project, say: Line) -> None:
    assert published.rules.is_dir()
    assert say("plan", "--source", "Googel")[0] == 2


def test_exit_code_tells_changes(published: Project, say: Line) -> None:
    append(published, PRICE)
    assert say("plan", "--quiet")[0] == 0
    assert say("plan", "--quiet", "--exit-code") == (3, "")


def test_text_tells_figures_causes_and_rows(published: Project, say: Line) -> None:
    line = append(published, PRICE)
    _, text = say("plan", "--rows")
    assert f"edited: rules/sources.toml:{line} " in text
    assert "40.00   45.00    +5.00   [1]" in text
    assert "No change: 2024-10." in text
    assert "  to    lead of Pro Referral (COD) at 25.00, 2024-11-16" in text
    assert "Nothing was written" in text


def test_before_anything_is_published_the_last_computation_counts(
    published: Project, say: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(published, PRICE)
    monkeypatch.setenv("RMETRICS_POSTGRES_DSN", "postgresql://user:secret@127.0.0.1:1/none")
    found = plan(say)
    assert "last computation of the lake" in found["compared_with"]
    assert "secret" not in json.dumps(found)
    assert changes(found) == [("2024-11-01", "Pro Referral", "COD", "cost", "40.00", "45.00")]
    assert [r["key"] for r in found["rows"]] == ["b"]


def test_before_the_first_sync_everything_is_new(project: Project, say: Line) -> None:
    project.put("proref.csv", referrals(("a", "11/10/2024 09:00 AM")))
    found = plan(say)
    assert changes(found) == [
        ("2024-11-01", "Pro Referral", "COD", "leads", None, "1"),
        ("2024-11-01", "Pro Referral", "COD", "cost", None, "20.00"),
    ]
    assert [(r["key"], r["from"]) for r in found["rows"]] == [("a", None)]
    assert not (project.root / "data" / "lake").exists()


@pytest.mark.deep
def test_rows_that_move_are_told_after_the_lake_went_ahead(published: Project, say: Line) -> None:
    append(published, PRICE)
    lake = published.root / "data" / "lake"
    state = json.loads((lake / "state.json").read_text(encoding="utf-8"))
    del state["record_sha256"]
    (lake / "state.json").write_text(
        json.dumps({**state, "inputs": "of a sync that could not publish"}), encoding="utf-8"
    )
    assert [r["key"] for r in plan(say)["rows"]] == ["b"]


@pytest.mark.deep
def test_without_the_old_rules_the_figures_are_still_told(published: Project, say: Line) -> None:
    append(published, PRICE)
    for file in (published.root / "data" / "lake" / "rules").rglob("*.toml"):
        file.unlink()
    found = plan(say)
    assert [(c["metric"], c["cause"]) for c in found["changes"]] == [("cost", "rules edited")]
    assert (found["rows"], found["rows_known"]) == ([], False)


# -- history


def test_first_publish_is_no_change(published: Project, say: Line) -> None:
    assert recorded(published) == []
    told = json.loads(say("history", "--month", "2024-11", "--json")[1])
    assert told["changes"] == []
    assert told["first_run"] == published.rows("SELECT run_id FROM sync_runs")[0][0]
    assert "No published figure of November 2024 has changed" in say("history", "--month", "2024-11")[1]


@pytest.mark.usefixtures("published")
def test_a_month_without_figures_has_no_story(say: Line) -> None:
    assert say("history", "--month", "2019-01") == (2, "")


@pytest.mark.slow
def test_a_new_month_is_no_change_but_one_that_comes_back_is(published: Project) -> None:
    published.put("proref 2.csv", referrals(("z", "12/02/2024 09:00 AM")))
    published.sync()
    assert recorded(published) == []
    for n, status in enumerate(("Passed", "Won"), 3):
        published.put(f"proref {n}.csv", referrals(("z", "12/02/2024 09:00 AM", status)))
        published.sync()
    assert sorted(str(c[3:]) for c in recorded(published)) == sorted(
        str(c) for c in [("leads", "1", None), ("cost", "20.00", None), ("cost", None, "20.00"), ("leads", None, "1")]
    )


@pytest.mark.slow
def test_history_tells_runs_in_order_and_days_on_request(published: Project, say: Line) -> None:
    append(published, PRICE)
    published.sync()
    sources = published.rules / "sources.toml"
    sources.write_text(sources.read_text(encoding="utf-8").replace("25.00", "26.00"), encoding="utf-8")
    published.sync()
    told = json.loads(say("history", "--month", "2024-11", "--json")[1])
    assert [(c["before"], c["after"]) for c in told["changes"]] == [("40.00", "45.00"), ("45.00", "46.00")]
    assert "25.00 -> 26.00" in told["changes"][1]["cause"]
    days = json.loads(say("history", "--month", "2024-11", "--daily", "--json")[1])
    assert [(c["date"], c["after"]) for c in days["changes"]] == [("2024-11-16", "25.00"), ("2024-11-16", "26.00")]
    assert json.loads(say("history", "--month", "2024-11", "--source", "Google", "--json")[1])["changes"] == []
    assert "45.00   46.00" in say("history", "--month", "2024-11", "--metric", "cost")[1]


@pytest.mark.parametrize("arguments", [("--month", "11/2024"), ("--month", "2024-11", "--metric", "profits")])
@pytest.mark.usefixtures("published")
def test_history_refuses_what_it_does_not_know(say: Line, arguments: tuple[str, ...]) -> None:
    assert say("history", *arguments)[0] == 2


# -- a dated change instead of an edit that restates months that are over


@pytest.mark.deep
def test_an_edit_that_restates_a_month_that_is_over_is_offered_as_a_dated_change(published: Project, say: Line) -> None:
    business = published.rules / "business.toml"
    before = business.read_text(encoding="utf-8")
    edited = before.replace("unit   = \"type IN ('COD Service', 'INS Service')\"", "unit   = \"type = 'INS Service'\"")
    assert edited != before
    business.write_text(edited, encoding="utf-8")
    found = plan(say)
    assert found["restated"] == ["2024-10-01"]
    assert found["instead"] == ["[[jobs.changes]]\nfrom = 2024-11-01\nunit = \"type = 'INS Service'\""]
    told = say("plan")[1]
    assert "restate past months (2024-10)" in told
    assert "  [[jobs.changes]]\n  from = 2024-11-01\n" in told

    business.write_text(before + "\n" + found["instead"][0] + "\n", encoding="utf-8")
    dated = plan(say)
    assert {c["month"] for c in dated["changes"]} == {"2024-11-01"}
    assert (dated["restated"], dated["instead"]) == ([], [])


@pytest.mark.deep
def test_several_edits_of_one_source_are_offered_together_with_its_name_in_quotes(
    published: Project, say: Line
) -> None:
    published.put("proref 0.csv", referrals(("o", "10/10/2024 09:00 AM")), minutes=0)
    published.sync()
    sources = published.rules / "sources.toml"
    text = sources.read_text(encoding="utf-8").replace("per_lead = 20.00", "per_lead = 25.50")
    text = text.replace("current_status IS DISTINCT FROM 'Passed'", "current_status = 'Won'")
    sources.write_text(text, encoding="utf-8")
    (offered,) = plan(say)["instead"]
    assert offered.splitlines() == [
        '[[sources."Pro Referral".changes]]',
        "from = 2024-11-01",
        'leads = { feed = "proref_leads", where = "current_status = \'Won\'" }',
        "cost = { per_lead = 25.50 }",
    ]


@pytest.mark.deep
def test_an_edit_that_moves_only_the_newest_month_needs_no_dated_change(published: Project, say: Line) -> None:
    sources = published.rules / "sources.toml"
    sources.write_text(sources.read_text(encoding="utf-8").replace("per_lead = 20.00", "per_lead = 25.00"), "utf-8")
    found = plan(say)
    assert found["changes"]
    assert (found["restated"], found["instead"]) == ([], [])
