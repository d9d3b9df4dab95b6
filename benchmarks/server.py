"""One embedded PostgreSQL for everything that is measured, with a database of its own for each contender."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from rmetrics.postgres.embedded import embedded


class Databases:
    """Fresh databases of one server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def fresh(self, name: str) -> str:
        """Drops the database if it is there, makes it anew, and returns its DSN."""
        self.drop(name)
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.dsn(name)

    def drop(self, name: str) -> None:
        """Drops the database if it is there."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        self._run(sql.SQL("CHECKPOINT"))  # what one contender wrote is not flushed on the next one's time

    def dsn(self, name: str) -> str:
        """The DSN of a database of this server."""
        return self._uri.replace("/postgres?", f"/{name}?", 1)

    def _run(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute(statement)


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    """The server, stopped at the end: rmetrics' own, set up as `sync` sets it up."""
    with embedded(folder) as server:
        yield Databases(server.dsn)
