"""What ``rmetrics doctor`` says of an installation, and how to mend each thing."""

import json
import os
from pathlib import Path

import pytest

from rmetrics.diagnosis import database, folders, program
from rmetrics.diagnosis.finding import Diagnosis
from rmetrics.findings import Severity
from rmetrics.lake import Lake
from rmetrics.usecases.doctor import doctor
from rmetrics.version import __version__
from small_company import jobs
from support import Project


@pytest.fixture
def healthy(published: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A published project whose folder is the working folder."""
    monkeypatch.chdir(published.root)
    return published


def problems(project: Project, *, verify: bool = False) -> dict[str, Diagnosis]:
    """What is wrong, by name; each says how to mend it."""
    found = {
        c.name: c for c in doctor(project.settings, verify=verify).checks if c.severity not in (None, Severity.INFO)
    }
    assert all(c.advice for c in found.values())
    return found


def test_a_healthy_installation_is_well(healthy: Project) -> None:
    result = doctor(healthy.settings, verify=True)
    assert [c for c in result.checks if c.severity is not None] == []
    named = {c.name for c in result.checks}
    assert named >= {"python", "libraries", "rules", "time zone", "inbox", "lake", "permissions", "free space", "clock", "database", "schema", "verify"}  # fmt: skip
    assert __version__ in result.checks[0].message


def test_each_thing_that_can_be_wrong_is_told_with_how_to_mend_it(
    healthy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = healthy.root / "data" / "lake"
    (lake / "metrics").chmod(0o755)
    Path(".env").write_text("RMETRICS_POSTGRES_DSN=x\n")
    Path(".env").chmod(0o644)
    found = doctor(healthy.settings).checks
    assert [c.severity for c in found if c.name == "permissions"] == [Severity.ERROR, Severity.WARNING]
    (lake / "metrics").chmod(0o700)
    Path(".env").unlink()

    healthy.put("Import-9.csv", jobs((9,)))
    os.utime(healthy.inbox / "Import-9.csv", (4e9, 4e9))
    healthy.sync()
    assert "2096" in problems(healthy)["clock"].message

    monkeypatch.setattr(folders, "SPACE_ERROR", 2**60)
    assert problems(healthy)["free space"].severity is Severity.ERROR
    monkeypatch.setattr(database, "_OLDEST_SERVER", 990_000)
    assert "upgrade the server" in problems(healthy)["database"].advice
    with Lake(healthy.settings.lake_dir).locked():
        assert f"pid {os.getpid()}" in problems(healthy)["lock"].message
    (healthy.rules / "sources.toml").write_text("[sources.X]\nleads = 'nobody'\n")
    assert "sources.X" in problems(healthy)["rules"].message
    healthy.dsn = "postgresql://u:pw@127.0.0.1:1/x"
    assert "no server is listening" in problems(healthy)["database"].message


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("2.1.0", "<3,>=2.1", True),
        ("3.0.0", "<3,>=2.1", False),
        ("2.0.0", "!=2.0.0,>=1.5.6", False),
        ("1.5.6", "!=2.0.0,>=1.5.6", True),
        ("2.1.0rc1", ">=2.1", True),
    ],
)
def test_versions_are_compared_by_number(version: str, wanted: str, fits: bool) -> None:
    assert program._within(version, wanted) is fits  # noqa: SLF001 - libraries cannot be exchanged for a test


def test_a_server_elsewhere_without_a_checked_certificate_is_a_warning() -> None:
    safe = (
        "postgresql://u@localhost/d",
        "postgresql://u@/d?host=/tmp",
        "postgresql://u@db.example.com/d?sslmode=verify-full",
    )
    assert [database._unsafe(dsn) for dsn in safe] == [None] * 3  # noqa: SLF001
    assert database._unsafe("postgresql://u@db.example.com/d?sslmode=require") is not None  # noqa: SLF001


def test_json_is_one_document(
    healthy: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rmetrics.cli import run

    for name, value in healthy.environment.items():
        monkeypatch.setenv(name, value)
    assert run(["doctor", "--verify", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert document["damaged"] == []
    assert set(document["checks"][0]) == {"name", "severity", "message", "advice"}


def replaced_in_place(path: Path, text: str) -> None:
    """Another content under the same name, size, modification time and inode."""
    before = path.stat()
    assert len(text.encode()) == before.st_size
    with path.open("r+") as file:
        file.write(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.deep
def test_verify_finds_a_file_of_the_inbox_that_changed_behind_its_size_and_time(
    healthy: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = healthy.inbox / "Import-1.csv"
    (healthy.inbox / "new.csv").write_text("not read yet\n")
    replaced_in_place(path, path.read_text().replace("COD Repair", "INS Repair"))
    assert "verify" not in problems(healthy)
    from rmetrics.cli import run

    found = problems(healthy, verify=True)["verify"]
    assert found.severity is Severity.ERROR
    assert str(path) in found.message
    assert "new.csv" not in found.message
    assert "rmetrics sync --full" in found.advice
    (damaged,) = doctor(healthy.settings, verify=True).damaged
    assert (damaged.path, damaged.export) == (path, "Import-1.csv")
    assert run(["doctor", "--verify"]) != 0
    assert "rmetrics sync --full" in " ".join(capsys.readouterr().out.split())
    healthy.sync(full=True)
    assert healthy.rows("SELECT type FROM jobs") == [("INS Repair",)]
    assert "verify" not in problems(healthy, verify=True)


def test_verify_leaves_files_alone_that_the_next_sync_reads_anyway(healthy: Project) -> None:
    (healthy.inbox / "Import-1.csv").write_text("shorter\n")
    assert "verify" not in problems(healthy, verify=True)
    (healthy.inbox / "Import-1.csv").unlink()
    assert "verify" not in problems(healthy, verify=True)
