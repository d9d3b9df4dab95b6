"""A sync with nothing new starts no server that nobody has started since a sync stopped it, and asks one that runs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest
from adbc_driver_postgresql import dbapi
from pydantic import SecretStr

from command_line import rmetrics
from rmetrics.lake import Lake
from rmetrics.opening import sync_places
from rmetrics.pipeline.unchanged import nothing_to_do
from rmetrics.postgres.embedded import embedded, embedded_owner, state_at_rest
from rmetrics.usecases.db import db_start, db_stop
from rmetrics.usecases.sync import sync
from small_company import jobs
from support import Project, csv_text, fresh_database, new_project


@pytest.fixture(scope="module")
def first() -> Iterator[Project]:
    """A published project with an embedded server that is stopped; only to be copied."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        project = new_project(Path(folder) / "project", "")
        job(project, 1)
        (project.rules / "own.toml").write_text("[measures.done]\nof = 'jobs'\ncount = \"type = 'COD Repair'\"\n")
        assert project.sync().status == "published"
        yield project


@pytest.fixture
def own(first: Project) -> Iterator[Project]:
    """A copy of it with a server of its own, which a sync has looked at and stopped."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        root = Path(folder) / "project"
        subprocess.run(["cp", "-a", first.root, root], check=True)  # with the owner of the server's folder
        project = Project(root, "", first.minutes)
        assert project.sync().status == "unchanged"
        yield project
        db_stop(project.settings)


def job(project: Project, number: int) -> None:
    project.put(f"Import-{number}.csv", jobs((number,)))


def synced(project: Project, *options: str) -> str:
    """The status that the command line tells."""
    done = rmetrics(project, "sync", "--json", *options)
    assert done.returncode == 0, done.stderr
    status: str = json.loads(done.stdout)["status"]
    return status


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
    assert [synced(own) for _ in range(2)] == ["unchanged"] * 2
    assert starts(own) == before
    assert embedded_owner(own.settings.server_dir) is None


@pytest.mark.deep
def test_what_somebody_did_to_the_tables_meanwhile_is_found_and_put_right(own: Project) -> None:
    by_hand(own, "DELETE FROM daily_metrics")
    assert synced(own) == "published"
    assert synced(own) == "unchanged"


@pytest.mark.deep
def test_after_another_start_the_server_is_asked_once_and_then_left_alone(own: Project) -> None:
    by_hand(own, "SELECT 1")
    before = starts(own)
    assert [synced(own) for _ in range(3)] == ["unchanged"] * 3
    assert starts(own) == before + 1


@pytest.mark.parametrize(
    "option", ["--full", *(pytest.param(o, marks=pytest.mark.slow) for o in ("--force", "--dry-run"))]
)
@pytest.mark.slow
def test_new_exports_changed_rules_and_full_start_it(own: Project, option: str) -> None:
    job(own, 2)
    assert synced(own) == "published"
    file = own.rules / "business.toml"
    text = file.read_text(encoding="utf-8")
    assert "\nshare = 0.40" in text
    file.write_text(text.replace("\nshare = 0.40", "\nshare = 0.45"), encoding="utf-8")
    assert synced(own) == "published"
    before = starts(own)
    synced(own, option)
    assert starts(own) == before + (option != "--dry-run")


@pytest.mark.deep
def test_a_running_server_is_asked(own: Project) -> None:
    db_start(own.settings)
    assert state_at_rest(own.settings.server_dir) is None
    by_hand(own, "DELETE FROM monthly_metrics")
    assert synced(own) == "published"
    db_stop(own.settings)


@pytest.mark.deep
def test_another_schema_is_another_place(own: Project) -> None:
    settings = own.settings.model_copy(update={"pg_schema": "numbers"})
    assert sync(settings).status == "published"
    assert nothing_to_do(sync_places(settings)) is not None
    assert nothing_to_do(sync_places(own.settings)) is None
    assert synced(own) == "unchanged"


@pytest.mark.slow
def test_a_server_restored_from_an_older_copy_is_asked(own: Project, tmp_path: Path) -> None:
    server, copy = own.settings.server_dir, tmp_path / "copy"
    subprocess.run(["cp", "-a", server, copy], check=True)  # with its owner, as a backup keeps it
    job(own, 2)
    assert synced(own) == "published"
    shutil.rmtree(server)
    subprocess.run(["cp", "-a", copy, server], check=True)
    assert synced(own) == "published"


@pytest.mark.deep
def test_a_lost_or_odd_note_costs_one_start(own: Project) -> None:
    (own.settings.lake_dir / "unchanged.json").write_text("{", encoding="utf-8")
    before = starts(own)
    assert [synced(own) for _ in range(2)] == ["unchanged"] * 2
    assert starts(own) == before + 1


@pytest.mark.deep
def test_what_it_says_is_what_the_whole_way_says(own: Project) -> None:
    own.put("Import-2.csv", jobs((2, "COD Repair", "Nobody"), (3, "X", "Google", "soon")))
    own.put("notes.csv", csv_text(("A", "B"), (1, 2)))
    own.sync()
    whole = own.sync()
    quick = nothing_to_do(sync_places(own.settings))
    assert quick is not None
    assert whole.status == "unchanged"
    assert whole.measures
    for name in ("status", "files", "findings", "months", "measures", "published", "cross_check"):
        assert getattr(quick, name) == getattr(whole, name), name


def touched_rules(project: Project) -> None:
    file = project.rules / "sources.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n# a remark\n", encoding="utf-8")


def swapped_export(project: Project) -> None:
    """Other content of the same length and time under the same name."""
    path = project.inbox / "Import-1.csv"
    at, text = path.stat(), path.read_bytes()
    path.write_bytes(text.replace(b"Nov 05", b"Nov 06"))
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))


def damaged_lake(project: Project) -> None:
    next(iter(sorted((project.settings.lake_dir / "typed").rglob("*.parquet")))).unlink()


def no_inbox_file(project: Project) -> None:
    (project.inbox / "Import-1.csv").unlink()


@pytest.mark.parametrize(
    "change", [touched_rules, swapped_export, damaged_lake, no_inbox_file], ids=lambda f: f.__name__
)
def test_whatever_differs_takes_the_whole_way(own: Project, change: Callable[[Project], None]) -> None:
    assert nothing_to_do(sync_places(own.settings)) is not None
    change(own)
    assert nothing_to_do(sync_places(own.settings)) is None


def test_a_sync_beside_another_one_is_still_refused(own: Project) -> None:
    with Lake(own.settings.lake_dir).locked():
        assert nothing_to_do(sync_places(own.settings)) is None


def test_a_server_that_cannot_be_asked_takes_the_whole_way(own: Project) -> None:
    settings = own.settings.model_copy(update={"postgres_dsn": SecretStr("postgresql://localhost/none")})
    assert nothing_to_do(sync_places(settings)) is None


def test_a_running_server_that_holds_what_was_published_is_only_asked(own: Project) -> None:
    db_start(own.settings)
    whole = own.sync()
    assert whole.status == "unchanged"
    assert nothing_to_do(sync_places(own.settings)) == replace(whole, run_id=ANY, seconds=ANY, timings={})
    db_stop(own.settings)
    assert nothing_to_do(sync_places(own.settings)) is None  # stopped by hand: somebody may have written before


@pytest.fixture(scope="module")
def asked(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that has published to a server of the user's own; each test leaves it with nothing to do."""
    with fresh_database(pg_uri, ready=True) as dsn:
        project = new_project(tmp_path_factory.mktemp("asked") / "project", dsn)
        job(project, 1)
        assert project.sync().status == "published"
        yield project


