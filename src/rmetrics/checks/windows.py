"""Windows that attach jobs which the CRM hardly confirms: customers who came back, most likely."""

from rmetrics.checks.journeys import MATCHES
from rmetrics.sandbox.quoting import work

FEWEST = 5  # jobs; fewer say nothing
CONFIRMED = 50  # per cent of the added jobs


def hardly_confirmed() -> str:
    """SELECT of the sources whose window adds jobs beyond the touch's own day that the CRM does not confirm.

    Jobs that the CRM itself links are left out, and so are those for which it names no source. Needs the tables of
    ``journeys``.

    Returns:
        SQL; one row per source: source, added, confirmed, share (per cent).
    """
    return (
        "SELECT source, added, confirmed, 100 * confirmed // added AS share FROM ("
        "SELECT m.source_matched AS source, count(*) AS added, count(*) FILTER (j.source = m.source_matched) "
        f"AS confirmed FROM {work(MATCHES)} m JOIN {work('made_jobs')} j ON j.job = m.job_id "
        f"JOIN {work('touches')} t ON t.touch_id = m.touch_id "
        "WHERE j.day > t.day AND m.matched_by <> 'uuid' AND j.source <> 'Unattributed' GROUP BY ALL) "
        f"WHERE added >= {FEWEST} AND 100 * confirmed < {CONFIRMED} * added"
    )


__all__ = ["CONFIRMED", "FEWEST", "hardly_confirmed"]
