"""A project's block in the user's crontab, between two marker lines; every other byte stays unchanged."""

import datetime as dt
import re
import shlex
from collections.abc import Sequence


def cron_lines(name: str, mark: str, at: dt.time, program: Sequence[str]) -> str:
    """Returns the block of one project."""
    command = shlex.join(program).replace("%", r"\%")  # cron reads an unescaped % as a line break
    return f"# >>> {name}\n# {mark}\n{at.minute} {at.hour} * * * {command}\n# <<< {name}\n"


def with_block(table: str, name: str, block: str) -> str:
    """Returns the crontab with the project's block: in place of the old one, or at the end."""
    if _block(name).search(table):
        return _block(name).sub(lambda _: block, table, count=1)
    return f"{table}{'' if not table or table.endswith(chr(10)) else chr(10)}{block}"


def without_block(table: str, name: str) -> str:
    """Returns the crontab without the project's block."""
    return _block(name).sub("", table)


def block_in(table: str, name: str) -> str:
    """Returns the project's block; empty if there is none."""
    found = _block(name).search(table)
    return found[0] if found else ""


def _block(name: str) -> re.Pattern[str]:
    name = re.escape(name)
    return re.compile(rf"^# >>> {name}\n(?:.*\n)*?# <<< {name}(?:\n|\Z)", re.MULTILINE)
