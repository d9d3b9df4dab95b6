"""The schema in force, and the embedded server."""

import contextlib
from collections.abc import Iterator

from rmetrics.embedded import embedded, embedded_running, server, start_embedded, stop_embedded
from rmetrics.errors import SettingsError
from rmetrics.pipeline.project import schema_script
from rmetrics.postgres import Server, connect, server_of
from rmetrics.roles import roles_script
from rmetrics.rules import load_rules
from rmetrics.schema import apply_schema, create_table, fit_tables
from rmetrics.settings import Settings
from rmetrics.tables import published_tables


def schema_ddl(settings: Settings) -> str:
    """``schema.sql`` and the tables that only the rules know."""
    script = schema_script()
    known = script.split()
    own = [t for t in published_tables(load_rules(settings.rules_dir)) if t.name not in known]
    extra = [s + ";" for t in own for s in create_table(t)]
    if not extra:
        return script
    return script.rstrip() + "\n\n\n-- Feeds that only the rules know\n\n" + "\n".join(extra) + "\n"


def schema_apply(settings: Settings) -> str:
    """Applies the schema to the server; returns the server's label."""
    rules = load_rules(settings.rules_dir)
    with server(settings.dsn, settings.server_dir) as target, connect(target, schema=settings.pg_schema) as session:
        apply_schema(session, schema_script(), settings.pg_schema)
        fit_tables(session, published_tables(rules))
        return target.label


def schema_roles(settings: Settings) -> str:
    """The script of the role with which Grafana reads the schema."""
    return roles_script(settings.pg_schema)


def db_start(settings: Settings) -> str:
    """Starts the embedded server, leaves it running, and returns its URL."""
    return start_embedded(settings.server_dir).dsn


def db_stop(settings: Settings) -> bool:
    """Stops the embedded server; False when it did not run."""
    return stop_embedded(settings.server_dir)


def db_url(settings: Settings) -> str:
    """The URL of the running embedded server.

    Raises:
        SettingsError: it does not run.
    """
    running = embedded_running(settings.server_dir)
    if running is None:
        raise SettingsError("the embedded PostgreSQL does not run", "Start it: rmetrics db start")
    return running.dsn


@contextlib.contextmanager
def existing_server(settings: Settings) -> Iterator[Server | None]:
    """The server as it is; None where an embedded one would have to be created first."""
    if settings.dsn:
        yield server_of(settings.dsn)
    elif (settings.server_dir / "PG_VERSION").exists():
        with embedded(settings.server_dir) as own:
            yield own
    else:
        yield None
