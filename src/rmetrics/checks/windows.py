"""Windows that attach jobs which the CRM hardly confirms: most likely returning customers."""

from rmetrics.checks.journeys import MATCHES
from rmetrics.sandbox.quoting import work

MIN_JOBS = 5  # jobs; fewer are no evidence
CONFIRMED = 50  # per cent of the added jobs


def mostly_unconfirmed() -> str:
    """Returns a SELECT of sources whose window adds mostly unconfirmed jobs, created after the touch's own day.

    Jobs that the CRM itself links are left out, and so are those without a source in the CRM. Needs the tables of
    ``journeys``.

    Returns:
        SQL; one row per source: source, added, confirmed, share (per cent).
    """
    return (
        "SELECT source, added, confirmed, 100 * confirmed // added AS share FROM ("
        "SELECT m.source_matched AS source, count(*) AS added, count(*) FILTER (j.source = m.source_matched) "
        f"AS confirmed FROM {work(MATCHES)} m JOIN {work('made_jobs')} j ON j.job = m.job_id "
        f"JOIN {work('touches')} t ON t.rowid = m.touch "
        "WHERE j.day > t.day AND m.matched_by <> 'uuid' AND j.source <> 'Unattributed' GROUP BY ALL) "
        f"WHERE added >= {MIN_JOBS} AND 100 * confirmed < {CONFIRMED} * added"
    )


__all__ = ["CONFIRMED", "MIN_JOBS", "mostly_unconfirmed"]
