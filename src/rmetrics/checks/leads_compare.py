"""Comparison of the two engines' facts of leads, claims under vendor terms, and waits.

None of these are published. ``rmetrics check`` compares them because people act on them: they ask vendors for money.

Source: the design, section 7.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from rmetrics.checks.call_classes import create_seen_calls
from rmetrics.checks.compare import NO_DAY, Mismatch
from rmetrics.checks.disputes import CLAIM_COLUMNS, FACT_COLUMNS, create_lead_facts
from rmetrics.checks.journeys import MATCHES
from rmetrics.checks.lead_speed import create_lead_waits
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import ident, text, work

FACTS, CLAIMS, WAITS = "facts of leads", "leads to dispute", "speed to lead"
_LIMIT = 200
_WAITED = ("touch_id", "source", "touch_date", "answered_within_s")


@dataclass(frozen=True, slots=True)
class LeadFiles:
    """The first engine's results for all leads: Parquet files of facts, claims and waits."""

    facts: Path
    claims: Path
    waits: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All three files."""
        return self.facts, self.claims, self.waits


def compare_leads(connection: duckdb.DuckDBPyConnection, files: LeadFiles, rules: Rules) -> list[Mismatch]:
    """Returns the differences between the engines: by source, the number of rows that only one of them has.

    Args:
        connection: after ``journeys.create_journeys`` for all touches and jobs; may read the files.
        files: the first engine's results.
        rules: in force.
    """
    follow_leads(connection, rules)
    return [
        *_rows(connection, FACTS, "lead_facts", files.facts, FACT_COLUMNS),
        *_rows(connection, CLAIMS, "lead_claims", files.claims, CLAIM_COLUMNS),
        *_rows(connection, WAITS, "lead_waits", files.waits, _WAITED),
    ]


def follow_leads(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.lead_facts``, ``lead_claims`` and ``lead_waits``; see ``disputes`` and ``lead_speed``."""
    if CALLS in rules.feeds:
        create_seen_calls(connection, rules)
    else:
        connection.execute(
            f"CREATE TABLE {work('seen_calls')} (_pos BIGINT, day DATE, at TIMESTAMPTZ, inbound BOOLEAN, "
            "answered BOOLEAN)"
        )
        connection.execute(f"CREATE TABLE {work('call_numbers')} (_pos BIGINT, key VARCHAR, own BOOLEAN)")
    connection.execute(
        f"CREATE TABLE {work('led_leads')} AS SELECT DISTINCT t.feed, t.pos AS _pos FROM {work('touches')} t "
        f"JOIN {work(MATCHES)} m ON m.touch = t.rowid"
    )
    create_lead_facts(connection, rules)
    if CALLS in rules.feeds:
        create_lead_waits(connection, rules)
    else:
        columns = "touch_id VARCHAR, source VARCHAR, touch_date DATE, answered_within_s BIGINT"
        connection.execute(f"CREATE TABLE {work('lead_waits')} ({columns})")


def _rows(
    connection: duckdb.DuckDBPyConnection, name: str, made: str, file: Path, columns: tuple[str, ...]
) -> list[Mismatch]:
    listed = ", ".join(map(ident, columns))
    given = f"SELECT {listed} FROM read_parquet({text(file_name(file))})"
    other = f"SELECT {listed} FROM {work(made)}"
    found = connection.execute(
        f"SELECT source, count(*) FILTER (WHERE side = 1), count(*) FILTER (WHERE side = 2) FROM ("
        f"SELECT source, 1 AS side FROM ({given} EXCEPT ALL {other}) UNION ALL "
        f"SELECT source, 2 FROM ({other} EXCEPT ALL {given})) GROUP BY ALL ORDER BY ALL LIMIT {_LIMIT}"
    ).fetchall()
    return [Mismatch(name, NO_DAY, source or "", "", "rows", ours, theirs) for source, ours, theirs in found]


__all__ = ["CLAIMS", "FACTS", "WAITS", "LeadFiles", "compare_leads", "follow_leads"]
