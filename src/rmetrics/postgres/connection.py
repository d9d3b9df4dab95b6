"""PostgreSQL connections, and errors that contain neither secrets nor rows."""

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.postgres.driver import adbc_error, dbapi, require_driver
from rmetrics.postgres.refusals import advice, not_connected

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CONNECT_SECONDS = 10
_MAX_PORT = 65_535
HERE = "to_regnamespace(quote_ident(current_schema()))"
"""SQL expression for the current schema; NULL if it does not exist."""
_UNCHANGED = "Nothing was changed in the database; check `rmetrics status`, then run the command again."
_NOT_KNOWN = "It is not known whether the last step was committed; run the command again to resolve this."
_ENVIRONMENT = threading.Lock()  # guards os.environ while libpq's variables are hidden
_QUOTE_NOT = "-cquote_all_identifiers=off"
# Our statements rely on these settings, but a role, a database, a DSN or the environment may override them: another
# client_encoding would corrupt names, and without standard_conforming_strings a backslash could end a literal.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "client_min_messages": "warning",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
}


def quoted(name: str) -> str:
    """Returns a name as a quoted SQL identifier.

    Raises:
        SettingsError: the name is not a plain identifier of at most 63 letters, digits and _.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise SettingsError(f"{name!r} is not a valid name in PostgreSQL", "Use letters, digits and _, at most 63.")
    return f'"{name}"'


@dataclass(frozen=True, slots=True)
class Server:
    """The server to publish to.

    Attributes:
        dsn: for the driver; contains the password, never shown.
        label: host, port and database, for display.
        embedded: whether it is rmetrics' own server.
    """

    dsn: str
    label: str
    embedded: bool

    def __repr__(self) -> str:
        return f"Server({self.label})"


class Session:
    """One connection with one transaction at a time. Every error is a ``PostgresError`` without secrets.

    Settings apply to the transaction, never to the session: behind a pooler, the next transaction may run in another
    session with other settings.

    Args:
        connection: the driver's connection.
        server: the server it is connected to.
        schema: the schema in which names are resolved; None for statements that run outside transactions and qualify
            their names.
    """

    def __init__(self, connection: Any, server: Server, schema: str | None) -> None:
        self._connection, self.server, self.schema = connection, server, schema
        self._begun = False

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Runs one statement; returns the number of affected rows, -1 if unknown."""
        self._begin()
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
            return int(cursor.rowcount)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Returns the rows of one SELECT; numerics are text."""
        self._begin()
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> Any:
        """Returns the rows of one SELECT as an Arrow table. Cast numerics to text: the driver reads them as text."""
        self._begin()
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters)) if parameters else cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def ingest(self, table: str, data: Any, *, schema: str | None) -> int:
        """Copies Arrow data into an existing table; ``schema`` None means a temporary table."""
        options = {"db_schema_name": schema} if schema else {"temporary": True}
        self._begin()
        with self._translated(), self._connection.cursor() as cursor:
            return int(cursor.adbc_ingest(table, data, mode="append", **options))

    def commit(self) -> None:
        """Commits. After a failed statement a commit would report success, so errors must have rolled back before."""
        with self._translated(_NOT_KNOWN):
            self._connection.commit()
        self._begun = False

    def rollback(self) -> None:
        """Rolls back the transaction."""
        self._begun = False
        with self._translated():
            self._connection.rollback()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block, rolls back on any error."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(PostgresError):  # the original error matters more
                self.rollback()
            raise
        self.commit()

    @contextlib.contextmanager
    def autocommit(self) -> Iterator["Session"]:
        """Yields the same connection for statements that cannot run in a transaction and qualify their names.

        Rolls back the transaction in progress.
        """
        self.rollback()
        with self._translated():
            self._connection.adbc_connection.set_autocommit(True)
        try:
            yield Session(self._connection, self.server, None)
        finally:
            with self._translated():
                self._connection.adbc_connection.set_autocommit(False)

    def _begin(self) -> None:
        """Applies the settings that our statements rely on to a new transaction, regardless of the role's."""
        if self._begun or self.schema is None:
            return
        self._begun = True
        settings = {**_SETTINGS, "search_path": f"{quoted(self.schema)}, pg_temp"}
        chosen = ", ".join(f"set_config({literal(n)}, {literal(v)}, true)" for n, v in settings.items())
        with self._translated(), self._connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            cursor.execute(f"SELECT {chosen}")
            cursor.fetchall()

    @contextlib.contextmanager
    def _translated(self, hint: str = "") -> Iterator[None]:
        import adbc_driver_manager

        try:
            yield
        except adbc_driver_manager.Error as error:
            state = str(getattr(error, "sqlstate", None) or "")
            raise PostgresError(
                f"PostgreSQL at {self.server.label}: {redacted(str(error), self.server.dsn)}",
                hint or advice(state) or _UNCHANGED,
                state,
            ) from None


