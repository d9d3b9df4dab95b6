"""``rmetrics rules``, ``rules check`` and ``rules new`` on the command line, and rules tried on the data that is there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmetrics.cli import run
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.usecases.rules import check_rules
from small_company import jobs, referrals
from support import Project, new_project

Line = Callable[..., tuple[int, str, str]]


@pytest.fixture
def offline(tmp_path: Path, computed: Project) -> Project:
    """A project of its own that never publishes, computed from a few jobs and referrals."""
    shutil.copytree(computed.root, tmp_path / "project")
    return Project(tmp_path / "project", computed.dsn)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = new_project(tmp_path_factory.mktemp("computed") / "project", "postgresql://nowhere.invalid/none")
    project.put(
        "Import-1.csv",
        jobs(
            (1, "COD Service", "Google", "11/04/2024"),
            (2, "INS Service", "Rely", "11/05/2024"),
            (3, "COD Repair", "Googel", "11/06/2024"),
            (4, "COD Repair", "Puls", "11/06/2024"),
            (5, "COD Repair", "puls ", "11/06/2024"),
            (6, "COD Repair", "", "11/06/2024"),
        ),
    )
    project.put("proref.csv", referrals(("a", "11/10/2024 09:00 AM")))
    lake, rules = Lake(project.settings.lake_dir), load_rules(project.rules)
    lake.prepare()
    land_inbox(project.inbox, lake, rules, silent)
    compute(lake, rules, silent)
    return project


@pytest.fixture
def say(offline: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs a command line in the project: exit code, stdout, stderr."""
    monkeypatch.chdir(offline.root)
    for name, value in offline.environment.items():
        monkeypatch.setenv(name, value)

    def line(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(arguments))
        told = capsys.readouterr()
        return code, told.out, told.err

    return line


def warned(project: Project) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for warning in check_rules(project.settings).warnings:
        found.setdefault(warning.key, []).append(warning.message)
    return found


def add(project: Project, text: str, file: str = "extra.toml") -> None:
    path = project.rules / file
    path.write_text((path.read_text(encoding="utf-8") if path.exists() else "") + "\n" + text, encoding="utf-8")


def test_undeclared_sources_are_named_with_the_nearest_one(offline: Project) -> None:
    puls, googel = warned(offline)["sources"]
    assert puls.startswith("'Puls' is the source of 2 jobs, but no rule declares it")
    assert googel.startswith("'Googel' is the source of 1 job")
    assert googel.endswith("did you mean 'Google'?")


def test_a_source_without_jobs_is_named_unless_its_leads_have_an_export(offline: Project) -> None:
    found = warned(offline)
    assert found["sources.NSA"] == ["no job has this source, so it has no leads; check its name and aliases"]
    assert not {"sources.Google", "sources.Rely", "sources.Pro Referral", "sources.eLocals"} & found.keys()


def test_a_condition_that_matches_nothing_is_named_at_its_line(offline: Project) -> None:
    add(offline, '[sources.Acme]\nleads = { feed = "proref_leads", where = "current_status = \'Bookd\'" }\n')
    (warning,) = [w for w in check_rules(offline.settings).warnings if w.key == "sources.Acme.leads.where"]
    assert (warning.path.name, warning.line) == ("extra.toml", 3)
    assert warning.message == "matches none of the 1 row it looks at"


def test_a_condition_is_judged_by_the_time_it_is_in_force(offline: Project) -> None:
    change = "[[jobs.changes]]\nfrom = 2024-11-06\nunit = \"type = 'COD Service'\"\n"
    add(offline, change, "business.toml")
    found = warned(offline)
    assert found["jobs.changes.0.unit"] == ["matches none of the 4 rows it looks at"]
    assert "jobs.unit" not in found


def test_a_condition_on_a_column_that_is_new_is_not_judged(offline: Project) -> None:
    feeds = offline.rules / "feeds.toml"
    text = feeds.read_text(encoding="utf-8")
    feeds.write_text(
        text.replace(
            "[feeds.proref_leads.columns]", '[feeds.proref_leads.columns]\ncity = { type = "text", from = ["City"] }'
        ),
        encoding="utf-8",
    )
    add(offline, '[sources.Acme]\nleads = { feed = "proref_leads", where = "city = \'Lowell\'" }\n')
    assert "sources.Acme.leads.where" not in warned(offline)


