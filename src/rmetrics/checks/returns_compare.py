"""Comparison of the two engines' days between jobs of returning customers."""

from pathlib import Path

import duckdb

from rmetrics.checks.compare import NO_DAY, Mismatch
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import ident, text, work

_LIMIT = 200


def compare_returns(
    connection: duckdb.DuckDBPyConnection, rules: Rules, given: Path, looked: Path | None = None
) -> list[Mismatch]:
    """Returns the jobs on whose days the engines differ.

    Args:
        connection: after ``returns.create_returns``; may read the files.
        rules: in force.
        given: Parquet file of ``_position`` and a column for each return.
        looked: Parquet file of the ``_position`` of the only jobs to compare; None: all.
    """
    found = list[Mismatch]()
    place = "coalesce(g._position, r._pos)"
    only = "true" if looked is None else f"{place} IN (SELECT _position FROM read_parquet({text(file_name(looked))}))"
    for name in rules.returns:
        rows = connection.execute(
            f"SELECT m.metric_date, m.source, m.segment, g.{ident(name)}, r.{ident(name)} "
            f"FROM read_parquet({text(file_name(given))}) g FULL JOIN {work('returns')} r ON r._pos = g._position "
            f"LEFT JOIN {work('marks')} m ON m._pos = {place} "
            f"WHERE g.{ident(name)} IS DISTINCT FROM r.{ident(name)} AND {only} ORDER BY {place} LIMIT {_LIMIT}"
        ).fetchall()
        found += [
            Mismatch(JOBS, day or NO_DAY, s or "", g or "", name, ours, theirs) for day, s, g, ours, theirs in rows
        ]
    return found


__all__ = ["compare_returns"]
