"""Fixtures: the process that runs syncs with faults, and the project they are tried on."""

from collections.abc import Iterator

import pytest

from reliability.world import Runner, World, make_world
from support import fresh_database


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs command lines in forks of one process that has everything imported."""
    made = Runner(tmp_path_factory.mktemp("runner"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def world(pg_uri: str, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A published project with new exports in its inbox."""
    folder = tmp_path_factory.mktemp("world")
    with fresh_database(pg_uri) as dsn, make_world(pg_uri, dsn, folder, runner) as made:
        yield made