def test_blanks_are_warned_of_only_where_there_can_be_some(offline: Project) -> None:
    add(
        offline,
        "[sources.Acme]\nleads = { feed = \"proref_leads\", where = \"current_status <> 'Passed' AND lead_id <> 'x'\" }\n",
    )
    assert warned(offline)["sources.Acme.leads.where"] == [
        "<> excludes rows where current_status is blank; if they count, write current_status IS DISTINCT FROM ..."
    ]


def test_without_a_lake_only_the_rules_are_judged(tmp_path: Path) -> None:
    project = new_project(tmp_path / "new", "postgresql://nowhere.invalid/none")
    assert warned(project) == {}
    assert not (project.root / "data" / "lake").exists()


def test_check_says_warnings_and_that_all_is_fine(say: Line) -> None:
    code, out, _ = say("rules", "check")
    assert code == 0
    assert "warning: " in out
    assert "are valid: 7 sources, 7 feeds." in out
    document = json.loads(say("rules", "check", "--json")[1])
    assert (document["ok"], document["problems"]) == (True, [])
    assert {"path", "line", "key", "message"} == set(document["warnings"][0])
    assert say("rules", "check", "--quiet")[:2] == (0, "")


@pytest.mark.parametrize("command", [["rules", "check"], ["rules"], ["plan"], ["sync"], ["schema"]])
def test_every_command_that_reads_rules_reports_all_problems(offline: Project, say: Line, command: list[str]) -> None:
    add(offline, "[sources.Acme]\nleeds = 1\nleads = 'jobs'\ncost = { per_lead = -1 }\n")
    code, out, err = say(*command)
    assert (code, out) == (2, "")
    assert "the rules have 2 problems" in err
    assert "extra.toml:3: sources.Acme.leeds: unknown key; did you mean 'leads'?" in err
    assert (
        "extra.toml:5: sources.Acme.cost.0.per_lead: must be a number from 0 to 10,000,000 with at most 2 decimals, found -1"
        in err
    )


def test_problems_as_one_document(offline: Project, say: Line) -> None:
    add(offline, "[sources.Acme]\nleads = 'jbos'\n")
    code, out, _ = say("rules", "check", "--json")
    document: dict[str, Any] = json.loads(out)
    assert (code, document["ok"]) == (2, False)
    (problem,) = document["problems"]
    assert (Path(problem["path"]).name, problem["line"], problem["key"]) == ("extra.toml", 3, "sources.Acme.leads")
    assert "did you mean 'jobs'?" in problem["message"]


def test_rules_of_a_day(offline: Project, say: Line) -> None:
    add(
        offline,
        "[sources.Acme]\nleads = 'jobs'\ncost = { per_lead = 5.00 }\n[[sources.Acme.changes]]\nfrom = 2026-02-01\ncost = { per_lead = 6.00 }\n",
    )
    before, after = (
        json.loads(say("rules", "--source", "Acme", "--as-of", day, "--json")[1])
        for day in ("2026-01-31", "2026-02-01")
    )
    assert [r["words"] for r in (*before["rules"], *after["rules"]) if r["rule"] == "cost"] == [
        "costs 5.00 per lead", "costs 6.00 per lead"
    ]  # fmt: skip
    assert [(r["since"], r["words"]) for r in before["later"]] == [("2026-02-01", "costs 6.00 per lead")]
    assert after["later"] == []
    text = say("rules", "--as-of", "2026-02-01")[1]
    assert "cost: costs 6.00 per lead (since 2026-02-01)  " in text
    assert "extra.toml:7" in text
    assert say("rules", "--as-of", "01.02.2026")[0] == 2


def test_new_on_the_command_line(offline: Project, say: Line) -> None:
    export = offline.put("acme.csv", "Ref,When\nA,2024-11-05\nB,2024-11-06\n")
    code, out, _ = say("rules", "new", "Acme Leads", "--from", str(export))
    assert code == 0
    assert "acme_leads.toml: the feed acme_leads and the source 'Acme Leads'" in out
    assert say("rules", "check", "--quiet")[0] == 0
    assert say("rules", "new", "Acme Leads", "--from", str(export))[0] == 2


def test_new_that_must_be_filled_in_says_so(offline: Project, say: Line) -> None:
    export = offline.put("acme.csv", "Ref,Price\nA,12.50\nB,13.50\n")
    code, out, _ = say("rules", "new", "Acme", "--from", str(export))
    assert code == 2
    assert "feeds.acme_leads.date: names no column of the feed: 'fill_in'" in out
