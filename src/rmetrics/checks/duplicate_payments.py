"""Payments exported by two programs: the same money from a CRM and from the card processor."""

from rmetrics.checks.feeds import LINES
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.sandbox.quoting import ident, text, work


def duplicate_payments(rules: Rules) -> str:
    """Returns a SELECT of the payments that another form of payments export also has.

    Two payments are the same money if they have the same job and amount, lie at most one business day apart, and come
    from exports of different variants. A payment has one partner: two equal payments and one of the other form make one
    pair. Payments without a job in the data and amounts of 0 are left out. Needs ``_work.exports``.

    Returns:
        SQL; one row per pair: job, day, amount, payment, file, and the amount of all pairs in ``total``. It lists the
        variant that comes later by name, so two payments if three forms have the same one.
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
    # Tuples compare in order: the first matching column wins, then the lowest job_id.
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


__all__ = ["duplicate_payments"]
