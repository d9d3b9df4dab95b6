"""The touch that each job came from.

A touch and a job may match in four ways; the first that applies counts (``STEPS``). A job has at most one touch; a
touch may have several jobs.

Source: the design, section 7, and its notes on journeys.
"""

from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE, SOURCE, creation_day
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.metrics.touches import TOUCH, ZIP, evidence, phone_column, touch_keys, zip_of
from rmetrics.money import cents
from rmetrics.positions import POSITION
from rmetrics.rules.journeys import SHARED_WITHIN
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS

STEPS = {1: "uuid", 2: "phone", 3: "phone-other-source", 4: "phone-zip"}
MATCHES = {
    POSITION: pl.Int64(),
    JOB_ID: pl.String(),
    TOUCH: pl.String(),
    "matched_by": pl.String(),
    "source_matched": pl.String(),
}


_OF_KEYS = (TOUCH, "feed", "source", "touch_at", "timed", "touch_date", ZIP, "window", KEY)


@dataclass(frozen=True, slots=True)
class ByNumber:
    """Touches and jobs by their numbers.

    Attributes:
        touches: one row per touch.
        touch_keys: one row per touch and number: the columns ``_OF_KEYS`` and ``shared``.
        jobs: one row per job: job_id, POSITION, source, ``job_day``, ``zip`` and its facts.
        job_keys: one row per job and number, of jobs with a day.
        links: touch_id, job_id: the jobs named by a touch's own row or by a call that is evidence for it.
        call_evidence: touch_id, answered: of touches with calls as evidence.
    """

    touches: pl.LazyFrame
    touch_keys: pl.LazyFrame
    jobs: pl.LazyFrame
    job_keys: pl.LazyFrame
    links: pl.LazyFrame
    call_evidence: pl.LazyFrame


