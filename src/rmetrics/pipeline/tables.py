"""Which file of the lake a published table is made from."""

import polars as pl

from rmetrics.lake import Lake
from rmetrics.pipeline.compute import FACTS
from rmetrics.rules.validate import JOBS
from rmetrics.tables import DAILY, MONTHLY, PgTable


def table_rows(lake: Lake, table: PgTable) -> pl.LazyFrame:
    """The rows a published table must hold."""
    if table.name in (DAILY, MONTHLY):
        path = lake.metrics_path(table.name)
    elif table.name == JOBS:
        path = lake.metrics_path(FACTS)
    else:
        path = lake.current_path(table.name)
    return pl.scan_parquet(path, glob=False)
