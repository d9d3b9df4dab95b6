"""Read-only access to the embedded server: a loopback port, a role and a password.

For Grafana and other PostgreSQL clients on this machine. ``roles`` defines the role: aggregates, targets and views, no
raw table. The password is generated here and never appears in an SQL statement or on a command line: the server
receives only the SCRAM verifier derived from it. It is stored in a libpq password file, for use as ``PGPASSFILE``.
"""

import base64
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from rmetrics.errors import SettingsError
from rmetrics.files import current_user, open_private
from rmetrics.postgres.connection import connect, literal, quoted, statements
from rmetrics.postgres.ddl import apply_schema, fit_tables
from rmetrics.postgres.embedded import embedded_running, network_port, start_embedded
from rmetrics.postgres.embedded.cluster import LOOPBACK
from rmetrics.postgres.roles import READER, roles_script
from rmetrics.postgres.server import Database
from rmetrics.rules import Rules
from rmetrics.shipped import schema_script
from rmetrics.tables import published_tables

_DATABASE = "postgres"
_ROUNDS = 4096  # PostgreSQL's default; the password is random, so more rounds would add no protection


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader's login.

    Attributes:
        url: the owner's URL of the same server, through its socket.
        password: for display on request; not in ``repr``.
        password_file: where it is stored, in the form of ``PGPASSFILE``.
    """

    url: str = field(repr=False)
    port: int
    password: str = field(repr=False)
    password_file: Path
    host: str = LOOPBACK
    database: str = _DATABASE
    user: str = READER

    @property
    def dsn(self) -> str:
        """For libpq clients."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def jdbc(self) -> str:
        """For Java clients: DBeaver, Metabase, Tableau."""
        options = urlencode({"user": self.user, "password": self.password})
        return f"jdbc:postgresql://{self.host}:{self.port}/{self.database}?{options}"


def open_port(database: Database, rules: Rules, password_file: Path, port: int) -> Reader:
    """Starts the embedded server on a loopback port, leaves it running, and grants the reader access.

    Creates the tables if there are none, so that dashboards can be set up before the first sync. Run it again after an
    upgrade or when rules add a table: grants are made table by table.

    Args:
        database: the project's.
        rules: the rules in force, which declare tables.
        password_file: keeps the reader's password.
        port: on the loopback.

    Raises:
        PostgresError: the port is in use, or the server does not start.
        BusyError: another command uses the server, which would have to restart.
        SettingsError: the password cannot be stored.
    """
    own = start_embedded(database.folder, port)
    with connect(own, schema=database.schema) as session:
        apply_schema(session, schema_script(), database.schema)
        fit_tables(session, published_tables(rules))
        password = _kept(password_file) or _created(password_file)
        with session.transaction():
            for statement in statements(roles_script(database.schema)):
                session.execute(statement)
            session.execute(f"ALTER ROLE {quoted(READER)} PASSWORD {literal(verifier(password))}")
    return Reader(own.dsn, port, password, password_file.resolve())


def reader(database: Database, password_file: Path) -> Reader:
    """The reader's current login.

    Raises:
        SettingsError: the server does not run, listens on no port, or the password file is missing.
    """
    own, port = embedded_running(database.folder), network_port(database.folder)
    password = _kept(password_file)
    if own is None or not port or password is None:
        why = "is not running" if own is None else "does not listen on a port"
        why = why if own is None or not port else "has a reader whose password file is missing"
        raise SettingsError(f"the embedded PostgreSQL {why}", "Open one: rmetrics db start --port 5433")
    return Reader(own.dsn, port, password, password_file.resolve())


def verifier(password: str, salt: bytes | None = None) -> str:
    """The SCRAM verifier that PostgreSQL stores for a password; it cannot be used to log in.

    Args:
        password: ASCII.
        salt: 16 random bytes; None generates them.

    Source: RFC 5803, in PostgreSQL's notation.
    """
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(b).decode() for b in (salt, stored, server))
    return f"SCRAM-SHA-256${_ROUNDS}:{salt_text}${stored_text}:{server_text}"


def _kept(path: Path) -> str | None:
    """The stored password; None if there is no file, or others could have read it."""
    try:
        with path.open(encoding="ascii") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != current_user() or stat.S_IMODE(found.st_mode) & 0o077:
                return None
            *_, password = file.readline().rstrip("\n").split(":")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise _no_file(path, error) from error
    return password or None


def _created(path: Path) -> str:
    password = secrets.token_urlsafe(24)
    try:
        with open_private(path) as file:
            file.write(f"{LOOPBACK}:*:{_DATABASE}:{READER}:{password}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _no_file(path, error) from error
    return password


def _no_file(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"the reader's password cannot be stored in {path}: {error.strerror}",
        "Take ownership of the file, or remove it.",
    )


__all__ = ["Reader", "open_port", "reader", "verifier"]
