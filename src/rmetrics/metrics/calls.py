"""Calls: the source of each."""

import polars as pl

from rmetrics.metrics.newest import in_force
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.model import Calls, Rules
from rmetrics.rules.names import CALLS
from rmetrics.rules.rows import feed_row


def with_call_sources(calls: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Adds ``source``: the name of the first ``[[calls.sources]]`` condition that holds, null if none does.

    Args:
        calls: one row per call_id; dated changes of the rules apply by its business date.
        rules: the calls rules.
    """
    feed = rules.feeds[CALLS]
    row = feed_row(feed, rules.business.timezone)
    source = in_force(rules.calls, pl.col(feed.business_date), lambda c: _first(c, row))
    return calls.with_columns(source.alias("source"))


def _first(calls: Calls, row: Row) -> pl.Expr:
    result = pl.lit(None, dtype=pl.String)
    for label in reversed(calls.sources):
        result = pl.when(is_true(label.where, row)).then(pl.lit(label.name)).otherwise(result)
    return result
