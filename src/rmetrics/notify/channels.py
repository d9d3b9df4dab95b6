"""Sends messages through apprise.

URLs hold secrets and apprise's own messages may quote them, so no part of a URL or of those messages leaves this file.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from pydantic import SecretStr

from rmetrics.errors import SettingsError

REFUSED = "the service did not accept the message"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send: a subject and a body, plain text or an HTML document."""

    subject: str
    body: str
    html: bool = False


def require_apprise() -> None:
    """Checks that apprise is installed.

    Raises:
        SettingsError: it is not.
    """
    if find_spec("apprise") is None:
        raise SettingsError(
            "messages need apprise, which is not installed", "Install it: pip install 'rmetrics[notify]'"
        )


def deliver(url: SecretStr, message: Message) -> str:
    """Sends a message to the single service that a URL names.

    Returns:
        The reason for a failure, free of any part of the URL; empty on success.
    """
    import apprise

    with _captured_logs() as messages:
        services = apprise.Apprise()
        if not services.add(url.get_secret_value()) or len(services) != 1:
            return "the setting is not the URL of exactly one service known to apprise"
        if "overflow=" not in url.get_secret_value():  # a brief may exceed the service's limit for one message
            services[0].overflow_mode = apprise.OverflowMode.SPLIT
        form = apprise.NotifyFormat.HTML if message.html else apprise.NotifyFormat.TEXT
        try:
            delivered = services.notify(title=message.subject, body=message.body, body_format=form)
        except Exception as error:  # noqa: BLE001 - a plugin of apprise may raise anything, with the URL in its words
            return f"{REFUSED} ({type(error).__name__})"
    return "" if delivered else _why(messages)


class _LogCollector(logging.Handler):
    """A log handler that collects apprise's messages."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Collects one record."""
        self.messages.append(record.getMessage())


@contextlib.contextmanager
def _captured_logs() -> Iterator[list[str]]:
    """Captures the logs of apprise and its libraries, so that no other handler writes them."""
    messages: list[str] = []
    collector, quiet = _LogCollector(messages), logging.NullHandler()
    loggers = [
        logging.getLogger(n) for n in ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "asyncio")
    ]
    before = [(log, log.propagate, log.level) for log in loggers]
    for log in loggers:
        log.addHandler(collector if log.name == "apprise" else quiet)
        log.propagate = False
    loggers[0].setLevel(logging.WARNING)
    try:
        yield messages
    finally:
        for log, propagate, level in before:
            log.removeHandler(collector if log.name == "apprise" else quiet)
            log.propagate, log.level = propagate, level


def _why(messages: list[str]) -> str:
    """Derives a reason from apprise's logs: the status or kind of failure, never the logged text."""
    words = " ".join(messages)
    if status := re.search(r"error=(\d{3})\b", words):
        return f"{REFUSED}: HTTP status {status[1]}"
    if re.search(r"[Cc]onnection error|[Ss]ocket|timed? ?out", words):
        return "the service could not be reached"
    return REFUSED
