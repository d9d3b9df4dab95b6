"""Time until leads were reached, in SQL: an independent counterpart of ``metrics.lead_speed``.

Table ``_work.lead_waits``: ``touch_id``, ``source``, ``touch_date``, ``answered_within_s`` (NULL: not reached).

Source: the design, section 7.
"""

import duckdb

from rmetrics.checks.call_classes import waited
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS
from rmetrics.sandbox.quoting import in_force, text, work

_EARLY_S = 600


def create_lead_waits(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates the table above; needs the tables of ``journeys``, and ``seen_calls`` with their numbers."""
    limit = in_force(rules.calls, "c.day", lambda c: str(int(c.called_back)))
    leads = f"(SELECT *, touch_at AS at FROM {work('touch_numbers')} WHERE timed AND feed <> {text(CALLS)})"
    connection.execute(
        f"CREATE TABLE {work('lead_waits')} AS WITH contacts AS ("
        f"SELECT c.touch_id, min(r.at) AS at FROM {leads} c JOIN {work('call_numbers')} n ON n.key = c.number "
        f"JOIN {work('seen_calls')} r ON r._pos = n._pos WHERE date_diff('day', c.day, r.day) <= {limit} AND CASE "
        f"WHEN r.inbound THEN r.answered AND epoch_us(r.at) >= epoch_us(c.at) - {_EARLY_S * 1_000_000} "
        f"ELSE r.at >= c.at END GROUP BY c.touch_id) "
        f"SELECT c.touch_id, c.source, c.day AS touch_date, CAST(CASE WHEN r.at IS NOT NULL "
        f"THEN greatest(0, {waited(rules)}) END AS BIGINT) AS answered_within_s "
        f'FROM (SELECT DISTINCT touch_id, source, day, "at" FROM {leads}) c LEFT JOIN contacts r USING (touch_id)'
    )


__all__ = ["create_lead_waits"]
