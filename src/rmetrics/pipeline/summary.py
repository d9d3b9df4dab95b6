"""A run in a few lines: files, findings, and months and sources against their targets."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import polars as pl

from rmetrics.figures import MonthLine
from rmetrics.findings import Finding
from rmetrics.metrics.dimensions import totals
from rmetrics.pipeline.compute.local import stored_tallies
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.rules.measures import declared, shown_format
from rmetrics.rules.model import ALL
from rmetrics.rules.names import TARGETS
from rmetrics.tables import MONTHLY


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
class SyncResult:
    """What a sync did.

    Attributes:
        status: published; unchanged (nothing was new, nothing was written); dry-run.
        published: rows written by table.
        months: by month and source, against target, oldest first.
        timings: seconds of each step: land, type, compute, check, publish.
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
    measures: tuple[MeasureLine, ...] = ()


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


def measure_lines(rows: Rows) -> tuple[MeasureLine, ...]:
    """The company's own measures, each month in all, against target; ratios from the sums of the month."""
    own = [n for n, m in declared(rows.rules).items() if m.own]
    if not own:
        return ()
    measures = declared(rows.rules)
    tally = stored_tallies(rows.snapshot).measures
    found = totals(rows.scan(MONTHLY), tally, rows.rules).collect()
    sums = {(month, name): value for month, name, value in found.select("month", "measure", "value").iter_rows()}
    targets = _own_targets(rows, own)
    lines = []
    for month in sorted({m for m, _ in sums}):
        for name in own:
            above, below = measures[name].latest.ratio or (name, None)
            value = sums.get((month, above), Decimal(0))
            if below is not None:
                under = sums.get((month, below), Decimal(0))
                value = value / under if under else None
            shown = shown_format(measures[name], rows.rules)
            lines.append(MeasureLine(month, name, measures[name].title, shown, value, targets.get((month, name))))
    return tuple(lines)


def _own_targets(rows: Rows, own: Sequence[str]) -> dict[tuple[dt.date, str], Decimal]:
    """The targets of the whole company for own measures: the columns ``target_NAME`` of the targets' feed."""
    if TARGETS not in rows.rules.feeds:
        return {}
    whole = rows.scan(TARGETS).filter((pl.col("segment") == ALL) & (pl.col("source") == ALL)).collect()
    columns = [n for n in own if f"target_{n}" in whole.columns]
    return {
        (row["month"], n): Decimal(str(row[f"target_{n}"]))
        for row in whole.iter_rows(named=True)
        for n in columns
        if row[f"target_{n}"] is not None
    }
