"""Row by row comparison of the two engines' journeys, and checks that leads, cost, jobs and money add up.

Source: the design, section 7: what must add up.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rmetrics.checks.compare import NO_DAY, Mismatch
from rmetrics.checks.journeys import JOURNEYS, MATCHES, feed_spans
from rmetrics.rules.model import Rules
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import in_months, text, within, work

ADD_UP = "sums of journeys"
_LIMIT = 200
_COLUMNS = {
    JOURNEYS: "touch_id, feed, source, touch_at, touch_date, month, answered, booked, visited, repaired, jobs, job_id, "
    "matched_by, reason, returning_customer, CAST(cost AS DECIMAL(18,2)), CAST(paid AS DECIMAL(18,2)), "
    "CAST(revenue40 AS DECIMAL(18,6))",
    MATCHES: "job_id, touch_id, matched_by, source_matched",
}
SUMS = {
    "touches": "count(*)",
    "answered": "count(*) FILTER (WHERE answered)",
    "booked": "count(*) FILTER (WHERE booked)",
    "visited": "count(*) FILTER (WHERE visited)",
    "repaired": "count(*) FILTER (WHERE repaired)",
    "paid": "count(*) FILTER (WHERE paid > 0)",
    "no_job": "count(*) FILTER (WHERE reason = 'no-job')",
    "no_number": "count(*) FILTER (WHERE reason = 'no-number')",
    "shared": "count(*) FILTER (WHERE reason = 'shared')",
    "outside_window": "count(*) FILTER (WHERE reason = 'outside-window')",
    "by_link": "count(*) FILTER (WHERE matched_by = 'uuid')",
    "returning_customers": "count(*) FILTER (WHERE returning_customer)",
    "booked_returning": "count(*) FILTER (WHERE returning_customer AND booked)",
    "jobs": "sum(jobs)",
    "touch_cost": "sum(cost)",
    "revenue_gross": "sum(paid)",
    "revenue40": "sum(revenue40)",
}
"""The columns of ``journey_metrics`` that are sums over ``journeys``."""
SUMMED = (
    "month", "source", "touch_date", "answered", "booked", "visited", "repaired", "jobs", "matched_by", "reason",
    "returning_customer", "cost", "paid", "revenue40",
)  # fmt: skip
"""The columns of ``journeys`` that these sums, and the comparison with days, read."""


@dataclass(frozen=True, slots=True)
class JourneyFiles:
    """The first engine's results.

    Attributes:
        journeys, matches: of the touches and jobs that are compared row by row.
        every: journeys of the touches of ``months``; at least the columns ``SUMMED``.
        metrics, daily, monthly: the published tables.
        months: the months of ``every``; None for all.
    """

    journeys: Path
    matches: Path
    every: Path
    metrics: Path
    daily: Path
    monthly: Path
    months: frozenset[dt.date] | None = None

    def inside(self, day: str) -> str:
        """SQL condition that a column's day is in one of the months."""
        return "true" if self.months is None else in_months(day, self.months)

    @property
    def paths(self) -> list[Path]:
        """The distinct files."""
        return list(dict.fromkeys((self.journeys, self.matches, self.every, self.metrics, self.daily, self.monthly)))


