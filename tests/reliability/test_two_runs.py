"""P6: two runs at once, on one machine or on two: one works, the others say who holds the lock and exit 5."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reliability.figures import record
from reliability.versions import prepared, publish_version
from reliability.world import World, differences, tables
from rmetrics.errors import BusyError
from rmetrics.lake import Lake
from rmetrics.postgres.connection import connect, server_of


@pytest.mark.deep
def test_while_the_lake_is_held_a_run_names_the_holder_and_exits_5(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project:
        with Lake(project.settings.lake_dir).locked():
            done = world.run(project)
        assert done.exit == 5
        assert re.search(rf"pid {os.getpid()}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC", done.output), done.output
        assert tables(project) == world.before["tables"]


@pytest.mark.slow
def test_while_the_database_is_held_a_run_names_the_holder_and_exits_5(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project:
        with connect(server_of(project.dsn)) as session:
            session.query("SELECT pg_advisory_xact_lock(hashtextextended('rmetrics:publish:' || 'public', 0))")
            pid = session.query("SELECT pg_backend_pid()")[0][0]
            done = world.run(project)
        assert done.exit == 5
        assert re.search(rf"server process {pid} from .*, since \d{{4}}-", done.output), done.output
        assert tables(project) == world.before["tables"]
        assert world.run(project).exit == 0
        assert differences(tables(project), world.after["tables"]) == []


def test_a_run_that_another_machine_overtook_does_not_publish(database: str) -> None:
    server = prepared(database)
    publish_version(server, 1)
    publish_version(server, 2)
    with pytest.raises(BusyError, match="in the meantime"):
        publish_version(server, 3, after="v0001")


@pytest.mark.deep
def test_an_older_lake_does_not_overwrite_a_newer_one_unless_forced(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "new") as newer:
        assert world.run(newer).exit == 0
        with world.copy(tmp_path / "old") as older:
            for path in older.inbox.glob("*2.csv"):
                path.unlink()
            older.dsn = newer.dsn
            done = world.run(older)
            assert done.exit == 4
            assert "exports that this lake does not have (2 of them)" in done.output
            assert "--force" in done.output
            assert differences(tables(newer), world.after["tables"]) == []
            assert world.run(older, "sync", "--quiet", "--force").exit == 0
            assert differences(tables(newer), world.after["tables"]) != []


@pytest.mark.slow
def test_many_runs_at_once_make_one_publish(world: World, tmp_path: Path) -> None:
    started = 0
    with world.copy(tmp_path / "p") as project:
        command = [sys.executable, "-m", "rmetrics", "sync", "--quiet"]
        runs = [
            subprocess.Popen(command, env=project.environment, cwd=project.root, stderr=subprocess.PIPE, text=True)
            for _ in range(6)
        ]
        errors = [run.communicate(timeout=300)[1] for run in runs]
        started += len(runs)
        assert {r.returncode for r in runs} == {0, 5}
        assert all("another run" in e for r, e in zip(runs, errors, strict=True) if r.returncode == 5)
        assert len(project.rows("SELECT run_id FROM sync_runs")) == 2
        assert differences(tables(project), world.after["tables"]) == []
    record("runs at once on one lake: one publishes, the others exit 5", f"{started} runs", 0)
