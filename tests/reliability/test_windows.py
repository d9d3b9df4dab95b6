"""What can be known of Windows and macOS on Linux: rmetrics runs without what those systems lack, or says why not."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rmetrics.flock import try_lock
from rmetrics.postgres.embedded import process, sockets
from small_company import jobs, targets
from support import ROOT, Project

HERE = ROOT / "tests" / "reliability" / "windows.py"


def run(project: Project, *arguments: str, dsn: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = project.environment | ({} if dsn is None else {"RMETRICS_POSTGRES_DSN": dsn})
    return subprocess.run(
        [sys.executable, HERE, *arguments],
        cwd=project.root, env=environment, text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
def test_without_flock_fork_and_users_everything_but_the_embedded_server_works(project: Project) -> None:
    """A whole day: sync, sync again, explain, plan, check, report, with a server of one's own."""
    project.put("Import-1.csv", jobs((1,)))
    first = run(project, "sync", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["status"] == "published"
    assert json.loads(run(project, "sync", "--json").stdout)["status"] == "unchanged"
    found = run(project, "explain", "--source", "Google", "--metric", "repairs", "--json")
    assert json.loads(found.stdout)["verdict"] == "match", found.stderr
    for command in (("plan",), ("check",), ("status",), ("rules", "check"), ("report", "-o", "page.html"), ("doctor",)):
        done = run(project, *command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    assert project.rows("SELECT count(*) FROM jobs") == [(1,)]


def test_every_name_in_the_lake_is_one_that_windows_and_macos_can_hold(project: Project) -> None:
    """No forbidden character or reserved word, no two names that differ in case alone, no path near 260 characters."""
    project.put('Import: "a" <1>?.csv', jobs((1, "COD Repair", "AUX: a|b*")))
    project.put("targets CON.csv", targets(("2024-11", 3, "Google"), more=("Source",)))
    project.sync()
    lake = project.root / "data" / "lake"
    names = [str(p.relative_to(lake)) for p in lake.rglob("*")]
    assert len(names) > 10
    assert len({n.casefold() for n in names}) == len(names)
    for name in names:
        assert len(name) < 140, name
        for part in Path(name).parts:
            assert not re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', part), name
            assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part), name


@pytest.mark.deep
def test_the_embedded_server_is_refused_in_words(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    for command in (("sync",), ("db", "start"), ("db", "start", "--port", "5433")):
        done = run(project, *command, dsn="")
        assert done.returncode == 4, (command, done.stdout, done.stderr)
        assert "the embedded PostgreSQL needs Linux or macOS" in done.stderr
        assert "RMETRICS_POSTGRES_DSN, or run rmetrics in WSL" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.deep
def test_of_two_syncs_the_second_is_told_also_without_flock(project: Project) -> None:
    """The lock of the lake holds between processes; a process that is killed leaves it free."""
    project.put("Import-1.csv", jobs((1,)))
    assert run(project, "sync", "--quiet").returncode == 0
    lock = next((project.root / "data" / "lake").glob("*lock*"))
    hold = f"import fcntl, sys, time\nf = open({str(lock)!r}, 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX, 1, 2**30)\nprint('held', flush=True)\ntime.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        project.put("Import-2.csv", jobs((2,)))
        assert run(project, "sync").returncode == 5
    finally:
        holder.kill()
        holder.wait()
        holder.stdout and holder.stdout.close()
    assert run(project, "sync", "--quiet").returncode == 0


def test_flock_is_held_for_each_open_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with path.open("r+") as one, path.open("r+") as other:
        assert try_lock(one.fileno(), exclusive=False)
        assert try_lock(other.fileno(), exclusive=False)
        assert not try_lock(one.fileno(), exclusive=True)


@pytest.mark.slow
def test_no_command_forks(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """A fork of a process with threads, as Polars' is, can hang; Windows has none and macOS warns of it."""
    forks: list[str] = []
    monkeypatch.setattr(os, "fork", lambda: forks.append("fork"))
    project.put("Import-1.csv", jobs((1,)))
    project.sync()
    assert forks == []
    assert threading.active_count() >= 1


def test_on_macos_a_socket_path_has_four_bytes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """103 bytes instead of 107: a project that lies deeper gets a folder of its own for the socket."""
    monkeypatch.setattr(sockets, "_MAX_LENGTH", 103 - len("/.s.PGSQL.65535"))
    assert sockets.fits(Path("/" + "p" * 86))
    assert not sockets.fits(Path("/" + "p" * 88))


def test_on_macos_the_server_is_found_by_lsof(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is no /proc: whether a process is a postgres that works in the folder is asked of lsof."""
    asked: list[list[str]] = []

    def lsof(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, f"p1\nfcwd\nn{tmp_path}\n".encode(), b"")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lsof)
    assert process.works_in(os.getpid(), tmp_path)
    assert not process.works_in(os.getpid(), tmp_path.parent)
    assert asked[0][0] == "/usr/sbin/lsof"
