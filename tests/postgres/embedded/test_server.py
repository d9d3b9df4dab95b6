"""The folder and the process of an embedded server: killed, copied, moved, half made, of another version."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi

from command_line import rmetrics
from embedded_servers import asked, given_cluster, kill_server, one_job
from rmetrics.errors import PostgresError
from rmetrics.postgres.embedded import embedded, embedded_running, process, start_embedded, stop_embedded
from rmetrics.postgres.embedded.binaries import server_user
from small_company import jobs
from support import Project


def test_a_server_that_was_killed_starts_again_also_where_its_number_is_another_programs(place: Path) -> None:
    folder = given_cluster(place / "postgres")
    url = start_embedded(folder).dsn
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS n")
    kill_server(folder)
    other = subprocess.Popen(["sleep", "100"], user=server_user(folder).uid)
    try:
        pid_file = folder / "postmaster.pid"
        pid_file.write_text(re.sub(r"^\d+", str(other.pid), pid_file.read_text()))
        socket_lock = folder / ".s.PGSQL.5432.lock"
        socket_lock.write_text(re.sub(r"^\d+", str(other.pid), socket_lock.read_text()))
        assert embedded_running(folder) is None
        assert not stop_embedded(folder)
        with embedded(folder) as server:
            assert asked(server.dsn, "SELECT n FROM kept") == "7"
        assert other.poll() is None, "a program that is not ours is left alone"
    finally:
        other.kill()
        other.wait()


@pytest.mark.slow
def test_a_copy_of_a_project_never_reaches_the_server_of_the_first(place: Path) -> None:
    first = one_job(place / "first")
    assert rmetrics(first, "sync", "--quiet").returncode == 0
    url = start_embedded(first.settings.server_dir).dsn
    shutil.copytree(first.root, place / "second", ignore=shutil.ignore_patterns(".s.PGSQL*"))
    if os.geteuid() == 0:
        subprocess.run(
            ["chown", "-R", str(first.settings.server_dir.stat().st_uid), place / "second/data/postgres"], check=True
        )
    second = Project(place / "second", "")
    assert embedded_running(second.settings.server_dir) is None
    assert not stop_embedded(second.settings.server_dir)
    second.put("Import-2.csv", jobs((2, "COD Repair", "Google", "Wed Nov 06 2024")))
    assert rmetrics(second, "sync", "--quiet").returncode == 0
    assert asked(url, "SELECT count(*) FROM jobs") == "1"


@pytest.mark.slow
def test_a_project_that_is_moved_takes_its_running_server_along(place: Path) -> None:
    project = one_job(place / "first")
    assert rmetrics(project, "sync", "--quiet").returncode == 0
    start_embedded(project.settings.server_dir)
    project.root.rename(place / "moved")
    moved = Project(place / "moved", "")
    running = embedded_running(moved.settings.server_dir)
    assert running is not None
    assert asked(running.dsn, "SELECT count(*) FROM jobs") == "1"
    assert rmetrics(moved, "sync", "--quiet").returncode == 0
    assert rmetrics(moved, "db", "stop").stdout.strip() == "Stopped."


def test_a_server_that_was_half_made_is_made_whole(place: Path) -> None:
    (place / "postgres.part" / "global").mkdir(parents=True)
    (place / "postgres.part" / "PG_VERSION").write_text("18\n")
    with embedded(place / "postgres") as server:
        assert asked(server.dsn) == "1"
    assert not (place / "postgres.part").exists()


@pytest.mark.parametrize(("file", "text"), [("PG_VERSION", "18\n"), ("PG_VERSION", "x"), ("notes.txt", "mine")])
def test_a_folder_that_is_no_whole_server_is_refused_and_left_alone(place: Path, file: str, text: str) -> None:
    folder = place / "postgres"
    folder.mkdir()
    (folder / file).write_text(text)
    if os.geteuid() == 0:
        os.chown(folder, server_user(place / "none").uid, -1)
    with pytest.raises(PostgresError, match=r"incomplete|contains files") as caught, embedded(folder):
        pytest.fail("there is no server")
    assert caught.value.hint
    assert (folder / file).read_text() == text


def test_a_server_of_another_version_is_refused_in_words(place: Path) -> None:
    given_cluster(place / "postgres")
    (place / "postgres" / "PG_VERSION").write_text("99\n")
    with pytest.raises(PostgresError, match="PostgreSQL 99"), embedded(place / "postgres"):
        pytest.fail("there is no such version")


@pytest.mark.parametrize("files", [16, 40, 64])
@pytest.mark.ordinary(0, deep=1)
def test_few_open_files_lead_to_words(place: Path, files: int) -> None:
    project = one_job(place / "shop")
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "rmetrics", "sync", "--quiet"],
        env=project.environment, cwd=project.root, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 4}, done.stderr
    assert "Traceback" not in done.stderr


def test_a_user_without_a_name_is_told_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(PostgresError, match="user id 54321 has no name"):
        server_user(place / "postgres")


def test_a_zombie_and_a_shell_in_the_folder_are_no_server(place: Path) -> None:
    shell = subprocess.Popen(["sleep", "100"], cwd=place)
    try:
        assert process.alive(shell.pid)
        assert not process.works_in(shell.pid, place)
        shell.kill()
        os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
        assert not process.alive(shell.pid)
    finally:
        shell.wait()
