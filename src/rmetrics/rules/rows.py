"""The columns that conditions may name, by feed, and those that are filled or summed."""

from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS, PAYMENTS


def feed_row(feed: Feed, zone: str) -> Row:
    """What a condition over a feed's row is over: its columns and its business day."""
    columns = {n: c.type for n, c in feed.columns.items()}
    return Row.of(columns | {feed.business_date: ColumnType.DATE}, zone)


def mapped_row(feed: Feed, zone: str) -> Row:
    """What a derived column is computed from: the mapped columns. Cells of one file may have been added up."""
    return Row.of({n: c.type for n, c in feed.mapped.items()}, zone, cells=feed.repeats != "sum")


def summed_columns(rules: Rules) -> set[tuple[str, str]]:
    """The money columns that revenue and costs are made of, each with its feed before it."""
    costs = {
        (cost.feed, cost.sum)
        for source in rules.sources.values()
        for _, version in source.versions
        for cost in version.cost
        if cost.feed and cost.sum
    }
    return costs | ({(PAYMENTS, "amount")} if PAYMENTS in rules.feeds else set())


def filled_columns(feed: Feed) -> set[str]:
    """The columns of a feed that no row leaves blank: its key, those with a default, required values."""
    return {
        n
        for n, c in feed.mapped.items()
        if n in feed.key or c.default is not None or (c.required and not c.blank and c.type is not ColumnType.TEXT)
    }


def job_columns(rules: Rules) -> dict[str, ColumnType]:
    """The columns a condition over a job may name: the feed's, what was paid, and the source."""
    own = {n: c.type for n, c in rules.feeds[JOBS].columns.items()} if JOBS in rules.feeds else {}
    return own | {"paid": ColumnType.MONEY, "source": ColumnType.TEXT, "metric_date": ColumnType.DATE}


def job_row(rules: Rules) -> Row:
    """What a condition over a job is over."""
    return Row.of(job_columns(rules), rules.business.timezone)
