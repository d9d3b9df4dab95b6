"""Findings: what a person should know about the data a run worked with."""

from dataclasses import dataclass
from enum import StrEnum

BY_HAND = "rows-by-hand"  # the finding of a run that met rows of somebody else in published tables
EMPTY_INBOX = "empty-inbox"  # the finding of a run that met no file in the inbox
WITHDRAWN = "withdrawn-export"  # the finding of a run that met the content of a withdrawn export again
PULL_INCOMPLETE = "pull-incomplete"  # the finding of a run whose pull is not proved complete
COMPANY_FAILED = "company-failed"  # the finding of a group's run that could not compute one of its companies
COMPANY_REMOVED = "company-removed"  # the finding of a group's run that took out a company no longer declared
TAKEN_IN = "rejected-rows-taken-in"  # the finding of a run that could read rows it had rejected before


def count(number: int, what: str) -> str:
    """A number with its noun.

    >>> count(1, "file"), count(2_500, "file"), count(0, "file")
    ('1 file', '2,500 files', '0 files')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class Severity(StrEnum):
    """How much a finding matters: an error makes the run exit 3."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the data that a person should know.

    Attributes:
        code: a short stable name.
        rows: how many rows it concerns.
        message: what, and what to do; no customer's data.
    """

    code: str
    severity: Severity
    message: str
    rows: int