def failed_run(project: Project) -> None:
    project.rows("INSERT INTO sync_runs (run_id, started_at, status) VALUES ('9', now(), 'failed') RETURNING 1")


def lost_view(project: Project) -> None:
    project.rows("DO $$ BEGIN DROP VIEW daily_cumulative CASCADE; END $$")


def lost_rows(project: Project) -> None:
    project.rows("DELETE FROM monthly_metrics RETURNING 1")


def changed_value(project: Project) -> None:
    project.rows("UPDATE monthly_metrics SET revenue40 = revenue40 + 1 RETURNING 1")
    project.rows("SELECT pg_stat_force_next_flush()::text")  # a session may delay its counts


def written_by_another_lake(project: Project) -> None:
    project.rows('UPDATE sync_runs SET detail = detail || \'{"inputs": "others"}\' RETURNING 1')


@pytest.mark.parametrize(
    "change", [failed_run, lost_view, lost_rows, changed_value, written_by_another_lake], ids=lambda f: f.__name__
)
@pytest.mark.ordinary(1, deep=4)
def test_whatever_differs_in_a_database_of_one_s_own_takes_the_whole_way(
    asked: Project, change: Callable[[Project], None]
) -> None:
    assert nothing_to_do(sync_places(asked.settings)) is not None
    change(asked)
    assert nothing_to_do(sync_places(asked.settings)) is None
    asked.sync()
    asked.sync()
    assert nothing_to_do(sync_places(asked.settings)) is not None


def test_another_server_is_another_place(asked: Project, pg_uri: str) -> None:
    with fresh_database(pg_uri, copy_of=asked.dsn) as copy:
        assert nothing_to_do(sync_places(Project(asked.root, copy).settings)) is None


def imported(project: Project) -> str:
    """The exit code of a sync by itself, and which large packages it imported."""
    code = (
        "import sys\nfrom rmetrics.cli.app import run\ncode = run(['sync'])\n"
        "print(code, sorted({'polars', 'duckdb', 'pyarrow', 'sqlglot', 'adbc_driver_postgresql'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=project.environment, cwd=project.root, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


def test_it_loads_no_engine(own: Project) -> None:
    assert imported(own) == "0 []"


def test_to_ask_a_server_it_loads_the_driver_alone(asked: Project) -> None:
    assert imported(asked) == "0 ['adbc_driver_postgresql', 'pyarrow']"
