"""Imports the libraries that only pulls need: ``pip install 'rmetrics[pull]'``."""

import importlib
import logging
from typing import Any

from rmetrics.errors import SettingsError

# These log addresses, which may contain a secret.
_VERBOSE_LOGGERS = ("httpx", "httpcore", "stamina", "asyncssh", "imap_tools", "fsspec")


def library(name: str) -> Any:
    """Imports a library of the extra and silences the logs of all of them.

    Raises:
        SettingsError: it is not installed.
    """
    for logger in _VERBOSE_LOGGERS:
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SettingsError(
            f"pulls need the package {name.partition('.')[0]}, which is not installed",
            "Install it: pip install 'rmetrics[pull]'",
        ) from None