@contextlib.contextmanager
def connect(server: Server, *, schema: str = "public", autocommit: bool = False) -> Iterator[Session]:
    """Opens a session that resolves names in ``schema`` only.

    Args:
        server: the server to connect to.
        schema: may not exist yet.
        autocommit: for statements that cannot run in a transaction and qualify their names.

    Raises:
        PostgresError: the server cannot be reached or refuses the connection; names the server, never the credentials.
    """
    require_driver()
    with _defaults_of(server):
        connection = _connected(server, server.dsn, autocommit=autocommit)
    try:
        # With quote_all_identifiers on, the driver recognises no type. It reads them on connecting, so a SET would come
        # too late: connect again with the option in the DSN.
        if not _knows_types(connection, autocommit=autocommit):
            connection.close()
            with _defaults_of(server):
                connection = _connected(server, _with_option(server.dsn, _QUOTE_NOT), autocommit=autocommit)
        if not _knows_types(connection, autocommit=autocommit):
            raise PostgresError(
                f"PostgreSQL at {server.label} returns names of types in a form that the driver cannot read: "
                "quote_all_identifiers is on",
                "Turn it off for this user: ALTER ROLE ... SET quote_all_identifiers = off",
            )
        yield Session(connection, server, None if autocommit else schema)
    finally:
        with contextlib.suppress(adbc_error()):
            connection.close()


@contextlib.contextmanager
def _defaults_of(server: Server) -> Iterator[None]:
    """Hides libpq's variables (PGPORT, PGSERVICE, PGOPTIONS, ...) while connecting to the embedded server.

    They are meant for the user's own servers, and a DSN cannot disable them. For a server that the user names they
    apply, as in psql.
    """
    if not server.embedded:
        yield
        return
    with _ENVIRONMENT:
        hidden = {name: os.environ.pop(name) for name in tuple(os.environ) if name.startswith("PG")}
        try:
            yield
        finally:
            os.environ.update(hidden)


def _connected(server: Server, dsn: str, *, autocommit: bool) -> Any:
    try:
        return dbapi().connect(_with_timeout(dsn), autocommit=autocommit)
    except adbc_error() as error:
        why, hint = not_connected(str(error))
        raise PostgresError(f"cannot connect to PostgreSQL at {server.label}: {why}", hint) from None


