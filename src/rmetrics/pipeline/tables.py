"""Which files of the lake a published table is made from, month by month."""

import datetime as dt
from pathlib import Path

import polars as pl

from rmetrics.lake import Lake, file_digest
from rmetrics.parts import NO_DATE, Content, Part, month_of
from rmetrics.pipeline.compute import FACTS
from rmetrics.rules.validate import JOBS
from rmetrics.tables import DAILY, MONTHLY, PgTable


def table_rows(lake: Lake, table: PgTable) -> pl.LazyFrame:
    """The rows a published table must hold."""
    return pl.scan_parquet(_path(lake, table), glob=False)


def table_content(lake: Lake, table: PgTable) -> Content:
    """The rows a published table must hold, by month."""
    path = _path(lake, table)
    rows, identity = pl.scan_parquet(path, glob=False), file_digest(path)
    if table.part is None:
        return Content(table, {NO_DATE: Part(rows, identity)})
    months: list[dt.date] = rows.select(month_of(table)).unique().collect(engine="streaming").to_series().to_list()
    return Content(table, {m: Part(rows.filter(month_of(table) == m), identity) for m in months})


def _path(lake: Lake, table: PgTable) -> Path:
    if table.name in (DAILY, MONTHLY):
        return lake.metrics_path(table.name)
    if table.name == JOBS:
        return lake.metrics_path(FACTS)
    return lake.current_path(table.name)
