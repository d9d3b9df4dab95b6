"""Job facts: each job once, with the amount paid, its source and segment, and whether it is a unit or a repair."""

import datetime as dt
import re
from collections.abc import Sequence

import polars as pl

from rmetrics.metrics.newest import in_force
from rmetrics.money import DOLLARS
from rmetrics.positions import COUNTED
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType, Feed, JobLink
from rmetrics.rules.model import ALL, OTHER, UNATTRIBUTED, Jobs, Rules
from rmetrics.rules.names import JOBS, normal_source
from rmetrics.rules.rows import job_row

JOB_ID, METRIC_DATE, SOURCE, SEGMENT = "job_id", "metric_date", "source", "segment"


def linked(rows: pl.LazyFrame, jobs: pl.LazyFrame, link: JobLink) -> pl.LazyFrame:
    """Adds ``job_id``, the job that a row names; null if no job matches.

    Args:
        rows: any rows with ``link.column``.
        jobs: one row per job_id, with the columns of ``link.match``.
        link: the column that names the job, and the job columns in which it is looked up, in order.

    Returns:
        The same rows, one for one. If two jobs share a value, the lower job_id wins.
    """
    found = []
    for i, column in enumerate(link.match):
        name = f"_job{i}"
        lookup = jobs.select(pl.col(column).alias("_name"), pl.col(JOB_ID).alias(name)).drop_nulls("_name")
        if column != JOB_ID:
            # Only few of these names are needed. Matching by hash is faster, and the join below drops false matches.
            asked = rows.select(pl.col(link.column).hash().alias("_hash")).unique()
            names = lookup.join(asked, left_on=pl.col("_name").hash(), right_on="_hash", how="semi")
            lookup = names.group_by("_name").agg(pl.col(name).min())
        rows = rows.join(lookup, left_on=link.column, right_on="_name", how="left")
        found.append(name)
    return rows.with_columns(pl.coalesce(found).alias(JOB_ID)).drop(found)


