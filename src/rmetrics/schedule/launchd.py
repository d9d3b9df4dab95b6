"""A launchd agent of macOS."""

import datetime as dt
import plistlib
import re
from collections.abc import Sequence
from pathlib import Path


def plist_text(name: str, mark: str, project: Path, at: dt.time, program: Sequence[str]) -> bytes:
    """Returns the agent's property list; launchd makes up for a run missed in sleep when the machine wakes."""
    text = plistlib.dumps(
        {
            "Label": name,
            "ProgramArguments": list(program),
            "WorkingDirectory": str(project),
            "StartCalendarInterval": {"Hour": at.hour, "Minute": at.minute},
            "StandardErrorPath": str(project / "data" / "schedule.log"),
            "Comment": mark,
        },
        sort_keys=False,
    )
    # plistlib indents by tabs, which our output escapes as control characters: a name could hide behind one.
    return re.sub(rb"(?m)^\t+", lambda tabs: b"  " * len(tabs[0]), text)
