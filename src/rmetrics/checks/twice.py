"""Payments that two programs exported: the same money from a CRM and from the processor that took the card."""

from rmetrics.checks.feeds import LINES
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.sandbox.quoting import ident, text, work


def paid_twice(rules: Rules) -> str:
    """SELECT of the payments that another form of payments export has, too.

    Two payments are taken for the same money where they are of one job, of one amount, at most one business day apart,
    and from exports of different variants. A payment has one partner: two equal payments beside one of the other form
    are one pair. Payments of no job in the data and amounts of zero are left out. Needs ``_work.exports``.

    Returns:
        SQL; one row per pair: job, day, amount, payment, file, and the amount of all pairs in ``total``. Of two
        variants the one that comes later by name is listed, so of three forms of one payment two.
    """
    feed = rules.feeds[PAYMENTS]
    if feed.job is None:
        return ""
    links = " UNION ALL ".join(
        f"SELECT p._pos AS pos, ({i}, CAST(j.job_id AS VARCHAR)) AS link FROM {work(f'rows_{PAYMENTS}')} p "
        f"JOIN {ident(JOBS)} j ON CAST(j.{ident(column)} AS VARCHAR) = CAST(p.{ident(feed.job.column)} AS VARCHAR)"
        for i, column in enumerate(feed.job.match)
    )
    key = " || '/' || ".join(f"coalesce(CAST(p.{ident(k)} AS VARCHAR), '')" for k in feed.key_columns)
    paid = (
        f"SELECT p._pos AS pos, min(l.link)[2] AS job, any_value(p.amount) AS amount, any_value({key}) AS payment, "
        f"any_value(p.{ident(feed.business_date)}) AS day, any_value(e.variant) AS variant, any_value(e.name) AS file "
        f"FROM {work(f'rows_{PAYMENTS}')} p JOIN ({links}) l ON l.pos = p._pos "
        f"JOIN {work('exports')} e ON e.rank = p._pos // {LINES} AND e.feed = {text(PAYMENTS)} "
        "WHERE p._counted AND p.amount <> 0 GROUP BY p._pos"
    )
    same = "b.job = a.job AND b.amount = a.amount AND b.variant > a.variant AND abs(b.day - a.day) <= 1"
    pairs = f"SELECT b.*, a.pos AS partner FROM paid b JOIN paid a ON {same}"
    partners = (
        "SELECT count(DISTINCT partner) FROM pairs o "
        "WHERE o.job = p.job AND o.amount = p.amount AND o.variant = p.variant"
    )
    numbered = (
        "SELECT job, day, amount, payment, file, partners, "
        "row_number() OVER (PARTITION BY job, amount, variant ORDER BY day, pos) AS number FROM "
        f"(SELECT pos, job, day, amount, payment, file, variant, ({partners}) AS partners FROM pairs p GROUP BY ALL)"
    )
    return (
        f"WITH paid AS MATERIALIZED ({paid}), pairs AS MATERIALIZED ({pairs}) "
        "SELECT job, day, amount, payment, file, sum(amount) OVER () AS total "
        f"FROM ({numbered}) WHERE number <= partners"
    )


__all__ = ["paid_twice"]
