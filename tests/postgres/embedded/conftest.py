"""Fixtures: a short folder for servers, and the process that runs syncs which are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded_servers import short_folder
from reliability.world import Runner


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder; what is started in it is stopped."""
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs command lines in forks of one process that has everything imported."""
    made = Runner(tmp_path_factory.mktemp("runner"))
    yield made
    made.close()
