"""Fixtures: the project on which faults are tried."""

from collections.abc import Iterator

import pytest

from reliability.world import Runner, World, make_world
from support import fresh_database


@pytest.fixture(scope="session")
def world(pg_uri: str, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A published project with new exports in its inbox."""
    folder = tmp_path_factory.mktemp("world")
    with fresh_database(pg_uri) as dsn, make_world(pg_uri, dsn, folder, runner) as made:
        yield made
