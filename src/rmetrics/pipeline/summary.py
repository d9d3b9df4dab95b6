"""What a sync tells of itself: files, companies, findings, months and own measures. It loads neither engine."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from rmetrics.findings import Finding
from rmetrics.month_line import MonthLine


@dataclass(frozen=True, slots=True)
class MeasureLine:
    """A measure of the company's own in one month, all sources together, against its target.

    Attributes:
        format: how it is shown: count, money, percent or number.
        value: None: a ratio with nothing to divide by.
        target: the column ``target_NAME`` of the targets, of the whole company; None where there is none.
    """

    month: dt.date
    measure: str
    title: str
    format: str
    value: Decimal | None
    target: Decimal | None = None


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
class CompanyResult:
    """What a sync did for one company of a group.

    Attributes:
        status: failed: its figures are those of the run before; removed: the rules no longer declare it.
        message: why it failed, and what to do.
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
    """What a sync did.

    Attributes:
        status: published; unchanged (nothing was new, nothing was written); dry-run.
        published: rows written by table.
        months: by month and source, against target, oldest first.
        timings: seconds of each step: land, type, compute, check, publish.
        companies: of a group; then the months are those of no company, for currencies are not added up.
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
