"""Exact comparison of the two engines' numbers, per key and measure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from rmetrics.checks.call_classes import differing_classes
from rmetrics.checks.compare_measures import MEMBERS_TOGETHER, OwnFigureFiles, load_own_figures, measure_differences
from rmetrics.checks.compare_measures import tables as measure_tables
from rmetrics.checks.dimensions import DIMENSION_MONTHLY, MEASURE_DAILY
from rmetrics.checks.loading import load_file
from rmetrics.checks.recompute import DAILY, MEASURES, MONTHLY, Scope, TypedInput, months_of, recompute
from rmetrics.rules.model import Rules
from rmetrics.sandbox.connection import duckdb_errors, sandbox
from rmetrics.sandbox.quoting import text

SUM_OF_DAYS = "monthly_metrics as sum of days"
ROWS = "rows"
LIMIT = 1000
NO_DAY = dt.date(1, 1, 1)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A number on which the engines, or a month and its days, differ.

    Attributes:
        table: ``daily_metrics``, ``monthly_metrics``, or ``SUM_OF_DAYS``.
        period: the day, or the first of the month.
        source, segment: the rest of the key.
        measure: its name; ``rows`` if the key occurs more than once.
        computed: the value in the metrics' file; None if it lacks the key.
        recomputed: DuckDB's value; for ``SUM_OF_DAYS`` the sum of the daily file.
    """

    table: str
    period: dt.date
    source: str
    segment: str
    measure: str
    computed: Decimal | int | None
    recomputed: Decimal | int | None


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Result of the comparison.

    Attributes:
        count: how many numbers differ.
        mismatches: the first ``LIMIT`` of them, by table, period, source, segment and measure.
    """

    count: int
    mismatches: tuple[Mismatch, ...]


def cross_check(
    typed: Mapping[str, Sequence[TypedInput]],
    daily: Path,
    monthly: Path,
    rules: Rules,
    *,
    temp: Path,
    own: OwnFigureFiles | None = None,
    journeys: Path | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> CrossCheck:
    """Recomputes everything from the typed files and compares it with the metrics' files.

    Args:
        typed: the typed files by feed.
        daily: Parquet file of ``daily_metrics``.
        monthly: Parquet file of ``monthly_metrics``.
        rules: in force.
        temp: folder for spilled data.
        own: the files of declared measures; None: they are not compared.
        journeys: the file of all touches, for measures over them; None without journeys.
        memory_limit: of DuckDB, for example ``2GB``.
        threads: of DuckDB.

    Raises:
        LakeError: a file cannot be read, or a metrics file has unexpected columns or types.
    """
    files = [i.path for inputs in typed.values() for i in inputs]
    with duckdb_errors("recompute the metrics"):
        connection = sandbox(
            [*files, daily, monthly, *_files(own), *([journeys] if journeys else [])],
            temp=temp,
            memory_limit=memory_limit,
            threads=threads,
        )
        try:
            recompute(connection, typed, rules, journeys=journeys)
            return compare(connection, daily, monthly, own=own)
        finally:
            connection.close()


def compare(
    connection: duckdb.DuckDBPyConnection,
    daily: Path,
    monthly: Path,
    scope: Scope | None = None,
    classes: Path | None = None,
    *,
    own: OwnFigureFiles | None = None,
) -> CrossCheck:
    """Compares the metrics' files with the recomputed tables of a connection that may read them; within a scope.

    Args:
        connection: holds the recomputed tables.
        daily: the file of days.
        monthly: the file of months.
        scope: the months to compare; None for all.
        classes: the classes of calls: of all calls, or within a scope of those to be compared.
        own: the figures of declared measures, and the members of each dimension; None: they are not compared.
    """
    connection.execute("CREATE SCHEMA _given")
    given = {DAILY: _loaded(connection, DAILY, daily, "date"), MONTHLY: _loaded(connection, MONTHLY, monthly, "month")}
    if own is not None:
        load_own_figures(connection, own)
    if scope is not None:
        more = measure_tables() if own is not None else ()
        for name, period in ((DAILY, "date"), (MONTHLY, "month"), *more):
            for table in (name, f"_given.{name}"):
                connection.execute(f"DELETE FROM {table} WHERE NOT {scope.has(period)}")
    connection.execute(f"CREATE TABLE _given.sum_of_days AS {months_of(given[DAILY])}")
    differences = " UNION ALL ".join(
        [
            *_differences(connection, DAILY, given[DAILY], DAILY, "date"),
            *_differences(connection, MONTHLY, given[MONTHLY], MONTHLY, "month"),
            *_differences(connection, SUM_OF_DAYS, given[MONTHLY], "_given.sum_of_days", "month"),
            _repeated(DAILY, given[DAILY], "date"),
            _repeated(MONTHLY, given[MONTHLY], "month"),
            *([differing_classes(connection, classes, complete=scope is None)] if classes else []),
            *(measure_differences() if own is not None else ()),
        ]
    )
    connection.execute(f"CREATE TABLE _given.differences AS {differences}")
    row = connection.execute("SELECT count(*) FROM _given.differences").fetchone()
    order = ", ".join(str(i) for i in range(1, 6))
    found = connection.execute(f"SELECT * FROM _given.differences ORDER BY {order} LIMIT {LIMIT}").fetchall()
    return CrossCheck(int(row[0]) if row else 0, tuple(_mismatch(f) for f in found))


def _files(own: OwnFigureFiles | None) -> tuple[Path, ...]:
    return () if own is None else (own.daily, own.members)


def _loaded(connection: duckdb.DuckDBPyConnection, name: str, file: Path, period: str) -> str:
    """Loads one of the metrics' files; returns the table's name.

    Raises:
        LakeError: a column is missing or of another type.
    """
    wanted = {period: "DATE", "source": "VARCHAR", "segment": "VARCHAR", **MEASURES}
    load_file(connection, name, file, wanted)
    return f"_given.{name}"


def _differences(
    connection: duckdb.DuckDBPyConnection, name: str, computed: str, recomputed: str, period: str
) -> Iterator[str]:
    """Yields SELECTs of the measures that differ.

    For a key missing on one side: those that are not 0, or all if all are 0.
    """
    unequal = f"_given.unequal_{name.replace(' ', '_')}"
    keys = (period, "source", "segment")
    same = " AND ".join(f"c.{k} IS NOT DISTINCT FROM r.{k}" for k in keys)
    shown = ", ".join(f"coalesce(c.{k}, r.{k}) AS {k}" for k in keys)
    both = ", ".join(f"c.{m} AS computed_{m}, r.{m} AS recomputed_{m}" for m in MEASURES)
    zero = " AND ".join(f"coalesce(c.{m}, r.{m}) = 0" for m in MEASURES)
    differ = " OR ".join(f"c.{m} IS DISTINCT FROM r.{m}" for m in MEASURES)
    # Rows hardly ever differ: they are found by one join, and taken apart by measure afterwards.
    connection.execute(
        f"CREATE TABLE {unequal} AS SELECT {shown}, {both}, (c.here = 1 AND r.here = 1) OR ({zero}) AS every "
        f"FROM (SELECT *, 1 AS here FROM {computed}) c FULL JOIN (SELECT *, 1 AS here FROM {recomputed}) r ON {same} "
        f"WHERE {differ}"
    )
    for m in MEASURES:
        yield (
            f"SELECT {text(name)} AS name, {period} AS period, source, segment, {text(m)} AS measure, "
            f"CAST(computed_{m} AS VARCHAR) AS computed, CAST(recomputed_{m} AS VARCHAR) AS recomputed FROM {unequal} "
            f"WHERE computed_{m} IS DISTINCT FROM recomputed_{m} "
            f"AND (coalesce(every, false) OR coalesce(computed_{m}, recomputed_{m}) <> 0)"
        )


def _repeated(name: str, computed: str, period: str) -> str:
    """SELECT of the keys that occur more than once."""
    return (
        f"SELECT {text(name)}, {period}, source, segment, {text(ROWS)}, CAST(count(*) AS VARCHAR), '1' "
        f"FROM {computed} GROUP BY ALL HAVING count(*) > 1"
    )


def _mismatch(row: Sequence[Any]) -> Mismatch:
    table, period, source, segment, measure, computed, recomputed = row
    exact = {MEASURE_DAILY, DIMENSION_MONTHLY, MEMBERS_TOGETHER}
    is_integer = MEASURES.get(measure, "BIGINT") == "BIGINT" and (table not in exact or measure == ROWS)
    kind: type[int | Decimal] = int if is_integer else Decimal
    values = (None if v is None else kind(v) for v in (computed, recomputed))
    return Mismatch(table, period or NO_DAY, source or "", segment or "", measure, *values)
