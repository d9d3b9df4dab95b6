"""Grafana's variables and macros, expanded as Grafana does: variables first (browser), macros second (server).

Only what works on our tables is allowed: an unknown macro, a variable that was not given, or one that is not quoted
with ``sqlstring`` is an error here.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence

MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^\)]*)\)")


def sqlstring(values: Sequence[str]) -> str:
    """The values quoted, quotes doubled, joined by commas: Grafana's ``${name:sqlstring}``."""
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


def expanded(
    sql: str, start: dt.datetime, end: dt.datetime, variables: Mapping[str, Sequence[str]] | None = None
) -> str:
    """The SQL that reaches PostgreSQL for a time range and values of the dashboard's variables.

    Raises:
        KeyError: a macro that we do not allow.
        ValueError: something with a dollar is left over.
    """
    for name, values in (variables or {}).items():
        sql = sql.replace("${%s:sqlstring}" % name, sqlstring(values))  # noqa: UP031 - braces
    low, high = (t.astimezone(dt.UTC).strftime("'%Y-%m-%dT%H:%M:%SZ'") for t in (start, end))
    known: dict[str, Callable[[str], str]] = {
        "__timeFilter": lambda column: f"{column} BETWEEN {low} AND {high}",
        "__timeFrom": lambda _: low,
        "__timeTo": lambda _: high,
    }
    sql = MACRO.sub(lambda match: known[match[1]](match[2]), sql)
    if "$" in sql:
        raise ValueError(f"not expanded: {sql[sql.index('$') :][:60]}")
    return sql
