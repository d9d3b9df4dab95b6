"""Connections to PostgreSQL, and errors without secrets or rows."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rmetrics.errors import PostgresError, SettingsError

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_OLDEST_DRIVER = (1, 13)
_CONNECT_SECONDS = 10
_UNCHANGED = "Nothing was changed in the database; see `rmetrics status` and run the command again."


def quoted(name: str) -> str:
    """A name as an SQL identifier.

    Raises:
        SettingsError: the name is not a plain identifier of at most 63 letters, digits and _.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise SettingsError(f"{name!r} cannot be a name in PostgreSQL", "Use letters, digits and _, at most 63.")
    return f'"{name}"'


@dataclass(frozen=True, slots=True)
class Server:
    """Where to publish.

    Attributes:
        dsn: for the driver; holds the password, never shown.
        label: host, port and database, to show.
        embedded: whether it is rmetrics' own.
    """

    dsn: str
    label: str
    embedded: bool

    def __repr__(self) -> str:
        return f"Server({self.label})"


class Session:
    """One connection with one transaction at a time. Every error is a ``PostgresError`` without secrets."""

    def __init__(self, connection: Any, server: Server) -> None:
        self._connection, self.server = connection, server

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Runs one statement; returns how many rows it touched, -1 where that is not known."""
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
            return int(cursor.rowcount)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of one SELECT; numerics are text."""
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> Any:
        """The rows of one SELECT as an Arrow table; cast numerics to text, for that is how the driver reads them."""
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def ingest(self, table: str, data: Any, *, schema: str | None) -> int:
        """Copies Arrow data into an existing table; ``schema`` None means a temporary one."""
        options = {"db_schema_name": schema} if schema else {"temporary": True}
        with self._translated(), self._connection.cursor() as cursor:
            return int(cursor.adbc_ingest(table, data, mode="append", **options))

    def commit(self) -> None:
        """Commits. A commit after a failed statement would report success: errors must have rolled back before."""
        with self._translated("It is not known whether the last step took hold; running the command again settles it."):
            self._connection.commit()

    def rollback(self) -> None:
        """Rolls back."""
        with self._translated():
            self._connection.rollback()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end, rolls back on any error."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(PostgresError):  # the first error is the one that counts
                self.rollback()
            raise
        self.commit()

    @contextlib.contextmanager
    def _translated(self, hint: str = _UNCHANGED) -> Iterator[None]:
        import adbc_driver_manager

        try:
            yield
        except adbc_driver_manager.Error as error:
            raise PostgresError(
                f"PostgreSQL at {self.server.label}: {redacted(str(error), self.server.dsn)}", hint
            ) from None


@contextlib.contextmanager
def connect(server: Server, *, schema: str = "public", autocommit: bool = False) -> Iterator[Session]:
    """Opens a session whose names are looked up in ``schema`` first.

    Raises:
        PostgresError: the server cannot be reached or refuses; says where, never how to log in.
    """
    _require_driver()
    from adbc_driver_postgresql import dbapi

    try:
        connection = dbapi.connect(_with_timeout(server.dsn), autocommit=autocommit)
    except Exception as error:
        import adbc_driver_manager

        if not isinstance(error, adbc_driver_manager.Error):
            raise
        raise PostgresError(
            f"cannot connect to PostgreSQL at {server.label}: {_why(str(error))}",
            "Check that the server runs and RMETRICS_POSTGRES_DSN is right (postgresql://user:password@host:port/database).",
        ) from None
    session = Session(connection, server)
    try:
        session.execute(f"SET search_path TO {quoted(schema)}, pg_temp")
        session.execute("SET timezone TO 'UTC'")
        session.execute("SET client_min_messages TO warning")
        if not autocommit:
            session.commit()
        yield session
    finally:
        with contextlib.suppress(adbc_error()):
            connection.close()


def adbc_error() -> type[Exception]:
    """The driver's base error."""
    import adbc_driver_manager

    return adbc_driver_manager.Error  # type: ignore[no-any-return,unused-ignore]


def _with_timeout(dsn: str) -> str:
    """The DSN with what it does not say: how long to wait, and who asks. Everything it says, TLS too, stays."""
    ours = {"connect_timeout": str(_CONNECT_SECONDS), "application_name": "rmetrics"}
    added = "&".join(f"{key}={value}" for key, value in ours.items() if f"{key}=" not in dsn)
    return dsn + ("&" if "?" in dsn else "?") + added if added else dsn


