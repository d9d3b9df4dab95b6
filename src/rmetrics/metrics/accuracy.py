"""Accuracy of matching by number, measured on calls whose job the CRM names.

It decides no journey; it is printed next to the journeys.
"""

from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.matches import ByNumber
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.metrics.touches import inbound, phone_column
from rmetrics.positions import COUNTED, POSITION
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Hits and misses of matching by number alone, for calls whose known job was created that day or later.

    Attributes:
        right: calls matched to the job that the CRM names.
        wrong: calls matched to another job.
        missed: calls matched to no job.
    """

    right: int
    wrong: int
    missed: int

    @property
    def known(self) -> int:
        """Number of calls compared."""
        return self.right + self.wrong + self.missed


def accuracy(of: ByNumber, calls: pl.LazyFrame | None, rules: Rules, window: int) -> Accuracy | None:
    """Matches inbound calls with a known job by their number alone and counts the hits.

    Args:
        of: all jobs and their numbers.
        calls: rows of the calls feed; None without one.
        rules: which column holds the caller's number.
        window: number of days after the call within which a job may be created.

    Returns:
        None if no call names a job.
    """
    if calls is None or rules.feeds[CALLS].job is None or (phone := phone_column(rules.feeds[CALLS])) is None:
        return None
    feed = rules.feeds[CALLS]
    day = pl.col(feed.business_date)
    jobs = of.jobs.select(pl.col(JOB_ID).alias("_job"), pl.col("job_day").alias("_day"))
    own = {n for _, common in rules.journeys.common.versions for n in common.own_numbers}
    known = (
        calls.filter(pl.col(COUNTED) & inbound(feed) & pl.col(JOB_ID).is_not_null() & day.is_not_null())
        .select(POSITION, pl.col(JOB_ID).alias("_job"), day.alias("_called"), pl.col(phone).alias("phone"))
        .join(jobs, on="_job")
        .filter(pl.col("_day") >= pl.col("_called"))
    )
    later = (pl.col("job_day") - pl.col("_called")).dt.total_days()
    first = ["job_day", pl.col(JOB_ID).str.len_chars(), JOB_ID]
    guessed = (
        keyed(known, "phone")
        .filter(~pl.col(KEY).is_in(sorted(own)))
        .join(of.job_keys, on=KEY)
        .filter(later.is_between(0, window))
        .group_by(POSITION)
        .agg(pl.col(JOB_ID).sort_by(first).first().alias("_guess"))
    )
    found = known.join(guessed, on=POSITION, how="left").select(
        (pl.col("_guess") == pl.col("_job")).sum().alias("right"),
        (pl.col("_guess") != pl.col("_job")).sum().alias("wrong"),
        pl.col("_guess").is_null().sum().alias("missed"),
    )
    right, wrong, missed = found.collect(engine="streaming").row(0)
    return Accuracy(right, wrong, missed) if right + wrong + missed else None


__all__ = ["Accuracy", "accuracy"]
