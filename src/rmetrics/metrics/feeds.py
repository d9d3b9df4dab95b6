"""The rows of a feed as they are kept: the newest version of each, with what the rules make of a row by itself."""

import polars as pl

from rmetrics.metrics.calls import with_call_sources
from rmetrics.metrics.newest import feed_rows
from rmetrics.metrics.targets import with_declared_sources
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS, TARGETS


def kept_rows(newest: pl.LazyFrame, rules: Rules, name: str) -> pl.LazyFrame:
    """The rows of a feed with all columns but ``job_id``, which ``jobs.linked`` adds.

    Args:
        newest: one row per key (``newest.newest_rows``).
        rules: in force.
        name: the feed.

    Returns:
        The rows as ``newest.feed_rows`` gives them; calls with their source, targets by declared names.
    """
    rows = feed_rows(newest, rules.feeds[name], rules.feed_where[name], rules.business.timezone)
    if name == CALLS:
        return with_call_sources(rows, rules)
    return with_declared_sources(rows, rules) if name == TARGETS else rows
