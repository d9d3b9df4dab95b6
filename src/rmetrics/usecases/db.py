"""``rmetrics db``: the embedded server, for Grafana and other readers on this machine."""

from rmetrics.errors import SettingsError
from rmetrics.postgres.embedded import embedded_running, start_embedded, stop_embedded
from rmetrics.settings import Settings


def db_start(settings: Settings) -> str:
    """Starts the embedded server, leaves it running, and returns its URL."""
    return start_embedded(settings.server_dir).dsn


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