def followed_jobs(facts: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the columns of jobs that matching and journeys need.

    Args:
        facts: job facts with the columns of their feed, and ``POSITION``.
        rules: which columns hold the number and the postal code.

    Returns:
        One row per job: POSITION, job_id, source, metric_date, is_unit, is_repair, paid_cents, ``job_day`` (null if the
        job has none), zip, and ``phone`` (the cell).
    """
    feed = rules.feeds[JOBS]
    phone = phone_column(feed)
    return facts.select(
        POSITION,
        JOB_ID,
        SOURCE,
        METRIC_DATE,
        "is_unit",
        "is_repair",
        cents(pl.col("paid")).alias("paid_cents"),
        creation_day(rules).alias("job_day"),
        zip_of(feed).alias(ZIP),
        (pl.lit(None, dtype=pl.String) if phone is None else pl.col(phone)).alias("phone"),
    )


def numbers(touches: pl.LazyFrame, jobs: pl.LazyFrame, calls: pl.LazyFrame | None, rules: Rules) -> ByNumber:
    """Prepares touches and jobs for matching; all rows that may match each other must be present.

    Args:
        touches: ``touches.touches``.
        jobs: ``followed_jobs``.
        calls: rows of the calls feed; None without one.
        rules: journeys, in force on the day of the touch and of the job.
    """
    own = in_force(rules.journeys.common, pl.col("job_day"), lambda j: pl.col(KEY).is_in(list(j.own_numbers)))
    job_keys = (
        keyed(jobs.filter(pl.col("job_day").is_not_null()), "phone")
        .filter(~own)
        .select(JOB_ID, SOURCE, "job_day", ZIP, KEY)
    )
    keys = touch_keys(touches, rules)
    call_evidence = evidence(keys, calls, rules)
    named = pl.concat([touches.select(TOUCH, JOB_ID), call_evidence.select(TOUCH, JOB_ID)]).drop_nulls(JOB_ID).unique()
    return ByNumber(
        touches=touches,
        touch_keys=with_shared(keys.select(*_OF_KEYS), job_keys, rules, day="touch_date"),
        jobs=jobs.drop("phone"),
        job_keys=job_keys,
        links=named.join(jobs.select(JOB_ID), on=JOB_ID, how="semi"),
        call_evidence=call_evidence.drop_nulls("answered").group_by(TOUCH).agg(pl.col("answered").any()),
    )


def with_shared(keys: pl.LazyFrame, job_keys: pl.LazyFrame, rules: Rules, *, day: str) -> pl.LazyFrame:
    """Adds ``shared``: whether the number is declared shared, or is on too many jobs within a year.

    Args:
        keys: rows with a number.
        job_keys: one row per job and number, with ``job_day``; must include all jobs of these numbers.
        rules: journeys, in force on the rows' day.
        day: the column of that day.
    """
    limits = list(rules.journeys.limits())
    many = job_keys.group_by(KEY).len().filter(pl.col("len") > min(limits))  # few, so only these have to be sorted
    # A number with more than n jobs within a year has a job whose n-th successor lies within a year of it.
    often = (
        job_keys.select(KEY, "job_day")
        .join(many, on=KEY, how="semi")
        .sort(KEY, "job_day")
        .group_by(KEY)
        .agg(
            (pl.col("job_day").shift(-n) - pl.col("job_day") < pl.duration(days=SHARED_WITHIN)).any().alias(f"_over{n}")
            for n in limits
        )
        .filter(pl.any_horizontal(pl.col(f"_over{n}") for n in limits))
    )
    declared = in_force(
        rules.journeys.common,
        pl.col(day),
        lambda j: pl.col(KEY).is_in(list(j.shared_numbers)) | pl.col(f"_over{j.shared_when}").fill_null(value=False),
    )
    joined = keys.join(often, on=KEY, how="left").with_columns(declared.alias("shared"))
    return joined.drop(f"_over{n}" for n in limits)


def pairs(of: ByNumber) -> pl.LazyFrame:
    """Returns every touch and job that may match, with the first step that applies.

    Returns:
        One row per pair: job_id, touch_id, step, days (from the touch to the job; null if the job has no day).
    """
    job = of.jobs.select(JOB_ID, "job_day")
    days = (pl.col("job_day") - pl.col("touch_date")).dt.total_days()
    linked = (
        of.links.join(of.touches.select(TOUCH, "touch_date"), on=TOUCH)
        .join(job, on=JOB_ID)
        .filter(pl.col("job_day").is_null() | (pl.col("job_day") >= pl.col("touch_date")))
        .select(JOB_ID, TOUCH, pl.lit(1, dtype=pl.Int8).alias("step"), days.alias("days"))
    )
    columns = (TOUCH, "source", "touch_date", "window", ZIP, KEY)
    unshared = of.touch_keys.filter(~pl.col("shared")).select(columns).join(of.job_keys, on=KEY, suffix="_job")
    with_zip = of.touch_keys.filter(pl.col("shared")).select(columns).join(of.job_keys, on=[KEY, ZIP], suffix="_job")
    inside = days.is_between(0, pl.col("window"))
    same = pl.when(pl.col("source") == pl.col(f"{SOURCE}_job")).then(2).otherwise(3)
    called = unshared.filter(inside).select(JOB_ID, TOUCH, same.cast(pl.Int8).alias("step"), days.alias("days"))
    zipped = with_zip.filter(inside).select(JOB_ID, TOUCH, pl.lit(4, dtype=pl.Int8).alias("step"), days.alias("days"))
    every = pl.concat([linked, called, zipped])
    return every.group_by(JOB_ID, TOUCH).agg(pl.col("step").min(), pl.col("days").first())


def matches(of: ByNumber, found: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the touch that each job came from.

    Args:
        of: touches and jobs.
        found: ``pairs`` of them.
        rules: first or last touch, in force on the job's day.

    Returns:
        The columns ``MATCHES``, one row per job that has a touch. Of several touches the lowest step wins, then the
        first or last by time, then the order of sources in the rules, then the touch's id.
    """
    last = in_force(rules.journeys.common, pl.col("job_day"), lambda j: pl.lit(j.touch == "last"))
    at = pl.col("touch_at").dt.epoch("us")
    turn = ["step", "_at", "order", TOUCH]
    return (
        found.join(of.touches.select(TOUCH, "touch_at", "order", "source"), on=TOUCH)
        .join(of.jobs.select(JOB_ID, POSITION, "job_day"), on=JOB_ID)
        .with_columns(pl.when(last).then(-at).otherwise(at).alias("_at"))
        .group_by(JOB_ID)
        .agg(pl.col(c).sort_by(turn).first() for c in (POSITION, TOUCH, "step", "source"))
        .select(
            POSITION,
            JOB_ID,
            TOUCH,
            pl.col("step").replace_strict(STEPS, return_dtype=pl.String).alias("matched_by"),
            pl.col("source").alias("source_matched"),
        )
    )


__all__ = ["MATCHES", "STEPS", "ByNumber", "followed_jobs", "matches", "numbers", "pairs", "with_shared"]
