"""Whether anybody is to be told of a sync; asked before anything is imported that takes long to load."""

import re

from rmetrics.settings import Settings

# A table or a key of [notify] that is not commented out. What only looks like one costs the time to load the rules.
_CHANNEL = re.compile(rb"""^[ \t]*\[?[ \t]*["']?notify["']?[ \t]*[.\]=]""", re.MULTILINE)


def may_have_channels(settings: Settings) -> bool:
    """Whether the rules may declare a channel for messages; False where they certainly do not, or cannot be read."""
    try:
        return any(_CHANNEL.search(path.read_bytes()) for path in settings.rules_dir.glob("*.toml"))
    except OSError:  # the sync says so
        return False
