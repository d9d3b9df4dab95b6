"""A systemd user timer and its service."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path


def service_text(mark: str, project: Path, program: Sequence[str]) -> str:
    """The service that runs once and ends."""
    return f"""# {mark}
[Unit]
Description=rmetrics: pull, sync and morning brief of {_plain(str(project))}

[Service]
Type=oneshot
WorkingDirectory={_plain(str(project))}
ExecStart={" ".join(_quoted(word) for word in program)}
"""


def timer_text(mark: str, project: Path, at: dt.time, zone: str) -> str:
    """The timer; a run that the machine slept through is made up for when it wakes."""
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
    """A text as the value of a key: a percent sign would begin a specifier."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of a command line: systemd reads quotes, backslashes, $ and % itself."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{escaped}"'
