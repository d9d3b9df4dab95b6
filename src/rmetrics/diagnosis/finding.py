"""The results of a diagnosis."""

from dataclasses import dataclass

from rmetrics.findings import Severity
from rmetrics.lake import Damage


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check.

    Attributes:
        name: the subject: python, libraries, rules, ...
        severity: None if there is no problem.
        message: the result.
        advice: how to fix the problem; empty if there is none.
    """

    name: str
    severity: Severity | None
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """All checks in order, and every damaged file if requested."""

    checks: tuple[Diagnosis, ...]
    damaged: tuple[Damage, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no check found an error."""
        return not any(c.severity is Severity.ERROR for c in self.checks)


def passed(name: str, message: str) -> Diagnosis:
    """Returns a check without a problem."""
    return Diagnosis(name, None, message)
