"""Revenue in SQL: the day on which a payment counts, and the company's share in force on it."""

import duckdb

from rmetrics.rules.model import OTHER, UNATTRIBUTED, Rules
from rmetrics.sandbox.quoting import in_force, text, work

_SHARE_UNITS = 10_000  # a share has at most four decimals; cents times its units are millionths


def share_units(rules: Rules, day: str) -> str:
    """SQL of the company's share on a day, in ten-thousandths; multiplied by cents it gives millionths."""
    return in_force(rules.revenue, day, lambda revenue: str(int(revenue.share * _SHARE_UNITS)))


def counted_day(rules: Rules) -> str:
    """SQL of the day on which a payment ``p`` of a job ``m`` counts: the job's or its own, or the other if NULL."""
    if rules.revenue.latest.date == "job":
        return "coalesce(m.metric_date, p.day)"
    return "coalesce(p.day, m.metric_date)"


def create_revenue(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.revenue``: cents, and the company's share in millionths, by the day they count on."""
    share = share_units(rules, "day")
    connection.execute(
        f"CREATE TABLE {work('revenue')} AS SELECT day, source, segment, cents, cents * ({share}) AS micros FROM ("
        f"SELECT {counted_day(rules)} AS day, coalesce(m.source, {text(UNATTRIBUTED)}) AS source, "
        f"coalesce(m.segment, {text(OTHER)}) AS segment, sum(p.cents) AS cents "
        f"FROM {work('payment_links')} p LEFT JOIN {work('marks')} m ON m._pos = p.job GROUP BY ALL) "
        f"WHERE day IS NOT NULL"
    )


__all__ = ["counted_day", "create_revenue", "share_units"]
