"""The command line, run as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import rmetrics
from rmetrics.cli import run
from small_company import jobs, payments
from support import ROOT, Project


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rmetrics.cli import run; run(['--help']); "
        "heavy = {'polars', 'duckdb', 'pyarrow', 'pydantic', 'rich', 'adbc_driver_manager'} & set(sys.modules); "
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sync" in done.stdout


def test_sync_as_text_then_unchanged_then_quiet(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    first = rmetrics(project, "sync")
    assert first.returncode == 0, first.stderr
    assert "November 2024 by source" in first.stdout
    assert "the two engines agree" in first.stdout
    assert "\x1b[" not in first.stdout + first.stderr
    assert rmetrics(project, "sync").stdout.startswith("Nothing changed: 1 file in the inbox")
    quiet = rmetrics(project, "sync", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_sync_as_json_is_one_document_with_exact_money(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    project.put("payments.csv", payments((1, "2024-11-05", "0.10"), (1, "2024-11-06", "x")))
    done = rmetrics(project, "sync", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["status"] == "published"
    assert document["published"]["jobs"] == 1
    files = {f["file"]: f for f in document["files"]}
    assert set(files["payments.csv"]) >= {
        "file", "feed", "status", "rows", "accepted", "rejected", "superseded", "totals", "reason",
    }  # fmt: skip
    assert (files["payments.csv"]["accepted"], files["payments.csv"]["rejected"]) == (1, 1)
    (google,) = (m for m in document["months"] if m["source"] == "Google")
    assert (google["revenue_gross"], google["revenue40"]) == ("0.10", "0.040000")
    assert all(set(f) == {"code", "severity", "message", "rows"} for f in document["findings"])


def test_strict_exits_3_when_rows_were_rejected(project: Project) -> None:
    project.put("payments.csv", payments((1, "2024-11-05", "1.005")))
    assert rmetrics(project, "sync", "--strict").returncode == 3
    assert rmetrics(project, "sync").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["synk"], 2, "Did you mean 'sync'"),
        (["sync", "--months", "x"], 2, "--months"),
        (["schema", "extra"], 2, "unexpected extra argument"),
    ],
)
def test_usage_errors_exit_2(arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == code
    assert told in capsys.readouterr().err


def test_faulty_rules_exit_2_and_name_every_place(project: Project) -> None:
    sources = project.rules / "sources.toml"
    sources.write_text(sources.read_text().replace("per_lead = 20.00", "per_leed = 20.00").replace('"COD"', '"CDO"', 1))
    done = rmetrics(project, "sync")
    assert done.returncode == 2
    assert "sources.toml:" in done.stderr
    assert "per_leed" in done.stderr
    assert "did you mean 'per_lead'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_server_exits_4_without_the_password(project: Project) -> None:
    project.dsn = "postgresql://user:s3cr3t%21@localhost:1/shop"
    done = rmetrics(project, "sync")
    assert done.returncode == 4
    assert "localhost:1/shop" in done.stderr
    assert "no server is listening there" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "dsn", ["postgres//user:s3cr3t@host/db", "postgresql://user:s3cr3t%zz@[bad/db", "host=localhost password=s3cr3t"]
)
def test_a_malformed_dsn_exits_2_or_4_without_the_password(project: Project, dsn: str) -> None:
    project.dsn = dsn
    done = rmetrics(project, "sync", "--json")
    assert done.returncode in {2, 4}
    assert "s3cr3t" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["message"]


def test_a_missing_rules_folder_says_how_to_get_one(project: Project, tmp_path: Path) -> None:
    done = rmetrics(project, "sync", RMETRICS_RULES_DIR=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "rmetrics init" in done.stderr


def test_status_before_and_after(bare_project: Project) -> None:
    project = bare_project
    assert "nothing is published yet" in rmetrics(project, "status").stdout
    project.put("Import-1.csv", jobs((1,)))
    rmetrics(project, "sync", "--quiet")
    document = json.loads(rmetrics(project, "status", "--json").stdout)
    assert {f["feed"]: f["rows"] for f in document["feeds"]}["jobs"] == 1
    assert document["runs"][0]["status"] == "ok"
    assert document["tables"]["daily_metrics"] == 1


def test_schema_prints_what_apply_applies(project: Project) -> None:
    shown = rmetrics(project, "schema").stdout
    assert shown == (ROOT / "schema.sql").read_text()
    assert rmetrics(project, "schema", "--apply").returncode == 0
    assert project.rows("SELECT count(*) FROM monthly_vs_target") == [(0,)]


def test_init_makes_a_project_that_works_and_never_overwrites(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "company"
    assert rmetrics(project, "init", str(folder)).returncode == 0
    shipped = {p.relative_to(ROOT / "rules") for p in (ROOT / "rules").rglob("*.toml")}
    assert {p.relative_to(folder / "rules") for p in (folder / "rules").rglob("*.toml")} == shipped
    assert (folder / "data" / "inbox").is_dir()
    again = rmetrics(project, "init", str(folder))
    assert again.returncode == 2
    assert "already contains rules" in again.stderr


def test_the_embedded_server_by_command(project: Project) -> None:
    project.dsn = ""
    assert rmetrics(project, "db", "url").returncode == 2
    try:
        url = rmetrics(project, "db", "start").stdout.strip()
        assert url.startswith("postgresql://")
        assert rmetrics(project, "db", "url").stdout.strip() == url
        assert rmetrics(project, "sync", "--quiet").returncode == 0
        assert rmetrics(project, "db", "url").stdout.strip() == url  # the sync leaves a running server running
    finally:
        assert "Stopped" in rmetrics(project, "db", "stop").stdout
    assert "was not running" in rmetrics(project, "db", "stop").stdout
