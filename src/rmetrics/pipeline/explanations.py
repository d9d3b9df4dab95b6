"""Parts of a run that explain, count or decorate, kept from stopping it.

Causes of changes, findings, summaries and feed states describe the figures; none of them determines a figure. If one
fails, the run goes on without it and reports this in a finding.
"""

from collections.abc import Callable
from typing import TypeVar

from rmetrics.errors import BusyError, caused_by_interrupt
from rmetrics.findings import Finding, Severity

T = TypeVar("T")
F = TypeVar("F")
CODE = "explanation-failed"


class Explanations:
    """Runs explanations and collects their failures.

    Attributes:
        failed: a finding for each explanation that failed.
    """

    def __init__(self) -> None:
        self.failed: list[Finding] = []

    def of(self, what: str, explain: Callable[[], T], fallback: F, *, but: tuple[type[Exception], ...] = ()) -> T | F:
        """Returns the result of an explanation, or the fallback if it fails.

        Args:
            what: names the explanation, as a noun: "the causes of changes".
            explain: computes it.
            fallback: the value to go on with.
            but: errors to raise nevertheless, because a caller retries.
        """
        try:
            return explain()
        except BusyError:
            raise
        except Exception as error:
            if isinstance(error, but) or caused_by_interrupt(error):
                raise
            # Only the type of the error: its text may quote a row.
            message = (
                f"{what} could not be computed ({type(error).__name__}); the figures do not depend on it. Please "
                "report "
                "this with the output of `rmetrics doctor`"
            )
            self.failed.append(Finding(CODE, Severity.WARNING, message, 0))
            return fallback


__all__ = ["CODE", "Explanations"]
