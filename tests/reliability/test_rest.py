"""A sync with nothing new does not start a server that nobody has started since a sync stopped it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi

from rmetrics.embedded import embedded, embedded_owner, state_at_rest
from rmetrics.pipeline.database import db_start, db_stop
from rmetrics.pipeline.sync import sync
from support import Project, csv_text, new_project

JOBS = ("Job #", "Job Type", "Source", "Created")


@pytest.fixture
def own() -> Iterator[Project]:
    """A published project with an embedded server that is stopped."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        project = new_project(Path(folder) / "project", "")
        job(project, 1)
        assert project.sync().status == "published"
        yield project
        db_stop(project.settings)


def job(project: Project, number: int) -> None:
    project.put(f"Import-{number}.csv", csv_text(JOBS, (number, "COD Repair", "Google", "Tue Nov 05 2024")))


def starts(project: Project) -> int:
    log = project.settings.server_dir / "log"
    return log.read_text(encoding="utf-8").count("ready to accept connections")


def by_hand(project: Project, sql: str) -> None:
    with (
        embedded(project.settings.server_dir) as server,
        dbapi.connect(server.dsn, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


def test_nothing_new_starts_no_server(own: Project) -> None:
    before = starts(own)
    for _ in range(2):
        done = own.sync()
        assert (done.status, done.cross_check) == ("unchanged", "not needed: nothing changed")
    assert starts(own) == before
    assert embedded_owner(own.settings.server_dir) is None


def test_what_somebody_did_to_the_tables_meanwhile_is_found_and_put_right(own: Project) -> None:
    by_hand(own, "DELETE FROM daily_metrics")
    assert own.sync().status == "published"
    assert own.sync().status == "unchanged"


def test_after_another_start_the_server_is_asked_once_and_then_left_alone(own: Project) -> None:
    by_hand(own, "SELECT 1")
    before = starts(own)
    assert [own.sync().status for _ in range(3)] == ["unchanged"] * 3
    assert starts(own) == before + 1


@pytest.mark.parametrize("option", ["full", "force"])
def test_new_exports_changed_rules_and_full_start_it(own: Project, option: str) -> None:
    job(own, 2)
    assert own.sync().status == "published"
    file = own.rules / "business.toml"
    text = file.read_text(encoding="utf-8")
    assert "\nshare = 0.40" in text
    file.write_text(text.replace("\nshare = 0.40", "\nshare = 0.45"), encoding="utf-8")
    assert own.sync().status == "published"
    before = starts(own)
    own.sync(**{option: True})
    assert starts(own) == before + (option == "full")


def test_a_running_server_is_asked(own: Project) -> None:
    db_start(own.settings)
    assert state_at_rest(own.settings.server_dir) is None
    by_hand(own, "DELETE FROM monthly_metrics")
    assert own.sync().status == "published"
    db_stop(own.settings)


def test_another_schema_is_another_place(own: Project) -> None:
    settings = own.settings.model_copy(update={"pg_schema": "numbers"})
    assert sync(settings).status == "published"
    assert sync(settings).status == "unchanged"
    assert own.sync().status == "unchanged"


def test_a_server_restored_from_an_older_copy_is_asked(own: Project, tmp_path: Path) -> None:
    server, copy = own.settings.server_dir, tmp_path / "copy"
    subprocess.run(["cp", "-a", server, copy], check=True)  # with its owner, as a backup keeps it
    job(own, 2)
    assert own.sync().status == "published"
    shutil.rmtree(server)
    subprocess.run(["cp", "-a", copy, server], check=True)
    assert own.sync().status == "published"


def test_a_lost_or_odd_note_costs_one_start(own: Project) -> None:
    (own.settings.lake_dir / "rest.json").write_text("{", encoding="utf-8")
    before = starts(own)
    assert [own.sync().status for _ in range(2)] == ["unchanged"] * 2
    assert starts(own) == before + 1
