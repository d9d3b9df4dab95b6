"""A systemd user timer and its service."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path


def service_text(mark: str, project: Path, program: Sequence[str]) -> str:
    """Returns a one-shot service unit."""
    return f"""# {mark}
[Unit]
Description=rmetrics: pull, sync and morning brief of {_plain(str(project))}

[Service]
Type=oneshot
WorkingDirectory={_plain(str(project))}
ExecStart={" ".join(_quoted(word) for word in program)}
"""


def timer_text(mark: str, project: Path, at: dt.time, zone: str) -> str:
    """Returns the timer unit; systemd makes up for a run missed while the machine slept or was off."""
    return f"""# {mark}
[Unit]
Description=rmetrics: every day at {at:%H:%M} for {_plain(str(project))}

[Timer]
OnCalendar=*-*-* {at:%H:%M}:00 {zone}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _plain(text: str) -> str:
    """Escapes the value of a key: a percent sign would start a specifier."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """Quotes a word of a command line, in which systemd itself interprets quotes, backslashes, $ and %."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'
