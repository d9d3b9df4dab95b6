"""Results of a sync: files, companies, findings, months and own measures. Imports neither engine."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from rmetrics.findings import Finding
from rmetrics.month_line import MonthLine


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """One of the company's own measures in one month, over all sources, against its target.

    Attributes:
        format: its display format: count, money, percent or number.
        value: None for a ratio with nothing to divide by.
        target: from the company-wide column ``target_NAME`` of the targets; None if there is none.
    """

    month: dt.date
    measure: str
    title: str
    format: str
    value: Decimal | None
    target: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """The outcome of one file of the inbox: rows = accepted + rejected + superseded + totals.

    Attributes:
        feed: None if no feed fits.
        reason: why it was refused, or a remark about it.
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
class CompanyResult:
    """The outcome of a sync for one company of a group.

    Attributes:
        status: failed: its figures are still those of the previous run; removed: the rules no longer declare it.
        message: the reason for a failure, and the remedy.
    """

    company: str
    status: Literal["published", "unchanged", "dry-run", "failed", "removed"]
    currency: str = ""
    exports: int = 0
    rejected: int = 0
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SyncResult:
    """The outcome of a sync.

    Attributes:
        status: published; unchanged (nothing was new, nothing was written); dry-run.
        published: rows written by table.
        months: by month and source, against target, oldest first.
        timings: seconds of each step: land, type, compute, check, publish.
        companies: of a group; the months are then empty, because currencies cannot be added.
        measures: the company's own measures by month, oldest first.
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
    companies: tuple[CompanyResult, ...] = ()
    measures: tuple[MeasureLine, ...] = ()
