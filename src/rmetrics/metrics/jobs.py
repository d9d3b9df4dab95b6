"""Job facts: each job once, with what was paid, its source, segment and whether it is a unit or a repair."""

import polars as pl

from rmetrics.metrics.newest import COUNTED, in_force
from rmetrics.money import DOLLARS
from rmetrics.rules.conditions import is_true
from rmetrics.rules.model import ALL, OTHER, UNATTRIBUTED, ColumnType, Feed, JobLink, Jobs, Rules
from rmetrics.rules.validate import JOBS, normal_source

JOB_ID, METRIC_DATE, SOURCE, SEGMENT = "job_id", "metric_date", "source", "segment"


def linked(rows: pl.LazyFrame, jobs: pl.LazyFrame, link: JobLink) -> pl.LazyFrame:
    """Adds ``job_id``, the job a row names, or null where no job has that name.

    Args:
        rows: any rows with ``link.column``.
        jobs: one row per job_id, with the columns of ``link.match``.
        link: the column that names the job, and the job columns it is looked up in, in order.

    Returns:
        The same rows, one for one. Where two jobs share a value, the lower job_id is taken.
    """
    found = []
    for i, column in enumerate(link.match):
        name = f"_job{i}"
        names = jobs.select(pl.col(column).alias("_name"), pl.col(JOB_ID).alias(name)).drop_nulls("_name")
        lookup = names if column == JOB_ID else names.group_by("_name").agg(pl.col(name).min())
        rows = rows.join(lookup, left_on=link.column, right_on="_name", how="left")
        found.append(name)
    return rows.with_columns(pl.coalesce(found).alias(JOB_ID)).drop(found)


def paid_by_job(payments: pl.LazyFrame) -> pl.LazyFrame:
    """What each job was paid, whenever it was paid.

    Args:
        payments: one row per payment: job_id (null = no known job), amount, counted.

    Returns:
        One row per job_id: paid (dollars).
    """
    return (
        payments.filter(pl.col(COUNTED) & pl.col(JOB_ID).is_not_null())
        .group_by(JOB_ID)
        .agg(pl.col("amount").sum().cast(DOLLARS).alias("paid"))
    )


def job_facts(jobs: pl.LazyFrame, payments: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Jobs with what the rules make of them.

    Args:
        jobs: one row per job_id (``newest.feed_rows``).
        payments: one row per payment, linked to jobs (``linked``).
        rules: jobs and sources in force; dated changes apply by the job's own metric date.

    Returns:
        One row per job_id that counts: the job's columns and metric_date (null = not counted in any day), paid (0
        where nothing was paid), source and segment (never null), is_unit, is_repair.

    Source: the design, section 3: Job, Unit / repair / segment, Source.
    """
    feed = rules.feeds[JOBS]
    dated = jobs.filter(pl.col(COUNTED)).with_columns(
        pl.coalesce(
            _day(rules.jobs.latest.date, feed, rules.business.timezone),
            _day("created_at", feed, rules.business.timezone),
        ).alias(METRIC_DATE)
    )
    with_paid = dated.join(paid_by_job(payments), on=JOB_ID, how="left").with_columns(
        pl.col("paid").fill_null(pl.lit(0).cast(DOLLARS))
    )
    day = pl.col(METRIC_DATE)
    return with_sources(with_paid, rules).with_columns(
        in_force(rules.jobs, day, lambda j: is_true(j.unit)).alias("is_unit"),
        in_force(rules.jobs, day, lambda j: is_true(j.repair)).alias("is_repair"),
        in_force(rules.jobs, day, _segment).alias(SEGMENT),
    )


def _day(column: str, feed: Feed, zone: str) -> pl.Expr:
    if feed.columns[column].type is ColumnType.TIMESTAMP:
        return pl.col(column).dt.convert_time_zone(zone).dt.date()
    return pl.col(column)


def _segment(jobs: Jobs) -> pl.Expr:
    """The first segment whose condition holds."""
    result = pl.lit(OTHER)
    for segment in reversed(jobs.segments):
        result = pl.when(is_true(segment.where)).then(pl.lit(segment.name)).otherwise(result)
    return result


def with_sources(jobs: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Adds ``source``: the declared name, Unattributed for a blank, or the export's own spelling.

    Spellings of an undeclared name that differ only in case or spaces take the one of the earliest job (then of the
    lowest job number), so the order of files and rows does not matter.
    """
    names = declared_names(rules)
    raw = pl.col("source_raw")
    jobs = jobs.with_columns(
        normal(raw)
        .replace_strict(list(names), list(names.values()), default=None, return_dtype=pl.String)
        .alias("_known"),
        raw.str.to_lowercase().str.replace_all(r"\s+", "").alias("_fold"),
    )
    own = (
        jobs.filter(pl.col("_known").is_null() & raw.is_not_null())
        .group_by("_fold")
        .agg(raw.sort_by(METRIC_DATE, pl.col(JOB_ID).str.len_chars(), JOB_ID, nulls_last=True).first().alias("_own"))
        .with_columns(pl.col("_own").str.strip_chars().replace({ALL: ALL.capitalize()}))
    )
    return (
        jobs.join(own, on="_fold", how="left")
        .with_columns(pl.coalesce("_known", "_own", pl.lit(UNATTRIBUTED)).alias(SOURCE))
        .drop("_known", "_fold", "_own")
    )


def normal(name: pl.Expr) -> pl.Expr:
    """A source's spelling as it is compared; the column form of ``normal_source``."""
    return name.str.to_lowercase().str.replace_all(r"[\s\-]+", "")


def declared_names(rules: Rules) -> dict[str, str]:
    """Every normal spelling of every declared source to its name; Unattributed too."""
    names = {normal_source(UNATTRIBUTED): UNATTRIBUTED}
    for name, source in rules.sources.items():
        names |= {normal_source(s): name for s in (name, *source.latest.aliases)}
    return names


def daily_jobs(facts: pl.LazyFrame) -> pl.LazyFrame:
    """Jobs, units and repairs per business day, source and segment.

    Args:
        facts: ``job_facts``; jobs without a metric date are left out.

    Returns:
        One row per (date, source, segment): jobs, units, repairs (Int64).
    """
    return (
        facts.filter(pl.col(METRIC_DATE).is_not_null())
        .group_by(pl.col(METRIC_DATE).alias("date"), SOURCE, SEGMENT)
        .agg(
            pl.len().cast(pl.Int64).alias("jobs"),
            pl.col("is_unit").sum().cast(pl.Int64).alias("units"),
            pl.col("is_repair").sum().cast(pl.Int64).alias("repairs"),
        )
    )
