"""What a question of data quality is."""

from dataclasses import dataclass

from rmetrics.findings import Severity


@dataclass(frozen=True, slots=True)
class QualityQuestion:
    """A check: a SELECT of the offending rows.

    Attributes:
        code: a short stable name.
        message: the meaning of such rows.
        order: the columns to sort the examples by.
        advice: what to do.
        own: written by a person, so that its SQL is checked before it runs.
    """

    code: str
    severity: Severity
    sql: str
    message: str
    advice: str = ""
    order: str = ""
    own: bool = False
