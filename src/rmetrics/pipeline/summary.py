"""A run in a few lines: files, findings, and months and sources against their targets."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import polars as pl

from rmetrics.findings import Finding
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.rules.names import TARGETS
from rmetrics.tables import MONTHLY


@dataclass(frozen=True, slots=True)
class MonthLine:
    """One source in one month against its target; source ALL is the whole company."""

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


def month_lines(rows: Rows) -> tuple[MonthLine, ...]:
    """Each month by source and in all, against target."""
    monthly = rows.scan(MONTHLY).collect()
    measures = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
    by_source = monthly.group_by("month", "source").agg(pl.col(m).sum() for m in measures)
    whole = monthly.group_by("month").agg(pl.col(m).sum() for m in measures).with_columns(pl.lit("ALL").alias("source"))
    lines = pl.concat([by_source, whole.select(by_source.columns)])
    columns = ("target_repairs", "target_revenue40", "target_conv_l2r", "target_cpl_max")
    if TARGETS in rows.rules.feeds:
        targets = rows.scan(TARGETS).filter(pl.col("segment") == "ALL").collect()
        lines = lines.join(
            targets.select("month", "source", *(c for c in columns if c in targets.columns)),
            on=["month", "source"],
            how="left",
        )
    lines = lines.sort("month", pl.col("source") != "ALL", "source")
    return tuple(
        MonthLine(**{k: v for k, v in row.items() if k in MonthLine.__slots__}) for row in lines.iter_rows(named=True)
    )
