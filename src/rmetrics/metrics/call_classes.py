"""The class of each inbound call, and how long the caller waited for a person.

Each inbound call that counts has exactly one class, the first that holds:

own number            the caller is a line of the company
not a customer        ``[calls].not_customer`` holds
existing job          the call names a job created on an earlier day, or its number has one (``existing_job``)
answered              somebody answered, or the export does not record it
missed and called back   somebody reached the caller afterwards: an outbound call, or another call that was answered
missed but booked anyway   a job of the number, or the one the call names, was created afterwards (``booked``)
missed and lost       none of these

A call belongs to every number in its cell; two calls belong to one customer if they share a number. Source: the design,
section 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from rmetrics.metrics.jobs import JOB_ID, creation_day, dated_jobs
from rmetrics.metrics.lookup import holding
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, keyed, rows_with_phones
from rmetrics.positions import COUNTED, POSITION
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.hours import WeekdayHours, spans_of
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.rules.rows import feed_row

CLASS, WITHIN = "class", "answered_within_s"
OWN, NO_CUSTOMER, EXISTING = "own number", "not a customer", "existing job"
ANSWERED, BACK = "answered", "missed and called back"
ANYWAY, LOST = "missed but booked anyway", "missed and lost"
CLASSES = (ANSWERED, BACK, ANYWAY, LOST, EXISTING, NO_CUSTOMER, OWN)
CLASSED = {POSITION: pl.Int64(), CLASS: pl.String(), WITHIN: pl.Int64()}
CALLER = "customer"
_MONDAY = 4  # days from 1970-01-01 to the first Monday after it, from which weeks are counted
_WEEK = 7


@dataclass(frozen=True, slots=True)
class CallRows:
    """The rows from which classes are computed.

    Attributes:
        calls: one row per call: ``POSITION``, job_id, ``day``, ``at`` (UTC), ``inbound``, ``answered`` (null: not in
            the export), ``excluded`` (``not_customer`` holds), ``customer`` (the cell of the customer's number).
        jobs: one row per job that counts: job_id, ``created`` (its business day), ``phone`` (the cell).
    """

    calls: pl.LazyFrame
    jobs: pl.LazyFrame

    def collected(self) -> "CallRows":
        """Returns the same rows, read once and held in memory."""
        return CallRows(*(frame.lazy() for frame in pl.collect_all([self.calls, self.jobs], engine="streaming")))

    def calls_of(self, keys: pl.Series) -> pl.LazyFrame:
        """Returns the calls that have one of the numbers."""
        return rows_with_phones(self.calls, CALLER, keys)

    def of(self, keys: pl.Series) -> "CallRows":
        """Returns the calls and jobs that have one of the numbers."""
        return CallRows(self.calls_of(keys), rows_with_phones(self.jobs, "phone", keys))

    def around(self, batch: pl.DataFrame) -> "CallRows":
        """Returns some calls and everything their classes depend on: rows that share a number, and jobs they name.

        Args:
            batch: rows of ``calls``.
        """
        near = self.of(numbers_of(batch.lazy(), CALLER))
        named = holding(self.jobs, [JOB_ID], batch[JOB_ID])
        calls, jobs = pl.concat([batch.lazy(), near.calls]), pl.concat([near.jobs, named])
        return CallRows(calls.unique(POSITION), jobs.unique(JOB_ID))


def call_rows(calls: pl.LazyFrame, jobs: pl.LazyFrame, rules: Rules) -> CallRows:
    """Reduces rows of the feeds to the columns that classes need; see ``CallRows``.

    Args:
        calls: rows of the feed with ``POSITION``, ``counted`` and job_id; rows that do not count are dropped.
        jobs: rows of the feed with ``counted``.
        rules: in force.
    """
    feed, zone = rules.feeds[CALLS], rules.business.timezone
    row, day = feed_row(feed, zone), pl.col(feed.business_date)
    excluded = in_force(
        rules.calls, day, lambda c: pl.lit(value=False) if c.not_customer is None else is_true(c.not_customer, row)
    )
    inbound = pl.col("direction").eq_missing("inbound") if "direction" in feed.columns else pl.lit(value=True)
    ends = customer_ends(feed)
    narrow = calls.filter(pl.col(COUNTED)).select(
        POSITION,
        (pl.col(JOB_ID) if feed.job is not None else pl.lit(None, dtype=pl.String)).alias(JOB_ID),
        day.alias("day"),
        pl.col(feed.date).cast(pl.Datetime("us", "UTC")).alias("at"),
        inbound.alias("inbound"),
        (pl.col("answered") if "answered" in feed.columns else pl.lit(None, dtype=pl.Boolean)).alias("answered"),
        excluded.alias("excluded"),
        pl.when(inbound).then(_column(ends[0])).otherwise(_column(ends[1])).alias(CALLER),
    )
    return CallRows(narrow, job_numbers(jobs, rules))


def job_numbers(jobs: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the jobs that count: job_id, ``created`` (business day, null if unknown), ``phone`` (the cell)."""
    feed = rules.feeds[JOBS]
    phone = next((n for n, c in feed.columns.items() if c.type is ColumnType.PHONE), None)
    return dated_jobs(jobs, rules).select(JOB_ID, creation_day(rules).alias("created"), _column(phone).alias("phone"))


def customer_ends(feed: Feed) -> tuple[str | None, str | None]:
    """Returns the columns of the customer's number: of inbound calls, and of outbound calls."""
    phones = [n for n, c in feed.columns.items() if c.type is ColumnType.PHONE]
    first = phones[0] if phones else None
    return (
        "from_number" if "from_number" in phones else first,
        "to_number" if "to_number" in phones else first,
    )


def call_classes(rows: CallRows, rules: Rules) -> pl.LazyFrame:
    """Returns the class of each inbound call and the wait of its caller.

    Args:
        rows: the calls, every call that shares a number with one of them, and all jobs of these numbers or named.
        rules: in force; dated changes apply by the call's own day.

    Returns:
        One row per inbound call: position, class (never null), answered_within_s: seconds in business hours until the
        caller was reached; 0 for an answered call, null if nobody reached the caller.
    """
    inbound = rows.calls.filter("inbound")
    keys = keyed(rows.calls, CALLER)
    day = pl.col("day")
    lines = in_force(rules.journeys.common, day, lambda j: pl.col(KEY).is_in(list(j.own_numbers)))
    mine = keys.filter("inbound").with_columns(lines.alias("_own"))
    jobs = keyed(rows.jobs.drop_nulls("created"), "phone").select(KEY, "created").sort("created")
    reached = keys.filter(~pl.col("inbound") | pl.col("answered").fill_null(value=False)).drop_nulls("at")
    contacts = reached.select(KEY, pl.col("at").alias("_contact"), day.alias("_contact_day")).sort("_contact")
    customers = mine.filter(~pl.col("_own"))
    # Each side is sorted before its join, but Polars cannot check that per group of ``by`` and would warn.
    of_number = (
        customers.with_columns((day - pl.duration(days=1)).alias("_before")).sort("day")
        .join_asof(
            jobs.rename({"created": "_earlier"}), left_on="_before", right_on="_earlier", by=KEY,
            strategy="backward", check_sortedness=False,
        )
        .join_asof(
            jobs.rename({"created": "_later"}), left_on="day", right_on="_later", by=KEY, strategy="forward",
            check_sortedness=False,
        )
        .sort("at")
        .join_asof(
            contacts, left_on="at", right_on="_contact", by=KEY, strategy="forward", check_sortedness=False
        )
        .group_by(POSITION)
        .agg(pl.col("_earlier").max(), pl.col("_later").min(), pl.col("_contact").min(), pl.col("_contact_day").min())
    )  # fmt: skip
    named = rows.jobs.drop_nulls("created").select(JOB_ID, pl.col("created").alias("_named")).unique(JOB_ID)
    lines_of = mine.group_by(POSITION).agg(pl.col("_own").any())
    joined = (
        inbound.join(of_number, on=POSITION, how="left")
        .join(named, on=JOB_ID, how="left")
        .join(lines_of, on=POSITION, how="left")
    )
    answered = pl.col("answered").fill_null(value=True)
    back = _within(rules, "_contact_day", "called_back")
    wait = waited(rules.business.timezone, spans_of(rules.business.hours))
    whose = (
        pl.when(pl.col("_own").fill_null(value=False)).then(pl.lit(OWN))
        .when("excluded").then(pl.lit(NO_CUSTOMER))
        .when((pl.col("_named") < day) | _within(rules, "_earlier", "existing_job")).then(pl.lit(EXISTING))
        .when(answered).then(pl.lit(ANSWERED))
        .when(back).then(pl.lit(BACK))
        .when((pl.col("_named") >= day) | _within(rules, "_later", "booked")).then(pl.lit(ANYWAY))
        .otherwise(pl.lit(LOST))
    )  # fmt: skip
    within = pl.when(answered).then(0).when(back).then(wait)
    return joined.select(POSITION, whose.alias(CLASS), within.cast(pl.Int64).alias(WITHIN))


def classes_for(every: CallRows, batch: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Returns the classes of some calls, in the columns of ``call_classes``.

    Args:
        every: all calls and jobs.
        batch: rows of its calls.
        rules: in force.
    """
    classes = call_classes(every.around(batch).collected(), rules)
    return holding(classes, [POSITION], batch[POSITION]).collect()


def numbers_of(rows: pl.LazyFrame, column: str) -> pl.Series:
    """Returns the distinct numbers in a column."""
    return keyed(rows.select(column), column).select(KEY).unique().collect()[KEY]


def _within(rules: Rules, other: str, limit: str) -> pl.Expr:
    """True if a day is within the limit of days from the call's day; false if either is missing."""
    days = (pl.col(other) - pl.col("day")).dt.total_days().abs()
    return in_force(rules.calls, pl.col("day"), lambda c: days <= int(getattr(c, limit))).fill_null(value=False)


def waited(zone: str, spans: Sequence[WeekdayHours]) -> pl.Expr:
    """Whole seconds from ``at`` to ``_contact``, both truncated; only open seconds if hours are declared."""
    if not spans:
        return pl.col("_contact").dt.epoch("s") - pl.col("at").dt.epoch("s")
    return (_open_seconds("_contact", zone, spans) - _open_seconds("at", zone, spans)).clip(0)


def _open_seconds(stamp: str, zone: str, spans: Sequence[WeekdayHours]) -> pl.Expr:
    """Open seconds from a fixed Monday up to a moment, by the local clock."""
    local = pl.col(stamp).dt.convert_time_zone(zone).dt.replace_time_zone(None)
    days = local.dt.date().cast(pl.Int32).cast(pl.Int64) - _MONDAY
    second = local.dt.hour().cast(pl.Int64) * 3600 + local.dt.minute().cast(pl.Int64) * 60 + local.dt.second()
    weekday = days % _WEEK
    weekly = sum(s.closes - s.opens for s in spans)
    today = (
        pl.when(weekday > s.day).then(s.closes - s.opens)
        .when(weekday == s.day).then((second - s.opens).clip(0, s.closes - s.opens))
        .otherwise(0)
        for s in spans
    )  # fmt: skip
    return reduce(lambda one, other: one + other, today, (days // _WEEK) * weekly)


def _column(name: str | None) -> pl.Expr:
    return pl.lit(None, dtype=pl.String) if name is None else pl.col(name)


__all__ = [
    "ANSWERED", "ANYWAY", "BACK", "CALLER", "CLASS", "CLASSED", "CLASSES", "EXISTING", "LOST", "NO_CUSTOMER", "OWN",
    "WITHIN", "CallRows", "call_classes", "call_rows", "classes_for", "customer_ends", "job_numbers",
    "numbers_of", "waited",
]  # fmt: skip
