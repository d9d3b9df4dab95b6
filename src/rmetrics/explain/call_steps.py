"""The funnel of a source's calls, shown in addition to its figures."""

import polars as pl

from rmetrics.explain.asked import Query
from rmetrics.explain.evidence import Frames
from rmetrics.explain.explanation import Step
from rmetrics.rules import Rules


def call_steps(asked: Query, frames: Frames, rules: Rules) -> tuple[Step, ...]:
    """Returns the numbers of a source's calls and of their jobs, units and repairs; empty if there are no calls."""
    if "calls" not in frames.feeds:
        return ()
    feed = rules.feeds["calls"]
    day = pl.col(feed.business_date)
    rows = frames.feeds["calls"].filter(pl.col("counted") & asked.of(pl.col("source")) & asked.within(day))
    if asked.day is not None:
        rows = rows.filter(asked.on(day))
    names = rows.collect_schema().names()
    inbound = pl.col("direction") == "inbound" if "direction" in names else pl.lit(value=True)
    answered = pl.col("answered") if "answered" in names else pl.lit(None, dtype=pl.Boolean)
    if "job_id" not in names:
        rows = rows.with_columns(pl.lit(None, dtype=pl.String).alias("job_id"))
    facts = frames.facts.select("job_id", "is_unit", "is_repair")
    job = pl.col("job_id")
    counts = (
        rows.join(facts, on="job_id", how="left")
        .select(
            pl.len().alias("calls"),
            inbound.sum().alias("inbound"),
            (inbound & answered).sum().alias("answered"),
            (inbound & ~answered).sum().alias("missed"),
            job.count().alias("linked to a job"),
            job.drop_nulls().n_unique().alias("jobs"),
            job.filter(pl.col("is_unit")).n_unique().alias("units"),
            job.filter(pl.col("is_repair")).n_unique().alias("repairs"),
        )
        .collect()
    )
    row = counts.row(0, named=True)
    return tuple(Step(name, int(n)) for name, n in row.items()) if row["calls"] else ()


__all__ = ["call_steps"]
