"""Checks cheaply whether a sync may have anybody to notify, before slow imports."""

import re

from rmetrics.settings import Settings

# A table or key of [notify] that is not commented out. A false match costs only the time to load the rules.
_CHANNEL = re.compile(rb"""^[ \t]*\[?[ \t]*["']?notify["']?[ \t]*[.\]=]""", re.MULTILINE)


def may_have_channels(settings: Settings) -> bool:
    """Whether the rules may declare a channel; False if they certainly do not or cannot be read."""
    try:
        return any(_CHANNEL.search(path.read_bytes()) for path in settings.rules_dir.glob("*.toml"))
    except OSError:  # the sync reports it
        return False
