"""Revenue per business day, source and segment: the amount paid, and the company's share of it."""

import polars as pl

from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.newest import in_force
from rmetrics.money import cents, share_units
from rmetrics.positions import COUNTED
from rmetrics.rules.model import OTHER, UNATTRIBUTED, Rules
from rmetrics.rules.names import PAYMENTS


def revenue_rows(payments: pl.LazyFrame, facts: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns each payment that counts, with the day, source and segment of its revenue.

    Args:
        payments: one row per payment, linked to jobs.
        facts: job facts.
        rules: revenue; the share in force on the day of the revenue.

    Returns:
        The payments that count, with date, source, segment, gross_cents and revenue40_micros (Int64: cents times a
        share of at most four decimals, exact). A payment without a known job is Unattributed, OTHER, on its own day.
        With ``date = "job"`` a payment of a job without a day counts on its own day, with ``date = "payment"`` a
        payment without a day on its job's. date is null only if neither has one.

    Source: the design, section 3: Revenue.
    """
    paid_on = pl.col(rules.feeds[PAYMENTS].business_date)
    jobs = facts.select(JOB_ID, "source", "segment", pl.col("metric_date").alias("_job_date"))
    by_job = rules.revenue.latest.date == "job"
    day = pl.coalesce("_job_date", paid_on) if by_job else pl.coalesce(paid_on, "_job_date")
    share = in_force(rules.revenue, pl.col("date"), lambda r: pl.lit(share_units(r.share), dtype=pl.Int64))
    return (
        payments.filter(pl.col(COUNTED))
        .join(jobs, on=JOB_ID, how="left")
        .with_columns(
            day.alias("date"),
            pl.col("source").fill_null(UNATTRIBUTED),
            pl.col("segment").fill_null(OTHER),
            cents(pl.col("amount")).alias("gross_cents"),
        )
        .with_columns((pl.col("gross_cents") * share).alias("revenue40_micros"))
    )
