"""One S3 server for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import S3, Machine, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """The server."""
    with s3_server() as server:
        yield server


@pytest.fixture
def machine(s3: S3, tmp_path: Path, database: str) -> Machine:
    """A machine with an empty lake of its own in the bucket, publishing to a fresh database."""
    return Machine(s3, tmp_path / "one", database)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them are run by ``make test-scale``."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.scale)
