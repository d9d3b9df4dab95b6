"""``rmetrics db``: the embedded server, for Grafana and other readers on this machine."""

from pathlib import Path

from rmetrics.errors import SettingsError
from rmetrics.opening import database_of
from rmetrics.postgres import reader
from rmetrics.postgres.embedded import embedded_running, start_embedded, stop_embedded
from rmetrics.postgres.reader import Reader
from rmetrics.rules import load_rules
from rmetrics.settings import Settings


def db_start(settings: Settings) -> str:
    """Starts the embedded server, leaves it running, and returns its URL."""
    return start_embedded(settings.server_dir).dsn


def db_start_on(settings: Settings, port: int) -> Reader:
    """Starts the embedded server on a loopback port, leaves it running, and returns the reader's login.

    Raises:
        PostgresError, BusyError, SettingsError: see ``postgres.reader.open_port``.
        RulesError: the rules do not load.
    """
    rules = load_rules(settings.rules_dir, settings.company)
    return reader.open_port(database_of(settings), rules, _password_file(settings), port)


def db_stop(settings: Settings) -> bool:
    """Stops the embedded server; returns False if it was not running."""
    return stop_embedded(settings.server_dir)


def db_url(settings: Settings) -> str:
    """Returns the URL of the running embedded server.

    Raises:
        SettingsError: it is not running.
    """
    running = embedded_running(settings.server_dir)
    if running is None:
        raise SettingsError("the embedded PostgreSQL is not running", "Start it: rmetrics db start")
    return running.dsn


def db_reader(settings: Settings) -> Reader:
    """Returns the reader's current login.

    Raises:
        SettingsError: the server does not run, listens on no port, or the password file is missing.
    """
    return reader.reader(database_of(settings), _password_file(settings))


def _password_file(settings: Settings) -> Path:
    return settings.data_dir / "reader.pgpass"
