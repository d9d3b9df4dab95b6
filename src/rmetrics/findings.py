"""Findings: facts about a run's data that the user should know."""

from dataclasses import dataclass
from enum import StrEnum

BY_HAND = "rows-by-hand"  # published tables contained rows written by others
EMPTY_INBOX = "empty-inbox"  # the inbox contained no file
WITHDRAWN = "withdrawn-export"  # the content of a withdrawn export was delivered again
PULL_INCOMPLETE = "pull-incomplete"  # a pull is not proved complete
COMPANY_FAILED = "company-failed"  # a company of the group could not be computed
COMPANY_REMOVED = "company-removed"  # a company no longer declared was removed from the group
NEWLY_ACCEPTED = "rejected-rows-taken-in"  # rows rejected before are readable now


def count(number: int, what: str) -> str:
    """A number with its noun.

    >>> count(1, "file"), count(2_500, "file"), count(0, "file")
    ('1 file', '2,500 files', '0 files')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


class Severity(StrEnum):
    """The severity of a finding; an error makes the run exit with 3."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about the data that the user should know.

    Attributes:
        code: a short stable name.
        rows: the number of rows affected.
        message: the problem and the remedy; no customer's data.
    """

    code: str
    severity: Severity
    message: str
    rows: int
