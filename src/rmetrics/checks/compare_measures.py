"""Comparison of the two engines' figures of declared measures, and of members with the total.

Each SELECT returns differences in the columns name, period, source, segment, measure, computed, recomputed. For a
member, ``source`` is the dimension and ``segment`` the member.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rmetrics.checks.dimensions import DIMENSION_MONTHLY, MEASURE_DAILY, VALUE
from rmetrics.checks.loading import load_file
from rmetrics.rules.measures import SHIPPED
from rmetrics.sandbox.quoting import ident, text

MEMBERS_TOGETHER = "members of a dimension against the month"
ALL_MEMBERS = "(all members)"
_DAY = {"date": "DATE", "source": "VARCHAR", "segment": "VARCHAR", "measure": "VARCHAR", "value": VALUE}
_MONTH = {
    "month": "DATE",
    "dimension": "VARCHAR",
    "member": "VARCHAR",
    "measure": "VARCHAR",
    "value": VALUE,
    "additive": "BOOLEAN",
}


@dataclass(frozen=True, slots=True)
class OwnFigureFiles:
    """The first engine's Parquet files of ``measure_daily`` and ``dimension_monthly``."""

    daily: Path
    members: Path


def load_own_figures(connection: duckdb.DuckDBPyConnection, figures: OwnFigureFiles) -> None:
    """Loads the first engine's figures into ``_given``.

    Raises:
        LakeError: a file has unexpected columns or types.
    """
    for name, file, wanted in (
        (MEASURE_DAILY, figures.daily, _DAY),
        (DIMENSION_MONTHLY, figures.members, _MONTH),
    ):
        load_file(connection, name, file, wanted)


def tables() -> Iterator[tuple[str, str]]:
    """Yields the compared tables, each with the column of its day or month."""
    yield MEASURE_DAILY, "date"
    yield DIMENSION_MONTHLY, "month"


def measure_differences() -> Iterator[str]:
    """Yields SELECTs of figures that differ, occur twice, or do not add up; see the module."""
    yield _differences(MEASURE_DAILY, ("date", "source", "segment", "measure"))
    yield _differences(DIMENSION_MONTHLY, ("month", "dimension", "member", "measure"), "additive")
    yield _repeated(MEASURE_DAILY, ("date", "source", "segment", "measure"))
    yield _repeated(DIMENSION_MONTHLY, ("month", "dimension", "member", "measure"))
    yield _members_against_months()


def _differences(name: str, key: tuple[str, ...], *others: str) -> str:
    same = " AND ".join(f"c.{k} IS NOT DISTINCT FROM r.{k}" for k in key)
    shown = ", ".join(f"coalesce(c.{k}, r.{k})" for k in key)
    values = ("value", *others)
    other = " OR ".join(f"c.{v} IS DISTINCT FROM r.{v}" for v in values)
    found = ", ".join(f"CAST(CASE WHEN {side}.{key[0]} IS NOT NULL THEN {side}.value END AS VARCHAR)" for side in "cr")
    return (
        f"SELECT {text(name)} AS name, {shown}, {found} FROM _given.{name} c FULL JOIN {name} r ON {same} WHERE {other}"
    )


def _repeated(name: str, key: tuple[str, ...]) -> str:
    columns = ", ".join(key[:3])
    return (
        f"SELECT {text(name)}, {columns}, 'rows', CAST(count(*) AS VARCHAR), '1' FROM _given.{name} "
        f"GROUP BY {', '.join(key)} HAVING count(*) > 1"
    )


def _members_against_months() -> str:
    """SELECT of measures and months for which the first engine's members do not add up to its own total."""
    shipped = " UNION ALL ".join(
        f"SELECT month, {text(n)} AS measure, CAST({ident(n)} AS {VALUE}) AS value FROM _given.monthly_metrics"
        for n in SHIPPED
    )
    shipped_totals = (
        f"SELECT month, measure, sum(value) AS value FROM ({shipped} UNION ALL SELECT "
        f"CAST(date_trunc('month', date) AS DATE), measure, value FROM _given.{MEASURE_DAILY}) GROUP BY ALL"
    )
    parts = (
        f"SELECT month, dimension, measure, sum(value) AS value, bool_and(additive) AS additive "
        f"FROM _given.{DIMENSION_MONTHLY} GROUP BY ALL"
    )
    every = f"SELECT w.*, d.dimension FROM ({shipped_totals}) w, (SELECT DISTINCT dimension FROM {DIMENSION_MONTHLY}) d"
    return (
        f"SELECT {text(MEMBERS_TOGETHER)}, coalesce(w.month, p.month), coalesce(w.dimension, p.dimension), "
        f"{text(ALL_MEMBERS)}, coalesce(w.measure, p.measure), CAST(coalesce(p.value, 0) AS VARCHAR), "
        f"CAST(coalesce(w.value, 0) AS VARCHAR) FROM ({every}) w FULL JOIN ({parts}) p "
        f"ON p.month = w.month AND p.dimension = w.dimension AND p.measure = w.measure "
        f"WHERE coalesce(p.additive, true) AND coalesce(p.value, 0) <> coalesce(w.value, 0)"
    )