def _knows_types(connection: Any, *, autocommit: bool) -> bool:
    """Whether the driver could read the server's types; otherwise it would return every value as bytes.

    It reads them on connecting, and fails to recognise them if quote_all_identifiers is on.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1::integer, 'a'::text")
            found = cursor.fetchall()
        if not autocommit:
            connection.rollback()
    except adbc_error():
        return False
    return bool(found == [(1, "a")])


def _with_option(dsn: str, option: str) -> str:
    """Adds a server option to the DSN and keeps those it has."""
    head, _, query = dsn.partition("?")
    pieces = [p for p in query.split("&") if p]
    options = [p.removeprefix("options=") for p in pieces if p.startswith("options=")]
    others = [p for p in pieces if not p.startswith("options=")]
    before = options or [quote(os.environ.get("PGOPTIONS", ""), safe="")]
    return f"{head}?{'&'.join([*others, 'options=' + '%20'.join(o for o in (*before, quote(option, safe='')) if o)])}"


def _with_timeout(dsn: str) -> str:
    """Adds a timeout and application name to the DSN unless it has them; leaves the rest, such as TLS, unchanged."""
    ours = {"connect_timeout": str(_CONNECT_SECONDS), "application_name": "rmetrics"}
    added = "&".join(f"{key}={value}" for key, value in ours.items() if f"{key}=" not in dsn)
    return dsn + ("&" if "?" in dsn else "?") + added if added else dsn


def server_of(dsn: str) -> Server:
    """The server that a DSN names, with a label that is safe to show.

    Raises:
        SettingsError: the DSN is not a URI; the message does not repeat it.
    """
    hint = "Use postgresql://user:password@host:port/database; percent-encode special characters in the password."
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise SettingsError("RMETRICS_POSTGRES_DSN is not a postgresql:// URI", hint)
    try:
        parts = urlsplit(dsn)
        options = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        if "@" in parts.path + parts.fragment or any("=" not in p for p in parts.query.split("&") if p):
            raise ValueError  # an unencoded character of the password cut the host short  # noqa: TRY301
        hosts = [_host(h) for h in parts.netloc.rpartition("@")[2].split(",")]
    except ValueError:
        raise SettingsError("RMETRICS_POSTGRES_DSN is not a valid URI", hint) from None
    return Server(dsn, _label([h for h in hosts if h], unquote(parts.path.lstrip("/")), options), embedded=False)


def _label(hosts: Sequence[str], path: str, options: Mapping[str, str]) -> str:
    """Where libpq connects with a DSN: the DSN's own values, else the service, else PGHOST, PGPORT and PGDATABASE."""
    service = options.get("service") or os.environ.get("PGSERVICE", "")
    named = path or options.get("dbname", "")
    where = ",".join(hosts) or options.get("host", "") or options.get("hostaddr", "")
    if not where and service:
        return f"the service {service}" + (f", {named}" if named else "")
    where = where or os.environ.get("PGHOST", "") or os.environ.get("PGHOSTADDR", "") or "localhost"
    port = options.get("port") or ("" if service else os.environ.get("PGPORT", ""))
    if port and not any(re.search(r":\d+$", h) for h in hosts):
        where = f"{where}:{port}"
    return f"{where}/{named or ('' if service else os.environ.get('PGDATABASE', '')) or 'default database'}"


def _host(text: str) -> str:
    """Parses one host of a DSN (libpq allows several): ``host``, ``host:port`` or ``[::1]:port``.

    Raises:
        ValueError: it has another form, for instance because a password contains an unencoded character.
    """
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%a-z]*\]|[^\[\]:/?#@]*)(?::(\d{0,5}))?", text)
    if found is None or int(found[2] or 0) > _MAX_PORT:
        raise ValueError
    return unquote(found[1]) + (f":{found[2]}" if found[2] else "")


def redacted(text: str, dsn: str) -> str:
    """A server message on one line, without the DSN, its password, or the rows that DETAIL and CONTEXT quote."""
    for secret in _secrets(dsn):
        text = text.replace(secret, "***")
    text = re.sub(r"://([^:/@\s]*):[^@\s]*@", r"://\1:***@", text)
    # The driver repeats the statement, which buries the cause and may contain a person's name in a literal.
    text = re.sub(r"execute query '.*?': (?=\w+: )", "execute query: ", text, flags=re.DOTALL)
    text = re.sub(r"\nQuery was: .*", "", text, flags=re.DOTALL)
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not re.match(r"\s*(DETAIL|CONTEXT|STATEMENT|QUERY|LINE \d+|HINT)\b|\^$", line.strip())
    ]
    # Primary messages may quote a value: invalid input syntax for type numeric: "...", value "..." is out of range.
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
    # Masking one or two characters would garble every message. The longest first, as they contain the shorter ones.
    return sorted({s for s in found if len(s) > 2}, key=len, reverse=True)


def literal(text: str) -> str:
    """Returns a text as an SQL literal, for statements such as COMMENT that take no parameters."""
    return "'" + text.replace("\x00", "").replace("'", "''") + "'"


def statements(script: str) -> list[str]:
    """Splits an SQL script into statements; every statement must end a line with its semicolon."""
    return [s for s in (part.strip() for part in re.split(r";[ \t]*(?:\n|\Z)", script)) if _has_code(s)]


def _has_code(sql: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in sql.splitlines())


class ColumnThere(NamedTuple):
    """A column as the database has it.

    Attributes:
        type: in PostgreSQL's words.
        not_null: whether it refuses NULL.
        generated: whether the database fills it.
    """

    type: str
    not_null: bool
    generated: bool


def catalog(session: Session, table: str) -> Mapping[str, ColumnThere]:
    """The columns of a table by name; empty if the table does not exist."""
    rows = session.query(
        "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull, attgenerated <> '' OR attidentity <> '' "
        "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid AND c.relname = $1 "
        f"WHERE c.relnamespace = {HERE} "
        "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [table],
    )
    return {name: ColumnThere(*column) for name, *column in rows}
