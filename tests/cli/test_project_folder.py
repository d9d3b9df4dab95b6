"""Where a command works: in a project folder, below one, in the one that -C names, and nowhere else; the bare program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import command_line
from rmetrics.cli import run
from small_company import jobs
from support import Project

COMMANDS = (
    ("sync",), ("plan",), ("check",), ("history",), ("sql",), ("status",), ("doctor",), ("schema",), ("report",),
    ("rules",), ("rules", "check"), ("rejected",), ("exports", "list"), ("db", "url"), ("explain", "--source", "ALL"),
)  # fmt: skip


def line(*arguments: str, at: Path, dsn: str = "") -> subprocess.CompletedProcess[str]:
    """One run of the program in a folder, with no setting but a server in the environment."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("RMETRICS_", "PG"))}
    return command_line(*arguments, folder=at, environment=others | ({"RMETRICS_POSTGRES_DSN": dsn} if dsn else {}))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_no_project_says_what_to_do(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("POSTGRES_DSN", "DATA_DIR", "INBOX_DIR", "RULES_DIR"):
        monkeypatch.delenv(f"RMETRICS_{name}", raising=False)
    assert run([*command]) == 2
    told = capsys.readouterr().err
    assert "is not in an rmetrics project" in told
    assert "rmetrics init FOLDER" in told
    assert "rmetrics -C FOLDER" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_project_is_found_from_below_and_by_name(project: Project, tmp_path: Path) -> None:
    project.put("Import-1.csv", jobs((1, "COD Repair", "Google", "11/5/2024")))
    below = project.root / "data" / "notes"
    below.mkdir()
    assert line("sync", at=below, dsn=project.dsn).returncode == 0
    assert project.rows("SELECT count(*) FROM jobs") == [(1,)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for arguments in (("-C", str(project.root), "status", "--json"), ("status", "--json", "-C", str(below))):
        done = line(*arguments, at=elsewhere, dsn=project.dsn)
        assert done.returncode == 0, done.stderr
        assert {f["feed"]: f["rows"] for f in json.loads(done.stdout)["feeds"]}["jobs"] == 1
    listed = line("exports", "list", "-C", "../project", "--json", at=elsewhere, dsn=project.dsn)
    assert [e["name"] for e in json.loads(listed.stdout)["exports"]] == ["Import-1.csv"]
    assert list(elsewhere.iterdir()) == []
    lost = line("status", "-C", "nowhere", at=elsewhere)
    assert lost.returncode == 2
    assert "cannot change to nowhere" in lost.stderr


@pytest.mark.deep
def test_settings_of_a_project_are_read_from_below(project: Project) -> None:
    (project.root / ".env").write_text(f"RMETRICS_POSTGRES_DSN={project.dsn}\nRMETRICS_INBOX_DIR=exports\n")
    (project.root / "exports").mkdir()
    (project.root / "exports" / "Import-1.csv").write_text(
        "Job #,Job Type,Source,Created\n1,COD Repair,Google,11/5/2024\n"
    )
    done = line("sync", "--json", at=project.root / "rules")
    assert [f["file"] for f in json.loads(done.stdout)["files"]] == ["Import-1.csv"]
    assert project.rows("SELECT count(*) FROM jobs") == [(1,)]


def test_the_bare_program_shows_its_help_and_groups_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, first in (([], "Usage: rmetrics [OPTIONS]"), (["db"], "Usage: rmetrics db [OPTIONS]")):
        assert run(arguments) == 0
        out, err = capsys.readouterr()
        assert out.startswith(first)
        assert err == ""


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["sync", "--no-such"], "rmetrics sync"),
        (["rules", "new"], "rmetrics rules new"),
        (["exports", "withdraw"], "rmetrics exports withdraw"),
        (["nothing"], "rmetrics"),
    ],
)
def test_a_usage_error_points_to_the_help_of_its_own_command(
    arguments: list[str], asked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert f"See `{asked} --help`." in capsys.readouterr().err


def test_an_empty_inbox_says_so_each_time(project: Project) -> None:
    for _ in range(2):
        done = line("sync", at=project.root, dsn=project.dsn)
        assert done.returncode == 0, done.stderr
        assert "the inbox data/inbox is empty: put exports (CSV or Excel) into it" in done.stdout
        assert "0 files" not in done.stdout
    assert "the inbox data/inbox is empty" in line("plan", at=project.root, dsn=project.dsn).stdout


@pytest.mark.slow
def test_nothing_changed_never_hides_a_new_file_that_cannot_be_used(project: Project) -> None:
    project.put("Import-1.csv", jobs((1, "COD Repair", "Google", "11/5/2024")))
    line("sync", at=project.root, dsn=project.dsn)
    project.put("notes.csv", "Dear John\nhello\n")
    for _ in range(2):
        told = line("sync", at=project.root, dsn=project.dsn).stdout
        assert told.startswith("Nothing changed: 1 file in the inbox, all landed before; 1 file skipped.")
        assert "notes.csv: fits no feed" in told


def test_completion_offers_commands(project: Project) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "_RMETRICS_COMPLETE": "complete_bash",
        "COMP_WORDS": "rmetrics re",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "rmetrics"],
        cwd=project.root, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["report", "rejected"]
