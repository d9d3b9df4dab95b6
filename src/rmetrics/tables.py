"""The published tables: names, keys and columns with their PostgreSQL types, defined once.

``schema.sql`` repeats them for the shipped feeds; a test compares the two. A feed that only TOML defines gets its table
from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.rules.feeds import Column, ColumnType, Feed
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.rules.rows import blank_keys

DAILY, MONTHLY = "daily_metrics", "monthly_metrics"
JOURNEYS, JOURNEY_METRICS = "journeys", "journey_metrics"

# The counts of touches in ``journey_metrics``.
JOURNEY_COUNTS = (
    "touches", "answered", "booked", "visited", "repaired", "paid", "no_job", "no_number", "shared", "outside_window",
    "by_link", "returning_customers", "booked_returning",
)  # fmt: skip
CATALOGUE, MEASURE_DAILY, DIMENSION_MONTHLY = "measures", "measure_daily", "dimension_monthly"

PG_TYPES = {
    ColumnType.TEXT: "character varying",
    ColumnType.INTEGER: "bigint",
    ColumnType.MONEY: "numeric(12,2)",
    ColumnType.SHARE: "numeric(9,6)",
    ColumnType.CURRENCY: "character varying",
    ColumnType.TIMESTAMP: "timestamp with time zone",
    ColumnType.DATE: "date",
    ColumnType.MONTH: "date",
    ColumnType.DURATION: "integer",
    ColumnType.PHONE: "character varying",
    ColumnType.BOOLEAN: "boolean",
}


@dataclass(frozen=True, slots=True)
class PgColumn:
    """A column with PostgreSQL's name of its type (``format_type``)."""

    name: str
    type: str
    not_null: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class PgTable:
    """A published table.

    Attributes:
        key: the primary key.
        part: the date column by whose month rows are compared; None: the whole table is one part.
        sums: whether rows are summed by key before publishing (``publish_by``); rows without an amount are omitted.
        blank_keys: columns of the key in which a row may have nothing; such a row is omitted.
        custom: whether only TOML defines it, so that it is created from here.
        withheld: columns that are not published and whose earlier published values are removed.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[PgColumn, ...]
    part: str | None
    sums: bool = False
    blank_keys: tuple[str, ...] = ()
    custom: bool = False
    comment: str = ""
    withheld: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(c.name for c in self.columns)


def metric_table(name: str) -> PgTable:
    """``daily_metrics`` or ``monthly_metrics`` without its generated columns."""
    period = "date" if name == DAILY else "month"
    columns = (
        PgColumn(period, "date", not_null=True),
        PgColumn("source", "character varying", not_null=True),
        PgColumn("segment", "character varying", not_null=True),
        PgColumn("time", "timestamp with time zone", not_null=True),
        *(PgColumn(n, "bigint", not_null=True) for n in ("jobs", "leads", "units", "repairs")),
        PgColumn("revenue_gross", "numeric(12,2)", not_null=True),
        PgColumn("revenue40", "numeric(18,6)", not_null=True),
        PgColumn("cost", "numeric(12,2)", not_null=True),
    )
    return PgTable(name, (period, "source", "segment"), columns, part=period)


def measure_tables() -> tuple[PgTable, ...]:
    """The tables of declared measures: the catalogue, own measures by day, and all measures by member and month."""
    text, value = "character varying", PgColumn("value", "numeric(18,6)", not_null=True)
    time = PgColumn("time", "timestamp with time zone", not_null=True)

    def names(*columns: str) -> tuple[PgColumn, ...]:
        return tuple(PgColumn(n, text, not_null=True) for n in columns)

    catalogue = (
        *names("measure"),
        PgColumn("place", "integer", not_null=True),
        *names("title", "format"),
        PgColumn("own", "boolean", not_null=True),
        PgColumn("numerator", text),
        PgColumn("denominator", text),
        *names("rule"),
    )
    day, month = (PgColumn(n, "date", not_null=True) for n in ("date", "month"))
    daily = (day, *names("source", "segment", "measure"), time, value)
    members = (
        month,
        *names("dimension", "member", "measure"),
        time,
        value,
        PgColumn("additive", "boolean", not_null=True),
    )
    return (
        PgTable(CATALOGUE, ("measure",), catalogue, part=None),
        PgTable(MEASURE_DAILY, ("date", "source", "segment", "measure"), daily, part="date"),
        PgTable(DIMENSION_MONTHLY, ("month", "dimension", "member", "measure"), members, part="month"),
    )


def feed_table(rules: Rules, name: str) -> PgTable:
    """The table of a feed: its published columns, the business date, and the columns that rmetrics adds."""
    feed = rules.feeds[name]
    key = feed.publish_by or feed.key_columns
    columns = list(_feed_columns(name, feed, key))
    shipped = {JOBS, PAYMENTS, CALLS, TARGETS}
    date = "metric_date" if name == JOBS else feed.business_date
    return PgTable(
        name=name,
        key=key,
        columns=tuple(columns),
        part=date if date in feed.publish_by or not feed.publish_by else None,
        sums=bool(feed.publish_by),
        blank_keys=blank_keys(feed),
        custom=name not in shipped,
        comment=feed.comment or f"Rows of the feed {name}, one per {', '.join(key)}.",
        withheld=tuple(n for n, c in feed.columns.items() if not c.publish and n not in key),
    )


def _feed_columns(name: str, feed: Feed, key: tuple[str, ...]) -> Iterator[PgColumn]:
    by = set(feed.publish_by)
    if not by and feed.key_columns[0] not in feed.columns:
        yield PgColumn(
            feed.key_columns[0], "character varying", not_null=True, comment="ID computed from the content of the row"
        )
    for column, spec in feed.columns.items():
        added = column in by or spec.type is ColumnType.MONEY
        if (not spec.publish and column not in key) or (by and not added):
            continue
        must = column in key or bool(by) or (spec.required and not spec.blank and spec.type is ColumnType.MONEY)
        yield PgColumn(column, PG_TYPES[spec.type], not_null=must, comment=spec.comment or _origin(spec))
    if by:
        return
    if feed.business_date not in feed.columns and name != JOBS:
        yield PgColumn(feed.business_date, "date", comment="Business day of the row")
    if name == JOBS:
        yield PgColumn("source", "character varying", not_null=True)
        yield PgColumn("segment", "character varying", not_null=True)
        yield PgColumn("metric_date", "date")
        yield PgColumn("paid", "numeric(12,2)", not_null=True)
        yield PgColumn("is_unit", "boolean", not_null=True)
        yield PgColumn("is_repair", "boolean", not_null=True)
        yield PgColumn("source_matched", "character varying")
        yield PgColumn("matched_by", "character varying")
        yield PgColumn("touch_id", "character varying")
    if name == CALLS:
        yield PgColumn("source", "character varying")
        yield PgColumn("class", "character varying")
        yield PgColumn("answered_within_s", "integer")
    if feed.job is not None and "job_id" not in feed.columns:
        yield PgColumn("job_id", "character varying", comment="The job it belongs to; NULL when the job is unknown")
    if feed.where is not None or name == PAYMENTS:  # which the schema script declares
        yield PgColumn("counted", "boolean", not_null=True, comment="Whether the feed's rule counts the row")


def _origin(column: Column) -> str:
    """The default comment of a column without one in the rules."""
    return f"As exported under {' or '.join(column.from_)}" if column.from_ else "Computed from other columns"


def journey_tables() -> tuple[PgTable, PgTable]:
    """``journeys`` and ``journey_metrics`` without its generated columns."""
    name, money = "character varying", "numeric(12,2)"
    touches = (
        PgColumn("touch_id", name, not_null=True),
        PgColumn("feed", name, not_null=True),
        PgColumn("source", name, not_null=True),
        PgColumn("touch_at", "timestamp with time zone", not_null=True),
        PgColumn("touch_date", "date", not_null=True),
        PgColumn("month", "date", not_null=True),
        PgColumn("answered", "boolean"),
        *(PgColumn(n, "boolean", not_null=True) for n in ("booked", "visited", "repaired")),
        PgColumn("jobs", "bigint", not_null=True),
        PgColumn("job_id", name),
        PgColumn("matched_by", name, not_null=True),
        PgColumn("reason", name),
        PgColumn("returning_customer", "boolean"),
        PgColumn("cost", money, not_null=True),
        PgColumn("paid", money, not_null=True),
        PgColumn("revenue40", "numeric(18,6)", not_null=True),
    )
    sums = (
        PgColumn("month", "date", not_null=True),
        PgColumn("source", name, not_null=True),
        PgColumn("time", "timestamp with time zone", not_null=True),
        *(PgColumn(n, "bigint", not_null=True) for n in (*JOURNEY_COUNTS, "jobs")),
        PgColumn("touch_cost", money, not_null=True),
        PgColumn("cost", money, not_null=True),
        PgColumn("revenue_gross", money, not_null=True),
        PgColumn("revenue40", "numeric(18,6)", not_null=True),
    )
    return (
        PgTable(JOURNEYS, ("touch_id",), touches, part="touch_date"),
        PgTable(JOURNEY_METRICS, ("month", "source"), sums, part="month"),
    )


def published_tables(rules: Rules) -> list[PgTable]:
    """All tables in the order in which they are written: each after those it references."""
    first = [n for n in (JOBS, PAYMENTS, CALLS) if n in rules.feeds]
    feeds = [*first, *(n for n in rules.feeds if n not in first)]
    figures = (metric_table(DAILY), metric_table(MONTHLY))
    return [*(feed_table(rules, n) for n in feeds), *figures, *measure_tables(), *journey_tables()]
