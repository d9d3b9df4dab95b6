"""The project's database: which server, and whether it exists."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rmetrics.postgres.connection import Server, server_of
from rmetrics.postgres.embedded import embedded


@dataclass(frozen=True, slots=True)
class Database:
    """Where a project publishes.

    Attributes:
        schema: of the published tables.
        folder: of the embedded server.
        dsn: of a server of the user's own, which then replaces the embedded one; not in ``repr``.
    """

    schema: str
    folder: Path
    dsn: str | None = field(default=None, repr=False)


@contextlib.contextmanager
def existing_server(database: Database) -> Iterator[Server | None]:
    """Yields the project's server; None if an embedded one would have to be created first."""
    if database.dsn:
        yield server_of(database.dsn)
    elif (database.folder / "PG_VERSION").exists():
        with embedded(database.folder) as own:
            yield own
    else:
        yield None


__all__ = ["Database", "existing_server"]
