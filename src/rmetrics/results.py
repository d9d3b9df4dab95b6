"""What a run says: frozen values that cross the layers and become text or JSON at the top."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

BY_HAND = "rows-by-hand"  # the finding of a run that met rows of somebody else in published tables
EMPTY_INBOX = "empty-inbox"  # the finding of a run that met no file in the inbox
WITHDRAWN = "withdrawn-export"  # the finding of a run that met the content of a withdrawn export again
PULL_INCOMPLETE = "pull-incomplete"  # the finding of a run whose pull is not proved complete
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


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file of the inbox: rows = accepted + rejected + superseded + totals.

    Attributes:
        feed: None where none fits.
        reason: why it was refused, or what to know about it.
    """

    file: str
    feed: str | None
    status: Literal["landed", "unchanged", "refused"]
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    superseded: int = 0
    totals: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MonthLine:
    """One source in one month, or on one of its days, against its target; source ALL is the whole company."""

    month: dt.date
    source: str
    jobs: int
    leads: int
    units: int
    repairs: int
    revenue_gross: Decimal
    revenue40: Decimal
    cost: Decimal
    target_repairs: Decimal | None = None
    target_revenue40: Decimal | None = None
    target_conv_l2r: Decimal | None = None
    target_cpl_max: Decimal | None = None

    @property
    def cpl(self) -> Decimal | None:
        """Cost per lead, None without leads."""
        return self.cost / self.leads if self.leads else None

    @property
    def conv_l2r(self) -> Decimal | None:
        """Repairs per lead, None without leads."""
        return Decimal(self.repairs) / self.leads if self.leads else None

    @property
    def profit(self) -> Decimal:
        """Revenue after payout less cost."""
        return self.revenue40 - self.cost


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a sync did.

    Attributes:
        status: published; unchanged (nothing was new, nothing was written); dry-run.
        published: rows written by table.
        months: by month and source, against target, oldest first.
        timings: seconds of each step: land, type, compute, check, publish.
    """

    run_id: str
    status: Literal["published", "unchanged", "dry-run"]
    files: tuple[FileResult, ...]
    published: Mapping[str, int]
    findings: tuple[Finding, ...]
    months: tuple[MonthLine, ...]
    seconds: float
    cross_check: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """How fresh a feed is."""

    feed: str
    exports: int
    rows: int
    last_date: dt.date | None
    last_export_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run that published or failed; ``message`` says why it failed."""

    run_id: str
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    status: str
    version: str | None
    files: int | None
    rows_read: int | None
    rows_rejected: int | None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class StatusResult:
    """What is known of a project: feeds, runs, published tables."""

    feeds: tuple[FeedStatus, ...]
    runs: tuple[RunStatus, ...]
    tables: Mapping[str, int]
    server: str
    detail: Mapping[str, Any] = field(default_factory=dict)
