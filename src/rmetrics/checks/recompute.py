"""Recomputation of all metrics in SQL from the typed files.

Source: the design, section 3.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rmetrics.checks.call_classes import create_call_classes
from rmetrics.checks.costs import create_costs
from rmetrics.checks.dimensions import create_members
from rmetrics.checks.feeds import TypedInput, create_feeds
from rmetrics.checks.jobs import create_jobs
from rmetrics.checks.leads import create_leads
from rmetrics.checks.measures import create_measures
from rmetrics.checks.returns import create_returns
from rmetrics.rules.model import Rules
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import dollars, from_micros, in_months, text, work

DAILY, MONTHLY = "daily_metrics", "monthly_metrics"
MEASURES: Mapping[str, str] = {
    "jobs": "BIGINT",
    "leads": "BIGINT",
    "units": "BIGINT",
    "repairs": "BIGINT",
    "revenue_gross": "DECIMAL(18,2)",
    "revenue40": "DECIMAL(18,6)",
    "cost": "DECIMAL(18,2)",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Months to recompute, instead of all.

    Attributes:
        months: in which every figure is correct; other months have no figures.
        daily: Parquet file of ``daily_metrics``, for facts from other months: the day of a source's first lead or job.
        members: Parquet file of all members' amounts by month, because the largest members over all months keep their
            names.
        names: names of undeclared sources by their spelling in lower case without white space: the first job decides,
            in whatever month.
    """

    months: frozenset[dt.date]
    daily: Path
    names: Mapping[str, str]
    members: Path | None = None

    def has(self, day: str) -> str:
        """SQL condition that a column's day is in one of the months."""
        return in_months(day, self.months)


def recompute(
    connection: duckdb.DuckDBPyConnection,
    typed: Mapping[str, Sequence[TypedInput]],
    rules: Rules,
    scope: Scope | None = None,
    newest: dt.date | None = None,
    *,
    classes: bool = True,
    journeys: Path | None = None,
) -> None:
    """Creates one view per feed, ``job_facts``, ``daily_metrics`` and ``monthly_metrics`` in the connection.

    Args:
        connection: may read the typed files; still empty.
        typed: the typed files by feed; a feed without files is empty. Within a scope, all that its months need.
        rules: in force.
        scope: the months to recompute; None for all.
        newest: the day of the newest export, which caps the data's last day; None if unknown.
        classes: also recompute everything that follows customers by their numbers: classes of calls, and returns.
        journeys: Parquet file of all touches, for own measures over them; None: those have no amounts.

    It creates:
        a view per feed: one row per key, the declared columns, the business day, ``counted``.
        job_facts: one row per job that counts: the feed's columns, ``metric_date`` (NULL: counts nowhere), ``source``,
            ``segment``, ``paid``, ``is_unit``, ``is_repair``.
        daily_metrics: one row per (date, source, segment) with any measure that is not 0.
        monthly_metrics: its sums by month, without keys whose sums are all 0.
        measure_daily, dimension_monthly: the values of declared measures by day, and by month and member.
    Within a scope, daily_metrics and monthly_metrics have the rows of its months only.

    Raises:
        duckdb.Error: the files cannot be read; callers translate it (``connection.duckdb_errors``).
    """
    connection.execute("CREATE SCHEMA _work")
    create_feeds(connection, typed, rules)
    create_jobs(connection, rules, scope.names if scope else None)
    if classes:
        create_call_classes(connection, rules)
    _complete(connection, scope, "activity", ("jobs", "units", "repairs"))
    create_leads(connection, rules)
    _complete(connection, scope, "leads", ("leads",))
    create_costs(connection, rules, newest)
    parts = {
        "activity": {"jobs": "jobs", "units": "units", "repairs": "repairs"},
        "leads": {"leads": "leads"},
        "revenue": {"cents": "gross", "micros": "micros"},
        "costs": {"cents": "cost"},
    }
    added = ("jobs", "leads", "units", "repairs", "gross", "micros", "cost")
    union = " UNION ALL BY NAME ".join(
        f"SELECT day, source, segment, {', '.join(f'{column} AS {name}' for column, name in columns.items())} "
        f"FROM {work(table)}"
        for table, columns in parts.items()
    )
    sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in added)
    any_of = " OR ".join(f"{name} <> 0" for name in added)
    counts = ", ".join(f"CAST({name} AS BIGINT) AS {name}" for name in added[:4])
    within = scope.has("day") if scope else "true"
    connection.execute(
        f"CREATE TABLE {DAILY} AS SELECT day AS date, source, segment, {counts}, {dollars('gross')} AS revenue_gross, "
        f"{from_micros('micros')} AS revenue40, {dollars('cost')} AS cost "
        f"FROM (SELECT day, source, segment, {sums} FROM ({union}) WHERE {within} GROUP BY ALL) WHERE {any_of}"
    )
    connection.execute(f"CREATE TABLE {MONTHLY} AS {months_of(DAILY)}")
    if rules.returns:
        create_returns(connection, rules, blank=not classes)
    create_measures(connection, rules, journeys)
    known = scope.members if scope else None
    create_members(connection, rules, known, f"NOT {scope.has('$day')}" if scope and known else "false")


def _complete(connection: duckdb.DuckDBPyConnection, scope: Scope | None, table: str, measures: Sequence[str]) -> None:
    """Replaces the rows of months out of scope with the known daily figures."""
    if scope is None:
        return
    nonzero = " OR ".join(f"{m} <> 0" for m in measures)
    connection.execute(f"DELETE FROM {work(table)} WHERE NOT {scope.has('day')}")
    connection.execute(
        f"INSERT INTO {work(table)} BY NAME SELECT date AS day, source, segment, {', '.join(measures)} "
        f"FROM read_parquet({text(file_name(scope.daily))}) WHERE ({nonzero}) AND NOT {scope.has('date')}"
    )


def months_of(daily: str) -> str:
    """SELECT of a daily table's sums by month, without keys whose sums are all 0."""
    sums = ", ".join(f"CAST(sum({name}) AS {kind}) AS {name}" for name, kind in MEASURES.items())
    any_of = " OR ".join(f"{name} <> 0" for name in MEASURES)
    return (
        f"SELECT * FROM (SELECT CAST(date_trunc('month', date) AS DATE) AS month, source, segment, {sums} "
        f"FROM {daily} GROUP BY ALL) WHERE {any_of}"
    )


__all__ = ["DAILY", "MEASURES", "MONTHLY", "Scope", "TypedInput", "months_of", "recompute"]
