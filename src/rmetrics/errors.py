"""Every deliberate error of rmetrics, with its exit code.

    RmetricsError
    ├── SettingsError   2   a setting, an option or a folder that cannot be used
    ├── RulesError      2   the rules do not load; carries every problem found
    ├── LakeError       4   the lake cannot be read or written
    ├── PostgresError   4   the database cannot be reached, or a publish failed
    ├── EngineError     4   Spark cannot be reached, or could not finish
    ├── CheckError      3   the figures do not agree; nothing was published
    ├── PullError       3   a pull is not proved complete; nothing of it is in force
    └── BusyError       5   another run holds the lock

A *finding* is a value (``findings.Finding``), not an error: bad data never stops a run. An error states the problem,
its location and the remedy; it contains no secret and no customer's data. Any other exception is a bug in rmetrics and
keeps its traceback (exit code 1).
"""

import errno
import os
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path


class RmetricsError(Exception):
    """An error that the user can fix.

    Args:
        message: the problem and its location.
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
    """One problem in the rules.

    Attributes:
        path: the file.
        line: 1-based line of the key, 0 if unknown.
        key: dotted TOML key, for instance ``sources.Google.cost``.
        message: the value found and the values allowed.
    """

    path: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class RulesError(RmetricsError):
    """The rules do not load. Carries every problem, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[RuleProblem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(
            f"the rules have {count}:\n" + "\n".join(f"  {p}" for p in problems),
            "Correct the lines listed above; nothing was read or written.",
        )


class LakeError(RmetricsError):
    """The lake, the inbox or one of their files cannot be read or written."""

    exit_code = 4


def withdrawal_hint(exports: Collection[str]) -> str:
    """The command that withdraws the one export that makes a run fail; empty unless there is exactly one.

    Args:
        exports: the names of the exports that cause the failure.
    """
    if len(exports) != 1:
        return ""
    (name,) = exports
    return f"To continue without this export: rmetrics exports withdraw {shlex.quote(name)}"


class OutOfMemoryError(LakeError):
    """A query exceeds its limit of memory or temporary disk space."""


# Errors caused by a disk, a file system or its permissions, not by a bug in the program.
_OF_THE_SYSTEM = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "EIO", "ENOSPC", "EDQUOT", "EFBIG", "ESTALE", "EMFILE", "ENFILE", "ELOOP")
    if hasattr(errno, name)
}

_NATIVE = re.compile(r"\(os error (?P<number>\d+)\)(?:: (?P<file>.+))?")


def of_the_system(error: BaseException) -> LakeError | None:
    """The error to report if the system refused a file, memory or a thread; None for any other error."""
    if _exhausted(error):
        return OutOfMemoryError(
            "the system refused this program more memory or threads",
            "Raise the limits of the shell or service (ulimit -v, ulimit -u, MemoryMax), or close other programs.",
        )
    if not isinstance(error, OSError):
        return None
    number, file = error.errno, error.filename
    if number is None and (native := _NATIVE.search(str(error))):  # Polars has number and file in its message only
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


def caused_by_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C caused an error: DuckDB, for instance, turns it into an error of its own."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, KeyboardInterrupt):
            return True
        found = found.__cause__
    return False


class PostgresError(RmetricsError):
    """PostgreSQL cannot be reached, refused a statement, or its rows differ from those sent.

    Attributes:
        state: the SQLSTATE of a refused statement; empty if there is none.
    """

    exit_code = 4

    def __init__(self, message: str, hint: str = "", state: str = "") -> None:
        super().__init__(message, hint)
        self.state = state


class EngineError(RmetricsError):
    """Spark cannot be reached, or could not finish; none of its results are in force."""

    exit_code = 4


class CheckError(RmetricsError):
    """The two engines disagree: the figures must not be published."""

    exit_code = 3


class PullError(RmetricsError):
    """A pull is not proved complete. The message names the missing part."""

    exit_code = 3


class BusyError(RmetricsError):
    """Another run holds the lock."""

    exit_code = 5
