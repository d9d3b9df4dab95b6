"""The kept rows of a feed: the newest version of each, with everything the rules derive from the row alone."""

import polars as pl

from rmetrics.metrics.calls import with_call_sources
from rmetrics.metrics.newest import feed_rows
from rmetrics.metrics.targets import with_declared_sources
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS, TARGETS


def kept_rows(newest: pl.LazyFrame, rules: Rules, name: str) -> pl.LazyFrame:
    """Returns the rows of a feed with all columns except ``job_id``, which ``jobs.linked`` adds.

    Args:
        newest: one row per key (``newest.newest_rows``).
        rules: in force.
        name: the feed.

    Returns:
        The rows in the form of ``newest.feed_rows``; calls with their source, targets with declared source names.
    """
    rows = feed_rows(newest, rules.feeds[name], rules.feed_where[name], rules.business.timezone)
    if name == CALLS:
        return with_call_sources(rows, rules)
    return with_declared_sources(rows, rules) if name == TARGETS else rows
