"""Jobs that change hands: those whose touch differs from before."""

import polars as pl

from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE
from rmetrics.metrics.touches import TOUCH
from rmetrics.pipeline.compute.names import FACTS, MATCHES
from rmetrics.pipeline.compute.rows import Rows


def reassigned_jobs(before: Rows | None, after: Rows) -> pl.DataFrame:
    """Returns the jobs whose touch changed, came or went.

    Args:
        before: the earlier computation; if None, or without journeys, there are no such jobs.
        after: the later one.

    Returns:
        One row per job that is in both, by job_id: its month (NULL without a day), paid, and touch_id, matched_by,
        source_matched of both sides, the earlier ones with suffix ``_before``; NULL if it has no touch.
    """
    schema = {"month": pl.Date(), "paid": pl.Decimal(18, 2)}
    none = pl.DataFrame(schema={JOB_ID: pl.String(), **schema})
    if before is None or not before.snapshot.has(MATCHES):
        return none
    if before.snapshot.same_files(after.snapshot, (FACTS, MATCHES)):
        return none
    of = (TOUCH, "matched_by", "source_matched")
    jobs = after.snapshot.scan(FACTS).select(JOB_ID, pl.col(METRIC_DATE).dt.month_start().alias("month"), "paid")
    known_jobs = before.snapshot.scan(FACTS).select(JOB_ID)
    now, was = (r.snapshot.scan(MATCHES).select(JOB_ID, *of) for r in (after, before))
    return (
        jobs.join(known_jobs, on=JOB_ID, how="semi")
        .join(was.rename({c: f"{c}_before" for c in of}), on=JOB_ID, how="left")
        .join(now, on=JOB_ID, how="left")
        .filter(pl.col(TOUCH).ne_missing(pl.col(f"{TOUCH}_before")))
        .sort(pl.col(JOB_ID).str.len_chars(), JOB_ID)
        .collect(engine="streaming")
    )


__all__ = ["reassigned_jobs"]
