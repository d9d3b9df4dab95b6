"""Reads the published view ``call_funnel``."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from rmetrics.postgres.compare import published_session
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.server import Database

STEPS = ("calls", "inbound", "answered", "missed", "with_job", "jobs", "units", "repairs")


@dataclass(frozen=True, slots=True)
class CallFunnelLine:
    """The calls of a source in a month.

    Attributes:
        steps: counts by the names in ``STEPS``.
    """

    month: dt.date
    source: str
    steps: Mapping[str, int]


def call_funnel(database: Database) -> tuple[CallFunnelLine, ...] | None:
    """Returns the calls of each month by source, newest month first; None if nothing is published.

    Calls without a date are left out: they belong to no month.

    Raises:
        PostgresError: the server cannot be reached.
    """
    with published_session(database) as last:
        if last is None or not has_all(last.session, ["call_funnel"]):
            return None
        rows = last.session.query(
            f"SELECT month, source, {', '.join(STEPS)} FROM call_funnel WHERE month IS NOT NULL "
            "ORDER BY month DESC, source"
        )
    return tuple(CallFunnelLine(m, s, dict(zip(STEPS, map(int, steps), strict=True))) for m, s, *steps in rows)
