"""The columns available to conditions, by feed, and the columns that are always filled or that are summed."""

from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import Column, ColumnType, Feed
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.rules.variants import with_variant


def feed_row(feed: Feed, zone: str) -> Row:
    """Returns the row for conditions over a feed: its columns and its business day."""
    columns = {n: c.type for n, c in feed.columns.items()}
    return Row.of(columns | {feed.business_date: ColumnType.DATE}, zone)


def mapped_row(feed: Feed, zone: str) -> Row:
    """Returns the row for derived columns: the mapped ones; their cells may be sums if the feed adds up repeats."""
    return Row.of({n: c.type for n, c in feed.mapped.items()}, zone, cells=feed.repeats != "sum")


def summed_columns(rules: Rules) -> set[tuple[str, str]]:
    """Returns (feed, column) of every money column that revenue or a cost is computed from."""
    costs = {
        (cost.feed, cost.sum)
        for source in rules.sources.values()
        for _, version in source.versions
        for cost in version.cost
        if cost.feed and cost.sum
    }
    return costs | ({(PAYMENTS, "amount")} if PAYMENTS in rules.feeds else set())


def filled_columns(feed: Feed) -> set[str]:
    """Returns the columns that are never blank in a feed: its key, columns with a default, required values."""
    return {
        n
        for n, c in feed.mapped.items()
        if n in feed.key or c.default is not None or (c.required and not c.blank and c.type is not ColumnType.TEXT)
    }


def must_have(feed: Feed, name: str, column: Column) -> bool:
    """Returns whether a row is rejected that is blank in a column of the feed as it is read."""
    if column.default is not None or (name in feed.key and feed.identity):
        return False
    return (name in feed.key and feed.repeats != "sum") or (
        column.required and not column.blank and column.type is not ColumnType.TEXT
    )


def blank_keys(feed: Feed) -> tuple[str, ...]:
    """Returns the columns of the published key in which a cell may be blank: a row without them has no place there."""
    forms = (feed, *(with_variant(feed, v) for v in feed.variants))
    return tuple(k for k in feed.publish_by or feed.key if any(_may_be_blank(form, k) for form in forms))


def _may_be_blank(feed: Feed, key: str) -> bool:
    column = feed.mapped.get(key)
    if column is None or (key in feed.key and feed.identity):  # an id that rmetrics makes
        return False
    return column.default is None and column.constant is None and not must_have(feed, key, column)


def has_zip(feed: Feed) -> bool:
    """Returns whether the rows of a feed tell a postal code: in the column ``zip``, if it is text."""
    return "zip" in feed.columns and feed.columns["zip"].type is ColumnType.TEXT


def job_columns(rules: Rules) -> dict[str, ColumnType]:
    """Returns the columns available to a condition over a job: the feed's, ``paid``, ``source`` and ``metric_date``."""
    own = {n: c.type for n, c in rules.feeds[JOBS].columns.items()} if JOBS in rules.feeds else {}
    return own | {"paid": ColumnType.MONEY, "source": ColumnType.TEXT, "metric_date": ColumnType.DATE}


def job_row(rules: Rules) -> Row:
    """Returns the row for conditions over a job."""
    return Row.of(job_columns(rules), rules.business.timezone)
