"""The embedded server: stopped by the last command that uses it, also where the one that started it was killed."""

from pathlib import Path

import pytest

from reliability.world import Runner
from rmetrics.errors import PostgresError
from rmetrics.postgres.embedded import (
    Owner,
    embedded,
    embedded_owner,
    embedded_running,
    server_in_background,
    state_at_rest,
)
from rmetrics.usecases.db import db_start, db_stop
from rmetrics.usecases.doctor import doctor
from small_company import jobs
from support import Project


def job(project: Project, number: int) -> None:
    project.put(f"Import-{number}.csv", jobs((number,)))


def owner(project: Project) -> Owner | None:
    return embedded_owner(project.settings.server_dir)


def killed(project: Project, runner: Runner, number: int) -> None:
    """A sync that is killed in the middle of its publish."""
    job(project, number)
    done = runner(project, fault="kill-statement", at=40)
    assert done.exit == -9, done.output


@pytest.mark.deep
def test_a_sync_stops_what_it_started(own: Project) -> None:
    assert owner(own) is None


@pytest.mark.deep
def test_a_server_that_a_killed_sync_left_running_is_told_and_stopped_by_the_next_one(
    own: Project, runner: Runner
) -> None:
    killed(own, runner, 2)
    assert owner(own) is Owner.NOBODY
    told = runner(own, "doctor").output
    assert "is running without an owner" in told
    assert owner(own) is None, "the doctor's own look at the database ends with nobody using it"
    killed(own, runner, 3)
    done = runner(own)
    assert done.exit == 0, done.output
    assert owner(own) is None
    with embedded(own.settings.server_dir) as server:
        own.dsn = server.dsn
        assert own.rows("SELECT count(*) FROM jobs") == [(3,)]
        own.dsn = ""


@pytest.mark.deep
def test_db_stop_stops_what_a_killed_sync_left_running(own: Project, runner: Runner) -> None:
    killed(own, runner, 4)
    assert runner(own, "db", "stop").output.strip() == "Stopped."
    assert owner(own) is None
    assert runner(own, "db", "stop").output.strip() == "It was not running."


@pytest.mark.deep
def test_a_server_stays_for_whoever_still_uses_it(own: Project, runner: Runner) -> None:
    with embedded(own.settings.server_dir):
        assert owner(own) is Owner.USED
        assert runner(own).exit == 0
        assert runner(own, "status", "--quiet").exit == 0
        with embedded(own.settings.server_dir):
            pass
        assert owner(own) is Owner.USED
    assert owner(own) is None


@pytest.mark.deep
def test_a_server_that_db_start_keeps_stays_whoever_is_killed_until_db_stop(own: Project, runner: Runner) -> None:
    url = db_start(own.settings)
    try:
        killed(own, runner, 5)
        assert runner(own).exit == 0
        assert owner(own) is Owner.KEPT
        running = embedded_running(own.settings.server_dir)
        assert running is not None
        assert running.dsn == url
        assert any(
            "started by `rmetrics db start`" in c.message
            for c in doctor(own.settings).checks
            if c.name == "embedded server"
        )
    finally:
        assert db_stop(own.settings)
    assert owner(own) is None
    with embedded(own.settings.server_dir):
        assert owner(own) is Owner.USED, "a later server is not the one that was kept"


def test_a_folder_that_cannot_hold_the_lock_is_told(tmp_path: Path) -> None:
    (tmp_path / "postgres.lock").mkdir()
    with pytest.raises(PostgresError, match="does not start"), embedded(tmp_path / "postgres"):
        pytest.fail("nothing must run without the lock")


def test_a_server_that_starts_ahead_is_there_when_it_is_asked_for_and_stopped_at_the_end(own: Project) -> None:
    folder, at_rest = own.settings.server_dir, list[str]()
    with server_in_background(None, folder, at_rest.append) as asked:
        assert asked() == embedded_running(folder)
    assert owner(own) is None
    assert at_rest == [state_at_rest(folder)]


def test_a_start_on_its_way_is_waited_for_and_undone_where_what_came_before_failed(own: Project) -> None:
    folder, at_rest = own.settings.server_dir, list[str]()
    with pytest.raises(ZeroDivisionError), server_in_background(None, folder, at_rest.append):
        raise ZeroDivisionError
    assert owner(own) is None
    assert at_rest == [], "the run did not come to its end"


def test_a_server_that_cannot_start_ahead_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "postgres.lock").mkdir()
    with server_in_background(None, tmp_path / "postgres"):
        pass  # nobody asked
    with (
        server_in_background(None, tmp_path / "postgres") as asked,
        pytest.raises(PostgresError, match="does not start"),
    ):
        asked()
