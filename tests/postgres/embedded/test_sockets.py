"""Where the socket of an embedded server is: wherever the project lies, closed to others, and found again."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import rmetrics
from embedded_servers import asked, given_cluster, kill_server, one_job, socket_of
from other_users import STRANGER, given_to, needs_root
from rmetrics.errors import PostgresError
from rmetrics.postgres import embedded as servers
from rmetrics.postgres.embedded import embedded, embedded_running, sockets, start_embedded, stop_embedded
from rmetrics.postgres.embedded.binaries import programs, server_user

ODD = {
    "102 characters": "d" * 90,
    "150 characters": "d" * 138,
    "250 characters": "d" * 119 + "/" + "e" * 118,
    "a space and quotes": 'Joe\'s "best" shop',
    "a comma": "Smith, Sons",
    "not ASCII": "Réparation Œuvre ремонт",
    "signs of a shell": "$(touch x) `id` & ; %41",
    "a line break": "two\nlines",
}


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
@pytest.mark.ordinary(1, deep=1)
def test_the_server_runs_wherever_the_project_lies_in_a_folder_that_is_closed(place: Path, name: str) -> None:
    folder = place / name / "data" / "postgres"
    url = start_embedded(folder).dsn
    assert asked(url) == "1"
    found = socket_of(url).lstat()
    assert stat.S_ISDIR(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == server_user(folder).uid
    again = embedded_running(folder)
    assert again is not None
    assert again.dsn == url
    assert servers.weaknesses(folder) == []
    assert stop_embedded(folder)
    assert embedded_running(folder) is None
    assert socket_of(url) == folder or not socket_of(url).exists()


@pytest.mark.slow
def test_commands_start_tell_and_stop_it_deep_down_in_the_tree(place: Path) -> None:
    project = one_job(place / ("d" * 150))
    assert rmetrics(project, "sync", "--quiet").returncode == 0
    started = rmetrics(project, "db", "start")
    assert started.returncode == 0, started.stderr
    assert rmetrics(project, "db", "url").stdout == started.stdout
    psql = programs(None, server_user(project.settings.server_dir)) / "psql"
    told = subprocess.run(
        [psql, started.stdout.strip(), "-Atc", "SELECT count(*) FROM jobs"], text=True, capture_output=True, check=True
    )
    assert told.stdout.strip() == "1"
    assert rmetrics(project, "db", "stop").stdout.strip() == "Stopped."


def test_where_no_folder_is_safe_for_the_socket_nothing_starts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loose = place / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    monkeypatch.setattr(sockets, "_places", lambda _: iter((loose, place / "missing", place / ("l" * 90))))
    with pytest.raises(PostgresError, match="where other users can rename files") as caught:
        start_embedded(place / ("d" * 150) / "postgres")
    assert "TMPDIR" in caught.value.hint
    assert list(loose.iterdir()) == []


@needs_root
def test_a_temporary_folder_of_another_user_is_not_trusted(place: Path) -> None:
    place.chmod(0o755)
    theirs = place / "theirs"
    theirs.mkdir()
    given_to(STRANGER, theirs)
    assert sockets._unsafe(theirs, server_user(place / "postgres")) is not None  # noqa: SLF001 - the rule itself


def test_the_folder_of_a_killed_servers_socket_is_removed(place: Path) -> None:
    folder = given_cluster(place / ("d" * 150) / "postgres")
    first = socket_of(start_embedded(folder).dsn)
    kill_server(folder)
    second = socket_of(start_embedded(folder).dsn)
    assert first != second
    assert not first.exists()


def test_a_server_whose_socket_was_swept_away_is_started_again(place: Path) -> None:
    folder = given_cluster(place / ("d" * 150) / "postgres")
    url = start_embedded(folder).dsn
    shutil.rmtree(socket_of(url))
    with embedded(folder) as server:
        assert asked(server.dsn) == "1"


@pytest.mark.parametrize(
    "surroundings",
    [{"TMPDIR": "/nowhere"}, {"TMPDIR": "/proc"}, {"XDG_RUNTIME_DIR": "/nowhere", "HOME": "/nowhere"}, {"TMPDIR": ""}],
    ids=str,
)
@pytest.mark.ordinary(0, deep=1)
def test_odd_surroundings_do_not_matter(place: Path, surroundings: dict[str, str]) -> None:
    project = one_job(place / ("d" * 150))
    environment = {k: v for k, v in project.environment.items() if k != "HOME"} | surroundings
    done = subprocess.run(
        [sys.executable, "-m", "rmetrics", "sync", "--quiet"],
        env=environment, cwd=project.root, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