def paid_by_job(payments: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the amount paid for each job, regardless of when.

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


def job_facts(
    jobs: pl.LazyFrame, payments: pl.LazyFrame, rules: Rules, own: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """Adds the facts that the rules derive for each job.

    Args:
        jobs: one row per job_id (``newest.feed_rows``).
        payments: one row per payment, linked to jobs (``linked``); all payments of these jobs.
        rules: jobs and sources in force; dated changes apply by the job's own metric date.
        own: the names of undeclared sources (``own_names``); None if ``jobs`` are all jobs.

    Returns:
        One row per job_id that counts: the job's columns and metric_date (null = counted on no day), paid (0 without a
        payment), source and segment (never null), is_unit, is_repair.

    Source: the design, section 3: Job, Unit / repair / segment, Source.
    """
    with_paid = (
        dated_jobs(jobs, rules)
        .join(paid_by_job(payments), on=JOB_ID, how="left")
        .with_columns(pl.col("paid").fill_null(pl.lit(0).cast(DOLLARS)))
    )
    day, row = pl.col(METRIC_DATE), job_row(rules)
    return with_sources(with_paid, rules, own).with_columns(
        in_force(rules.jobs, day, lambda j: is_true(j.unit, row)).alias("is_unit"),
        in_force(rules.jobs, day, lambda j: is_true(j.repair, row)).alias("is_repair"),
        in_force(rules.jobs, day, lambda j: _segment(j, row)).alias(SEGMENT),
    )


def dated_jobs(jobs: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the jobs that count, with their metric date (null = counted on no day)."""
    return jobs.filter(pl.col(COUNTED)).with_columns(metric_date(rules).alias(METRIC_DATE))


def metric_date(rules: Rules) -> pl.Expr:
    """Metric date of a job, from its own columns."""
    feed, zone = rules.feeds[JOBS], rules.business.timezone
    return pl.coalesce(_day(rules.jobs.latest.date, feed, zone), _day("created_at", feed, zone))


def creation_day(rules: Rules) -> pl.Expr:
    """Business day on which a job was created; its metric date if that is unknown."""
    return pl.coalesce(_day("created_at", rules.feeds[JOBS], rules.business.timezone), METRIC_DATE)


def placing_day(rules: Rules, name: str) -> pl.Expr:
    """Day that places a row of a feed: its business date; for a job, its metric date."""
    return metric_date(rules) if name == JOBS else pl.col(rules.feeds[name].business_date)


def may_be_placed(rules: Rules, name: str, spans: Sequence[tuple[dt.date, dt.date]]) -> pl.Expr:
    """Condition that holds for every typed row that may fall on the given days or on none, and for few others.

    It compares typed columns with constants only, so that parts of files whose bounds exclude a match are not read.

    Args:
        rules: which columns place a row of the feed.
        name: the feed.
        spans: first and last days.
    """
    feed = rules.feeds[name]
    columns = [rules.jobs.latest.date, "created_at"] if name == JOBS else [feed.date]
    if any(column not in feed.mapped for column in columns):
        return pl.lit(value=True)
    result = pl.lit(value=True)  # for rows without a day in any column
    for column in reversed(columns):
        near = pl.any_horizontal(pl.lit(value=False), *(_about(column, feed, *span) for span in spans))
        result = near | (pl.col(column).is_null() & result)
    return result


def _about(column: str, feed: Feed, first: dt.date, last: dt.date) -> pl.Expr:
    """Condition that holds if a column falls on the given days in any time zone."""
    if feed.columns[column].type is not ColumnType.TIMESTAMP:
        return pl.col(column).is_between(first, last)
    midnight = dt.datetime(first.year, first.month, first.day, tzinfo=dt.UTC)
    days = (last - first).days
    return pl.col(column).is_between(midnight - dt.timedelta(days=1), midnight + dt.timedelta(days=days + 2))


def _day(column: str, feed: Feed, zone: str) -> pl.Expr:
    if feed.columns[column].type is ColumnType.TIMESTAMP:
        return pl.col(column).dt.convert_time_zone(zone).dt.date()
    return pl.col(column)


def _segment(jobs: Jobs, row: Row) -> pl.Expr:
    """First segment whose condition holds."""
    result = pl.lit(OTHER)
    for segment in reversed(jobs.segments):
        result = pl.when(is_true(segment.where, row)).then(pl.lit(segment.name)).otherwise(result)
    return result


def with_sources(jobs: pl.LazyFrame, rules: Rules, own: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Adds ``source``: the declared name, Unattributed for a blank, or the export's own spelling.

    Args:
        jobs: dated jobs.
        rules: the sources and their aliases.
        own: the names of undeclared sources; None derives them from these jobs.
    """
    if own is None:
        own = own_names(spellings(jobs, rules))
    return (
        jobs.with_columns(_known(rules).alias("_known"), fold().alias("_fold"))
        .join(own.select("_fold", "_own"), on="_fold", how="left")
        .with_columns(pl.coalesce("_known", "_own", pl.lit(UNATTRIBUTED)).alias(SOURCE))
        .drop("_known", "_fold", "_own")
    )


def _known(rules: Rules) -> pl.Expr:
    names = declared_names(rules)
    return normal(pl.col("source_raw")).replace_strict(
        list(names), list(names.values()), default=None, return_dtype=pl.String
    )


def fold() -> pl.Expr:
    """Form shared by all spellings of one undeclared name: ``_fold`` of ``spellings``."""
    return pl.col("source_raw").str.to_lowercase().str.replace_all(r"\s+", "")


def spellings(jobs: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the earliest spelling of each undeclared source.

    Args:
        jobs: dated jobs, or any subset of them: ``earliest`` combines the results of several subsets.
        rules: the sources and their aliases.

    Returns:
        One row per _fold (the form shared by spellings that differ only in case or spaces): source_raw of the earliest
        job, its metric_date and job_id.
    """
    return earliest(
        jobs.filter(pl.col("source_raw").is_not_null())
        .select("source_raw", METRIC_DATE, JOB_ID)
        .filter(_known(rules).is_null())
        .with_columns(fold().alias("_fold"))
    )


def earliest(all_spellings: pl.LazyFrame) -> pl.LazyFrame:
    """Reduces ``spellings`` of several subsets to one row per _fold: of the earliest job, then of the lowest number."""
    # Length before text: orders job numbers by value, without requiring that they are numeric.
    first = [pl.col(METRIC_DATE), pl.col(JOB_ID).str.len_chars(), pl.col(JOB_ID)]
    columns = ("source_raw", METRIC_DATE, JOB_ID)
    return all_spellings.group_by("_fold").agg(pl.col(n).sort_by(first, nulls_last=True).first() for n in columns)


def own_names(all_spellings: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the names of undeclared sources: the spelling of the earliest job, then of the lowest job number.

    The order of files and rows does not matter.

    Args:
        all_spellings: ``spellings`` of all jobs, in any subsets.

    Returns:
        One row per _fold: _own, the trimmed spelling.
    """
    name = pl.col("source_raw").str.strip_chars().replace({ALL: ALL.capitalize()})
    return earliest(all_spellings).select("_fold", name.alias("_own"))


def normal(name: pl.Expr) -> pl.Expr:
    """Normal form in which spellings of a source are compared; the column form of ``normal_source``."""
    return name.str.to_lowercase().str.replace_all(r"[\s\-]+", "")


def declared_names(rules: Rules) -> dict[str, str]:
    """Maps every normal spelling of every declared source, and of Unattributed, to its name."""
    names = {normal_source(UNATTRIBUTED): UNATTRIBUTED}
    for name, source in rules.sources.items():
        names |= {normal_source(s): name for s in (name, *source.latest.aliases)}
    return names


def matching_sources(name: str, sources: Sequence[str], rules: Rules) -> list[str]:
    """Returns the sources that a person may mean by a name, of those with figures or a rule; usually one.

    An exact published name means that source. Next come declared names and their aliases, then undeclared names that
    differ only in case or spaces, which are one source (``fold``), then those that also differ in hyphens.
    """
    if name in sources:
        return [name]
    if declared := declared_names(rules).get(normal_source(name)):
        return [declared]
    for same in (lambda s: re.sub(r"\s+", "", s.lower()), normal_source):
        if found := [s for s in sources if same(s) == same(name)]:
            return found
    return []
