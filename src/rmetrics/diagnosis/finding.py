"""What a diagnosis finds."""

from dataclasses import dataclass

from rmetrics.findings import Severity
from rmetrics.lake import Damage


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what: python, libraries, rules, ...
        severity: None where all is well.
        message: what was found.
        advice: how to mend it; empty where all is well.
    """

    name: str
    severity: Severity | None
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """What was looked at, in order, and every damaged file where that was asked for."""

    checks: tuple[Check, ...]
    damaged: tuple[Damage, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong at error level."""
        return not any(c.severity is Severity.ERROR for c in self.checks)


def passed(name: str, message: str) -> Check:
    """A check that found nothing wrong."""
    return Check(name, None, message)