def _require_driver() -> None:
    version = metadata.version("adbc-driver-postgresql")
    if tuple(int(p) for p in version.split(".")[:2]) < _OLDEST_DRIVER:
        raise SettingsError(
            f"adbc-driver-postgresql {version} stores some amounts wrong without an error",
            "Install 1.13 or newer: pip install 'adbc-driver-postgresql>=1.13,<2'",
        )


def server_of(dsn: str) -> Server:
    """The server a DSN names, with what may be shown of it.

    Raises:
        SettingsError: the DSN is not a URI; it is not repeated.
    """
    hint = "Use postgresql://user:password@host:port/database; percent-encode special characters in the password."
    try:
        parts = urlsplit(dsn)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError("RMETRICS_POSTGRES_DSN is not a URI that can be read", hint) from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise SettingsError("RMETRICS_POSTGRES_DSN is not a postgresql:// URI", hint)
    options = dict(p.partition("=")[::2] for p in parts.query.split("&") if p)
    host = unquote(host or options.get("host", "") or "localhost")
    where = f"{host}:{port}" if port else host
    return Server(dsn, f"{where}/{unquote(parts.path.lstrip('/')) or 'default database'}", embedded=False)


def redacted(text: str, dsn: str) -> str:
    """A server's message on one line without the DSN, its password, and the rows that DETAIL and CONTEXT quote."""
    for secret in _secrets(dsn):
        text = text.replace(secret, "***")
    text = re.sub(r"://([^:/@\s]*):[^@\s]*@", r"://\1:***@", text)
    # The driver repeats the statement: it hides what went wrong, and a literal in it may be somebody's name.
    text = re.sub(r"execute query '.*?': (?=\w+: )", "execute query: ", text, flags=re.DOTALL)
    text = re.sub(r"\nQuery was: .*", "", text, flags=re.DOTALL)
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not re.match(r"\s*(DETAIL|CONTEXT|STATEMENT|QUERY|LINE \d+|HINT)\b|\^$", line.strip())
    ]
    # A primary message may quote a value: invalid input syntax for type numeric: "...", value "..." is out of range.
    lines = [re.sub(r'(: |value )".*"', r'\1"***"', line) for line in lines]
    kept = re.sub(
        r"^[A-Z_]+: |\[libpq\] |Failed to [\w ]+: |PGRES_\w+ |ERROR: +| \. SQLSTATE: \w+", "", " ".join(lines[:4])
    )
    return re.sub(r"(COPY \w+, line \d+).*", r"\1", kept)[:500]


def _secrets(dsn: str) -> list[str]:
    found = [dsn]
    match = re.search(r"://[^:/@]*:(.*)@", dsn)
    if match:
        found += [match[1], unquote(match[1]), quote(match[1], safe="")]
    found += re.findall(r"password=([^&\s]+)", dsn)
    return sorted({s for s in found if len(s) > 2}, key=len, reverse=True)


def _why(message: str) -> str:
    """The kind of a connection's failure in our own words: libpq's may quote the DSN."""
    known = {
        "password authentication failed": "the password or user is wrong",
        "no password supplied": "the server asks for a password",
        "does not exist": "the database or role does not exist",
        "Connection refused": "nothing listens there",
        "No such file or directory": "nothing listens there",
        "Permission denied": "this user may not open its socket",
        "could not translate host name": "the host name is unknown",
        "Name or service not known": "the host name is unknown",
        "timeout": "no answer in time",
        "no pg_hba.conf entry": "the server does not let this user in from here",
        "SSL": "the TLS connection failed; see sslmode in the DSN",
        "invalid": "the DSN cannot be read",
        "missing": "the DSN cannot be read",
        "too many connections": "the server has no free connection",
        "too many clients": "the server has no free connection",
        "starting up": "the server is still starting",
    }
    return next((words for sign, words in known.items() if sign in message), "the server refused the connection")


def statements(script: str) -> list[str]:
    """The statements of an SQL script in which every statement ends a line with its semicolon."""
    return [s for s in (part.strip() for part in re.split(r";[ \t]*(?:\n|\Z)", script)) if _has_code(s)]


def _has_code(sql: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in sql.splitlines())


def catalog(session: Session, table: str) -> Mapping[str, tuple[str, bool, bool]]:
    """The columns of a table: name to (type, not null, generated or identity); empty when there is no such table."""
    rows = session.query(
        "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull, attgenerated <> '' OR attidentity <> '' "
        "FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [quoted(table)],
    )
    return {name: (kind, must, made) for name, kind, must, made in rows}
