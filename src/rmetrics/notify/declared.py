"""Checks cheaply whether a sync may have anybody to notify, before slow imports."""

import re
from pathlib import Path

# A table or key of [notify] that is not commented out. A false match costs only the time to load the rules.
_CHANNEL = re.compile(rb"""^[ \t]*\[?[ \t]*["']?notify["']?[ \t]*[.\]=]""", re.MULTILINE)


def may_have_channels(rules_dir: Path) -> bool:
    """Whether the rules may declare a channel; False if they certainly do not or cannot be read."""
    try:
        return any(_CHANNEL.search(path.read_bytes()) for path in rules_dir.glob("*.toml"))
    except OSError:  # the sync reports it
        return False
