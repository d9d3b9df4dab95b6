"""The columns that conditions on a vendor's terms may use: those of the lead's feed, and facts of the lead.

The terms themselves are in ``rules.dispute_terms``.
"""

from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.model import FeedLeads, Rules, Source

# The facts of a lead in addition to its columns; a column of the same name takes precedence. NULL: unknown or none.
FACTS = {
    "duplicate_within_days": ColumnType.INTEGER,  # since the previous lead of the same number in the feed
    "was_customer": ColumnType.BOOLEAN,  # the number had a job created on an earlier day
    "customer_within_days": ColumnType.INTEGER,  # since the newest such job was created
    "booked": ColumnType.BOOLEAN,  # the lead has a job, or its number has one created within the source's window
    "answered": ColumnType.BOOLEAN,  # a call from the number within ten minutes of the lead was answered
    "called_within_hours": ColumnType.INTEGER,  # whole hours until the first call to the number
    "zip_served": ColumnType.BOOLEAN,  # the lead's zip is in [business].zips
}


def lead_row(rules: Rules, feed: str) -> Row:
    """Returns the columns that conditions on disputes may use: the facts, and the columns of the lead's feed."""
    columns = {n: c.type for n, c in rules.feeds[feed].columns.items()}
    day = {rules.feeds[feed].business_date: ColumnType.DATE}
    return Row.of(FACTS | columns | day, rules.business.timezone)


def price_column(source: Source) -> str | None:
    """Returns the price column of a lead: the column of its own feed that the source's cost sums up; None if none."""
    if not isinstance(source.leads, FeedLeads):
        return None
    return next((c.sum for c in source.cost if c.feed == source.leads.feed and c.spread is None), None)


__all__ = ["FACTS", "lead_row", "price_column"]
