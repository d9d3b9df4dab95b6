"""Building blocks of DuckDB SQL: quoted names and values, conditions, dated rules."""

import datetime as dt
from collections.abc import Callable, Collection
from typing import TypeVar

from rmetrics.rules.dated import Dated
from rmetrics.rules.expressions.duckdb_form import expression
from rmetrics.rules.expressions.typing import Row

T = TypeVar("T")


def ident(*names: str) -> str:
    """A quoted identifier, qualified if several names are given.

    >>> ident("_work", 'an "odd" name')
    '"_work"."an ""odd"" name"'
    """
    return ".".join('"' + n.replace('"', '""') + '"' for n in names)


def work(name: str) -> str:
    """An internal table or view, in a schema that cannot clash with feed names."""
    return ident("_work", name)


def text(value: str) -> str:
    """A string literal.

    >>> text("Joe's")
    "'Joe''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def day(value: dt.date) -> str:
    """A date literal."""
    return f"DATE '{value.isoformat()}'"


def holds(condition: str, row: Row) -> str:
    """A rule condition on a row as a boolean expression: NULL counts as false."""
    return f"coalesce({expression(condition, row)}, false)"


def in_force(rule: Dated[T], date: str, render: Callable[[T], str]) -> str:
    """The SQL of a dated rule, selected by a date expression; rows without a date use the latest version.

    Args:
        rule: the rule and its changes.
        date: SQL of the row's business day.
        render: returns the SQL of one version.
    """
    if len(rule.versions) == 1:
        return render(rule.latest)
    # From the newest version to the oldest: CASE takes the first branch that is true.
    whens = [f"WHEN {date} IS NULL THEN {render(rule.latest)}"]
    whens += [f"WHEN {date} >= {day(start)} THEN {render(value)}" for start, value in rule.versions[:0:-1] if start]
    return f"CASE {' '.join(whens)} ELSE {render(rule.versions[0][1])} END"


def in_months(date: str, months: Collection[dt.date]) -> str:
    """SQL condition: a column's day is in one of some months, given by their first days."""
    listed = ", ".join(day(m) for m in sorted(months))
    return f"(CAST(date_trunc('month', {date}) AS DATE) IN ({listed}))" if listed else "false"


def within(start: dt.date | None, until: dt.date | None, date: str) -> str:
    """SQL condition: the date is known and in [start, until)."""
    parts = [f"{date} IS NOT NULL"]
    if start is not None:
        parts.append(f"{date} >= {day(start)}")
    if until is not None:
        parts.append(f"{date} < {day(until)}")
    return f"({' AND '.join(parts)})"


def whole_cents(amount: str) -> str:
    """Cents (BIGINT) from a money expression."""
    return f"CAST(CAST({amount} AS DECIMAL(18, 2)) * 100 AS BIGINT)"


def dollars(cents: str) -> str:
    """DECIMAL(18, 2) from whole cents."""
    return f"CAST(CAST({cents} AS DECIMAL(36, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2))"


def from_micros(micros: str) -> str:
    """DECIMAL(18, 6) from whole millionths."""
    return f"CAST(CAST({micros} AS DECIMAL(32, 0)) * CAST('0.000001' AS DECIMAL(6, 6)) AS DECIMAL(18, 6))"
