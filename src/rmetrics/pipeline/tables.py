"""Which table of the lake a published table is made from."""

import polars as pl

from rmetrics.lake import Lake
from rmetrics.pipeline.parts import FACTS
from rmetrics.rules.validate import JOBS
from rmetrics.snapshot import load
from rmetrics.tables import PgTable


def table_rows(lake: Lake, table: PgTable) -> pl.LazyFrame:
    """The rows a published table must hold."""
    return load(lake).scan(FACTS if table.name == JOBS else table.name)
