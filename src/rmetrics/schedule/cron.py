"""Our lines in a user's table of cron, between two marks; every other byte of the table stays."""

import datetime as dt
import re
import shlex
from collections.abc import Sequence


def cron_lines(name: str, mark: str, at: dt.time, program: Sequence[str]) -> str:
    """The block of one project."""
    command = shlex.join(program).replace("%", r"\%")  # cron reads a bare % as the end of the line
    return f"# >>> {name}\n# {mark}\n{at.minute} {at.hour} * * * {command}\n# <<< {name}\n"


def with_block(table: str, name: str, block: str) -> str:
    """The table with the project's block, in its place where it has one, at the end otherwise."""
    if _block(name).search(table):
        return _block(name).sub(lambda _: block, table, count=1)
    return f"{table}{'' if not table or table.endswith(chr(10)) else chr(10)}{block}"


def without_block(table: str, name: str) -> str:
    """The table without the project's block."""
    return _block(name).sub("", table)


def block_in(table: str, name: str) -> str:
    """The project's block; empty where it has none."""
    found = _block(name).search(table)
    return found[0] if found else ""


def _block(name: str) -> re.Pattern[str]:
    name = re.escape(name)
    return re.compile(rf"^# >>> {name}\n(?:.*\n)*?# <<< {name}(?:\n|\Z)", re.MULTILINE)
