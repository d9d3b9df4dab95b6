"""Every deliberate error of rmetrics, and the exit code each one leads to.

    RmetricsError
    ├── SettingsError   2   a setting, an option or a folder that cannot be used
    ├── RulesError      2   the rules do not load; carries every problem found
    ├── LakeError       4   the lake cannot be read or written
    ├── PostgresError   4   the database cannot be reached, or a publish did not hold
    ├── EngineError     4   Spark cannot be reached, or could not finish
    ├── CheckError      3   the numbers do not agree; nothing was published
    ├── PullError       3   a pull is not proved complete; nothing of it is in force
    └── BusyError       5   another run holds the lock

A *finding* is a value (``results.Finding``), not an error: bad data never stops a run. An error says what is
wrong, where, and how to mend it; it carries no secret and no customer's data. Anything else that is raised is a bug
of ours and keeps its traceback (exit code 1).
"""

import errno
import os
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


class RmetricsError(Exception):
    """Something the user can mend.

    Args:
        message: what is wrong and where.
        hint: the next step, as an imperative sentence; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(RmetricsError):
    """A setting, an option or a folder that cannot be used."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class RuleProblem:
    """One thing wrong in the rules.

    Attributes:
        path: the file.
        line: 1-based line of the key, 0 where no line can be named.
        key: dotted TOML key, for instance ``sources.Google.cost``.
        message: what was found and what is allowed.
    """

    path: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class RulesError(RmetricsError):
    """The rules do not load. Carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[RuleProblem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(
            f"the rules have {count}:\n" + "\n".join(f"  {p}" for p in problems),
            "Mend the lines named above; nothing was read or written.",
        )


class LakeError(RmetricsError):
    """The lake, the inbox or a file in them cannot be read or written."""

    exit_code = 4


def withdrawal_hint(exports: Collection[str]) -> str:
    """How to take the one export that makes a run fail out of force; empty where there is not exactly one.

    Args:
        exports: the names of the exports that the failure comes from.
    """
    if len(exports) != 1:
        return ""
    (name,) = exports
    return f"To go on without this export: rmetrics exports withdraw {shlex.quote(name)}"


class OutOfMemoryError(LakeError):
    """A query needs more memory, or more space for temporary files, than it may have."""


# What a disk, a file system or its permissions answer: nothing that a program could have asked for rightly.
_OF_THE_SYSTEM = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "EIO", "ENOSPC", "EDQUOT", "EFBIG", "ESTALE", "EMFILE", "ENFILE", "ELOOP")
    if hasattr(errno, name)
}

_NATIVE = re.compile(r"\(os error (?P<number>\d+)\)(?:: (?P<file>.+))?")


def of_the_system(error: BaseException) -> LakeError | None:
    """What to report where the system refused a file, memory or a thread; None for any other error."""
    if _exhausted(error):
        return OutOfMemoryError(
            "the system gives this program no more memory or threads",
            "Raise the limits of the shell or service (ulimit -v, ulimit -u, MemoryMax), or close other programs.",
        )
    if not isinstance(error, OSError):
        return None
    number, file = error.errno, error.filename
    if number is None and (native := _NATIVE.search(str(error))):  # Polars keeps number and file in the text
        number, file = int(native["number"]), native["file"] or "a file"
    if number is None or number not in _OF_THE_SYSTEM or file is None:
        return None
    many = number in {errno.EMFILE, errno.ENFILE}
    hint = "Raise the limit of open files (ulimit -n)." if many else "Check the disk and the permissions."
    return LakeError(f"cannot open {file}: {os.strerror(number)}", hint)


def _exhausted(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOMEM, errno.EAGAIN} and error.filename is None
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)


def asked_to_stop(error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: DuckDB, for one, raises one of its own from it."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, KeyboardInterrupt):
            return True
        found = found.__cause__
    return False


class PostgresError(RmetricsError):
    """PostgreSQL cannot be reached, refused a statement, or holds something other than what was sent.

    Attributes:
        state: the SQLSTATE of a refused statement; empty where there is none.
    """

    exit_code = 4

    def __init__(self, message: str, hint: str = "", state: str = "") -> None:
        super().__init__(message, hint)
        self.state = state


class EngineError(RmetricsError):
    """Spark cannot be reached, or could not finish; nothing of what it computed is in force."""

    exit_code = 4


class CheckError(RmetricsError):
    """The two engines disagree: the numbers must not be published."""

    exit_code = 3


class PullError(RmetricsError):
    """A pull is not proved complete. The message names the part that is missing."""

    exit_code = 3


class BusyError(RmetricsError):
    """Another run holds the lock."""

    exit_code = 5
