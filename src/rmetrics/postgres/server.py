"""The project's PostgreSQL server, if it exists."""

import contextlib
from collections.abc import Iterator

from rmetrics.postgres.connection import Server, server_of
from rmetrics.postgres.embedded import embedded
from rmetrics.settings import Settings


@contextlib.contextmanager
def existing_server(settings: Settings) -> Iterator[Server | None]:
    """Yields the project's server; None if an embedded one would have to be created first."""
    if settings.dsn:
        yield server_of(settings.dsn)
    elif (settings.server_dir / "PG_VERSION").exists():
        with embedded(settings.server_dir) as own:
            yield own
    else:
        yield None
