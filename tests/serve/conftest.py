"""The pages of the sample, asked in this process."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from published import Published
from rmetrics.serve.app import Site, application
from rmetrics.serve.guard import Guard
from rmetrics.settings import Settings

TOKEN = "secret-for-tests"
BASE = "http://127.0.0.1:8787"


def client_of(settings: Settings, *, rows: bool = False, seconds: float = 60.0) -> TestClient:
    """A browser that has the token already."""
    app = Guard(application(Site(settings, rows=rows, seconds=seconds)), token=TOKEN, host="127.0.0.1", port=8787)
    return TestClient(app, base_url=BASE, cookies={"rmetrics_8787": TOKEN}, raise_server_exceptions=True)


@pytest.fixture(scope="session")
def site(sample: Published) -> Iterator[TestClient]:
    """The pages of the sample without rows of exports."""
    assert sample.project is not None
    with client_of(sample.project.settings) as client:
        yield client


@pytest.fixture(scope="session")
def site_with_rows(sample: Published) -> Iterator[TestClient]:
    """The pages of the sample with rows of exports."""
    assert sample.project is not None
    with client_of(sample.project.settings, rows=True) as client:
        yield client
