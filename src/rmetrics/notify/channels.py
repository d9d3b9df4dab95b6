"""Sends a message through apprise. No word of a URL leaves this file: apprise's own messages may quote it."""

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from pydantic import SecretStr

from rmetrics.errors import SettingsError

REFUSED = "the service did not take the message"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a subject and a body, text or an HTML document."""

    subject: str
    body: str
    html: bool = False


def require_apprise() -> None:
    """Makes sure that messages can be sent.

    Raises:
        SettingsError: the extra is not installed.
    """
    if find_spec("apprise") is None:
        raise SettingsError(
            "messages need apprise, which is not installed", "Install it: pip install 'rmetrics[notify]'"
        )


def deliver(url: SecretStr, message: Message) -> str:
    """Sends one message to the one service that a URL names.

    Returns:
        Why it was not taken, without a word of the URL; empty where it was.
    """
    import apprise

    with _overheard() as said:
        services = apprise.Apprise()
        if not services.add(url.get_secret_value()) or len(services) != 1:
            return "the setting does not hold the URL of exactly one service that apprise knows"
        if "overflow=" not in url.get_secret_value():  # a brief may be longer than one message of the service
            services[0].overflow_mode = apprise.OverflowMode.SPLIT
        form = apprise.NotifyFormat.HTML if message.html else apprise.NotifyFormat.TEXT
        try:
            taken = services.notify(title=message.subject, body=message.body, body_format=form)
        except Exception as error:  # noqa: BLE001 - a plugin of apprise may raise anything, with the URL in its words
            return f"{REFUSED} ({type(error).__name__})"
    return "" if taken else _why(said)


class _Ear(logging.Handler):
    """Keeps what apprise logs."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one record."""
        self.said.append(record.getMessage())


@contextlib.contextmanager
def _overheard() -> Iterator[list[str]]:
    """Takes the logs of apprise and of what it sends with, so that nobody else writes them."""
    said: list[str] = []
    ear, quiet = _Ear(said), logging.NullHandler()
    loggers = [
        logging.getLogger(n) for n in ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "asyncio")
    ]
    before = [(log, log.propagate, log.level) for log in loggers]
    for log in loggers:
        log.addHandler(ear if log.name == "apprise" else quiet)
        log.propagate = False
    loggers[0].setLevel(logging.WARNING)
    try:
        yield said
    finally:
        for log, propagate, level in before:
            log.removeHandler(ear if log.name == "apprise" else quiet)
            log.propagate, log.level = propagate, level


def _why(said: list[str]) -> str:
    """A reason made of what apprise logged: a status or the kind of failure, none of its words."""
    words = " ".join(said)
    if status := re.search(r"error=(\d{3})\b", words):
        return f"{REFUSED}: it answered {status[1]}"
    if re.search(r"[Cc]onnection error|[Ss]ocket|timed? ?out", words):
        return "the service could not be reached"
    return REFUSED
