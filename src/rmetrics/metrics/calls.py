"""Calls: which source each came from."""

import polars as pl

from rmetrics.metrics.newest import in_force
from rmetrics.rules.conditions import is_true
from rmetrics.rules.model import Calls, Rules
from rmetrics.rules.validate import CALLS


def with_call_sources(calls: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Adds ``source``: the name of the first ``[[calls.sources]]`` condition that holds, null where none does.

    Args:
        calls: one row per call_id; dated changes of the rules apply by its business date.
        rules: the calls rules.
    """
    day = pl.col(rules.feeds[CALLS].business_date)
    return calls.with_columns(in_force(rules.calls, day, _first).alias("source"))


def _first(calls: Calls) -> pl.Expr:
    result = pl.lit(None, dtype=pl.String)
    for label in reversed(calls.sources):
        result = pl.when(is_true(label.where)).then(pl.lit(label.name)).otherwise(result)
    return result