def compare_journeys(connection: duckdb.DuckDBPyConnection, files: JourneyFiles, rules: Rules) -> list[Mismatch]:
    """Returns the differences between the engines, and sums that do not add up.

    Args:
        connection: after ``journeys.create_journeys``, for the same touches and jobs as in the files; may read the
            files.
        files: the first engine's results.
        rules: in force.
    """
    found = [
        *_rows(connection, JOURNEYS, JOURNEYS, files.journeys, "touch_date, source"),
        *_rows(connection, MATCHES, work(MATCHES), files.matches, "NULL::DATE, source_matched"),
    ]
    every, all_metrics = (f"read_parquet({text(file_name(p))})" for p in (files.every, files.metrics))
    daily, monthly = (f"read_parquet({text(file_name(p))})" for p in (files.daily, files.monthly))
    metrics = f"(SELECT * FROM {all_metrics} WHERE {files.inside('month')})"
    sums = ", ".join(f"{sql} AS {name}" for name, sql in SUMS.items())
    by_source = f"SELECT month, source, {sums} FROM {every} GROUP BY ALL"
    for name in SUMS if _any_unequal(connection, metrics, by_source) else ():
        given, summed = (f"SELECT month, source, {name} AS n FROM {of}" for of in (metrics, f"({by_source})"))
        found += _unequal(connection, name, given, summed)
    spent = f"SELECT month, source, sum(cost) AS n FROM {monthly} GROUP BY ALL"
    found += _unequal(connection, "cost", f"SELECT month, source, cost AS n FROM {all_metrics}", spent)
    parts = "booked + no_job + no_number + shared + outside_window"
    found += _unequal(
        connection,
        "leads = attached + no job + no number + shared + outside the window",
        f"SELECT month, source, touches AS n FROM {metrics}",
        f"SELECT month, source, {parts} AS n FROM {metrics}",
    )
    for span in feed_spans(rules):
        of_source = f"source = {text(span.source)}"
        of_leads = f"{of_source} AND {within(span.start, span.until, 'touch_date')}"
        of_days = f"{of_source} AND {within(span.start, span.until, 'date')} AND {files.inside('date')}"
        month = "CAST(date_trunc('month', {}) AS DATE) AS month, source, "
        for measure, of_touches in {"leads": "count(*)", **({"cost": "sum(cost)"} if span.own_cost else {})}.items():
            found += _unequal(
                connection,
                f"{measure} of touches and of days",
                f"SELECT {month.format('touch_date')}{of_touches} AS n FROM {every} WHERE {of_leads} GROUP BY ALL",
                f"SELECT {month.format('date')}sum({measure}) AS n FROM {daily} WHERE {of_days} GROUP BY ALL",
            )
    return found


def _rows(connection: duckdb.DuckDBPyConnection, name: str, made: str, file: Path, place: str) -> list[Mismatch]:
    """Counts by day and source the rows that only one engine has."""
    columns = _COLUMNS[name]
    given = f"SELECT {columns} FROM read_parquet({text(file_name(file))})"
    other = f"SELECT {columns} FROM {made}"
    if _equal_rows(connection, given, other):
        return []
    found = connection.execute(
        f"SELECT day, source, count(*) FILTER (side = 1), count(*) FILTER (side = 2) FROM ("
        f"SELECT {place}, 1 FROM ({given} EXCEPT ALL {other}) UNION ALL "
        f"SELECT {place}, 2 FROM ({other} EXCEPT ALL {given})) t(day, source, side) "
        f"GROUP BY ALL ORDER BY ALL LIMIT {_LIMIT}"
    ).fetchall()
    return [
        Mismatch(name, day or NO_DAY, source or "", "", "rows", ours, theirs) for day, source, ours, theirs in found
    ]


def _equal_rows(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> bool:
    """Whether two sets of rows have the same count and the same sum of row hashes.

    They nearly always do, and matching the rows themselves takes many times as long.
    """
    sums = "SELECT count(*) AS n, sum(hash(r)) AS hashes FROM ({}) r"
    found = connection.execute(
        f"SELECT a.n = b.n AND a.hashes IS NOT DISTINCT FROM b.hashes FROM ({sums.format(one)}) a, "
        f"({sums.format(other)}) b"
    ).fetchone()
    return bool(found and found[0])


def _any_unequal(connection: duckdb.DuckDBPyConnection, one: str, other: str) -> bool:
    """Whether any of the sums differs: they hardly ever do, and one query is far cheaper than one for each."""
    differ = " OR ".join(f"coalesce(a.{n}, 0) <> coalesce(b.{n}, 0)" for n in SUMS)
    found = connection.execute(
        f"SELECT 1 FROM {one} a FULL JOIN ({other}) b ON b.month = a.month AND b.source = a.source "
        f"WHERE {differ} LIMIT 1"
    ).fetchall()
    return bool(found)


def _unequal(connection: duckdb.DuckDBPyConnection, measure: str, one: str, other: str) -> list[Mismatch]:
    found = connection.execute(
        f"SELECT coalesce(a.month, b.month), coalesce(a.source, b.source), a.n, b.n FROM ({one}) a "
        f"FULL JOIN ({other}) b ON b.month = a.month AND b.source = a.source "
        f"WHERE coalesce(a.n, 0) <> coalesce(b.n, 0) ORDER BY 1, 2 LIMIT {_LIMIT}"
    ).fetchall()
    return [Mismatch(ADD_UP, month or NO_DAY, source or "", "", measure, a, b) for month, source, a, b in found]


__all__ = ["ADD_UP", "SUMMED", "SUMS", "JourneyFiles", "compare_journeys"]
