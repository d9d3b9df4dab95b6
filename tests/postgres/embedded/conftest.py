"""Fixtures: a short folder for servers, and a published project with one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded_servers import one_job, short_folder
from rmetrics.usecases.db import db_stop
from support import Project


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder; what is started in it is stopped."""
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def own() -> Iterator[Project]:
    """A published project with an embedded server, where that server's user can reach it."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        project = one_job(Path(folder) / "project")
        project.sync()
        yield project
        db_stop(project.settings)
