"""Fixtures for all tests: the embedded PostgreSQL server, a fresh database for each test, a small project folder."""

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi
from hypothesis import settings

from examples import few_are_tried, try_few
from published import Published, empty_schema, five_years, published_sample
from reliability.world import Runner
from rmetrics.postgres.embedded import start_embedded, stop_embedded
from second_engine import asked
from small_company import jobs
from support import Project, fresh_database, new_project
from templates import Templates

# How long an example takes says nothing on a machine that does other work.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Has property tests try fewer examples where long tests are left out."""
    try_few(few="not slow" in config.option.markexpr)


def pytest_runtest_setup() -> None:
    """Skips what has not begun when the time of a run is over: ``TESTS_END``, in seconds since 1970."""
    if time.time() > float(os.environ.get("TESTS_END", "inf")):
        pytest.skip("there was no time left for it")


@pytest.fixture(scope="session")
def pg_uri() -> Iterator[str]:
    """The URI of the embedded server, started once for all tests and deleted afterwards.

    In a folder of its own: it may be deeper under pytest's than a socket's path may be.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        yield from _running(Path(folder) / "postgres")


def _running(folder: Path) -> Iterator[str]:
    uri = start_embedded(folder).dsn
    with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        # Tests make hundreds of databases; none of them has to survive a power cut, or to be looked at every minute.
        for setting in (
            "fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_connections = 100", "autovacuum = off",
        ):  # fmt: skip
            cursor.execute(f"ALTER SYSTEM SET {setting}")
        cursor.execute("SELECT pg_reload_conf()")
    # The driver reads the columns of the whole catalog whenever it connects: this is a quarter of them, and never asked.
    with (
        dbapi.connect(uri.replace("/postgres?", "/template1?", 1), autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("DROP SCHEMA information_schema CASCADE")
    yield uri
    stop_embedded(folder)


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs command lines in forks of one process that has everything imported."""
    made = Runner(tmp_path_factory.mktemp("runner"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _one_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Syncs of an ordinary test with the mark ``one_engine`` do not ask the second engine; deep tests always do."""
    marks = {mark.name for mark in request.node.iter_markers()}
    with asked(really=not few_are_tried() or "one_engine" not in marks or bool(marks & {"both_engines", "deep"})):
        yield


@pytest.fixture
def database(pg_uri: str) -> Iterator[str]:
    """The URI of a fresh, empty database."""
    with fresh_database(pg_uri) as uri:
        yield uri


@pytest.fixture
def project(tmp_path: Path, pg_uri: str) -> Iterator[Project]:
    """An empty project with the shipped rules, publishing to a database with nothing but the schema."""
    with fresh_database(pg_uri, ready=True) as uri:
        yield new_project(tmp_path / "project", uri)


@pytest.fixture(scope="session")
def templates(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """Projects that are published once for all tests, to be copied."""
    made = Templates(pg_uri, tmp_path_factory.mktemp)
    yield made
    made.close()


def one_job(project: Project) -> None:
    """Publishes one job."""
    project.put("Import-1.csv", jobs((1,)))
    project.sync()


@pytest.fixture
def published(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """A project that has published one job, for a test to change."""
    with templates.of(one_job).copy(tmp_path) as project:
        yield project


@pytest.fixture
def bare_project(tmp_path: Path, database: str) -> Project:
    """An empty project with the shipped rules, publishing to a database without the schema."""
    return new_project(tmp_path / "project", database)


@pytest.hookimpl(tryfirst=True)  # before the marks are looked at that the command line asks for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Divides the variants of a test with the mark ``ordinary(n, deep=m)``, each kind spread over all."""
    variants = dict[str, list[pytest.Item]]()
    for item in items:
        if item.get_closest_marker("ordinary") and not item.get_closest_marker("slow"):
            variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for found in variants.values():
        if mark := found[0].get_closest_marker("ordinary"):
            _, others = _spread(found, mark.args[0])
            deep, slow = _spread(others, mark.kwargs.get("deep", 0))
            for items_of, kind in ((deep, pytest.mark.deep), (slow, pytest.mark.slow)):
                for item in items_of:
                    item.add_marker(kind)


def _spread(items: list[pytest.Item], number: int) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """So many of the items, at equal distances, and the others."""
    chosen = {i * len(items) // number for i in range(number)}
    return [x for i, x in enumerate(items) if i in chosen], [x for i, x in enumerate(items) if i not in chosen]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leaves the many objects that tests are made of out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def sample(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """The sample exports, published twice; only to be read."""
    with published_sample(pg_uri, tmp_path_factory.mktemp("sample")) as made:
        yield made


@pytest.fixture(scope="session")
def nothing(pg_uri: str) -> Iterator[Published]:
    """The schema without a row, with the reader role; only to be read."""
    with empty_schema(pg_uri) as made:
        yield made


@pytest.fixture(scope="session")
def years(pg_uri: str) -> Iterator[Published]:
    """Five years of made-up days, with the reader role; only to be read."""
    with five_years(pg_uri) as made:
        yield made
