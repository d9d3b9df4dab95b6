"""What the conditions of a vendor's terms are over: the columns of a lead's feed, and facts of the lead.

The terms themselves stand in ``rules.terms``.
"""

from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.model import FeedLeads, Rules, Source

# The facts of a lead beside its own columns; a column of the same name goes before them. NULL: not known, or none.
FACTS = {
    "duplicate_within_days": ColumnType.INTEGER,  # since the earlier lead of the same number and feed
    "was_customer": ColumnType.BOOLEAN,  # the number had a job that was created on an earlier day
    "customer_within_days": ColumnType.INTEGER,  # since the newest such job was created
    "booked": ColumnType.BOOLEAN,  # the lead has a job, or its number one that was created within the source's window
    "answered": ColumnType.BOOLEAN,  # a call of the number within ten minutes of the lead was answered
    "called_within_hours": ColumnType.INTEGER,  # whole hours until the number was first called
    "zip_served": ColumnType.BOOLEAN,  # the lead's zip is one of [business].zips
}


def lead_row(rules: Rules, feed: str) -> Row:
    """What the conditions of disputes are over: the facts, and the columns of the lead's feed."""
    columns = {n: c.type for n, c in rules.feeds[feed].columns.items()}
    day = {rules.feeds[feed].business_date: ColumnType.DATE}
    return Row.of(FACTS | columns | day, rules.business.timezone)


def price_column(source: Source) -> str | None:
    """The column of a lead's price: what the source's cost adds up of the lead's own feed; None where there is none."""
    if not isinstance(source.leads, FeedLeads):
        return None
    return next((c.sum for c in source.cost if c.feed == source.leads.feed and c.spread is None), None)


__all__ = ["FACTS", "lead_row", "price_column"]
