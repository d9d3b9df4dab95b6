"""Targets: sources by their declared names, one row per month, source and segment."""

import polars as pl

from rmetrics.metrics.jobs import declared_names, normal
from rmetrics.positions import FILE, LINE
from rmetrics.rules.model import ALL, Rules
from rmetrics.rules.names import normal_source

KEY = ("month", "source", "segment")


def with_declared_sources(targets: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns targets keyed by declared source names.

    Args:
        targets: one row per (month, source, segment) as exported; ALL means the total.
        rules: the sources and their aliases.

    Returns:
        One row per (month, source, segment); if two spellings of one source have a target, the newest line's wins.
    """
    names = {**declared_names(rules), normal_source(ALL): ALL}
    source = normal(pl.col("source")).replace_strict(
        list(names), list(names.values()), default=None, return_dtype=pl.String
    )
    segments = {normal_source(s): s for s in (*rules.segment_order, ALL)}
    segment = normal(pl.col("segment")).replace_strict(
        list(segments), list(segments.values()), default=None, return_dtype=pl.String
    )
    named = targets.with_columns(
        pl.coalesce(source, "source").alias("source"), pl.coalesce(segment, "segment").alias("segment")
    )
    rest = [n for n in named.collect_schema().names() if n not in KEY]
    return named.group_by(KEY).agg(pl.col(n).sort_by(FILE, LINE).last() for n in rest)
