"""Months and sources against their targets, and the company's own measures: the lines that a run prints."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from rmetrics.metrics.dimensions import totals
from rmetrics.metrics.figures import quotient
from rmetrics.month_line import MonthLine
from rmetrics.pipeline.compute.local import measure_tally
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.summary import MeasureLine
from rmetrics.rules.measures import declared, shown_format
from rmetrics.rules.model import ALL
from rmetrics.rules.names import TARGETS
from rmetrics.tables import MONTHLY


def month_lines(rows: Rows) -> tuple[MonthLine, ...]:
    """Returns each month by source and in total, against target."""
    monthly = rows.scan(MONTHLY).collect()
    measures = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
    by_source = monthly.group_by("month", "source").agg(pl.col(m).sum() for m in measures)
    company = (
        monthly.group_by("month").agg(pl.col(m).sum() for m in measures).with_columns(pl.lit("ALL").alias("source"))
    )
    lines = pl.concat([by_source, company.select(by_source.columns)])
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
    """Returns each month's totals of the company's own measures against target; ratios of the month's sums."""
    own = [n for n, m in declared(rows.rules).items() if m.own]
    if not own:
        return ()
    measures = declared(rows.rules)
    found = totals(rows.scan(MONTHLY), measure_tally(rows), rows.rules).collect()
    sums = {(month, name): value for month, name, value in found.select("month", "measure", "value").iter_rows()}
    targets = _own_targets(rows, own)
    lines = []
    for month in sorted({m for m, _ in sums}):
        for name in own:
            above, below = measures[name].latest.ratio or (name, None)
            value: Decimal | None = sums.get((month, above), Decimal(0))
            if below is not None:
                value = quotient(sums.get((month, above), Decimal(0)), sums.get((month, below), Decimal(0)))
            shown = shown_format(measures[name], rows.rules)
            lines.append(MeasureLine(month, name, measures[name].title, shown, value, targets.get((month, name))))
    return tuple(lines)


def _own_targets(rows: Rows, own: Sequence[str]) -> dict[tuple[dt.date, str], Decimal]:
    """Returns the company-wide targets for own measures: the columns ``target_NAME`` of the targets feed."""
    if TARGETS not in rows.rules.feeds:
        return {}
    company = rows.scan(TARGETS).filter((pl.col("segment") == ALL) & (pl.col("source") == ALL)).collect()
    columns = [n for n in own if f"target_{n}" in company.columns]
    return {
        (row["month"], n): Decimal(str(row[f"target_{n}"]))
        for row in company.iter_rows(named=True)
        for n in columns
        if row[f"target_{n}"] is not None
    }
