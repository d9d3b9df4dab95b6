"""Finds the rows of a published view for which an alert is true. Pure: rows in, occurrences out."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from shlex import quote
from typing import Any

import polars as pl

from rmetrics.notify.second_engine import Holds
from rmetrics.rules.expressions.polars_form import DTYPES, is_true
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.model import ALL
from rmetrics.rules.notifications import Alert
from rmetrics.rules.published_views import VIEWS

_SCALES = {ColumnType.MONEY: Decimal("0.01"), ColumnType.SHARE: Decimal("0.000001")}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An alert that is true for a row.

    Attributes:
        key: identifies the row within the view; constant for the duration of the occurrence.
        of: the row in words: its source, feed or code, and month; empty if the view has one row.
        cause: the values that raised the alert, in words.
        command: the command that explains it.
    """

    name: str
    title: str
    key: str
    of: str
    cause: str
    command: str


def raised_by(alert: Alert, rows: Sequence[Mapping[str, Any]], zone: str, second: Holds) -> tuple[Occurrence, ...]:
    """Returns the rows for which an alert is true, one per identity: the last in the order of the rows.

    A row on which the engines disagree is reported as well, with a note: a bug in one engine must not silence an alert.

    Args:
        alert: an alert of validated rules.
        rows: the view's rows in the alert's window; numeric values as text or numbers.
        zone: the business's time zone.
        second: evaluates the condition with the second engine.
    """
    view = VIEWS[alert.over]
    typed = [{n: _exact(row[n], kind) for n, kind in view.columns.items()} for row in rows]
    frame = pl.DataFrame(typed, schema={n: DTYPES[k] for n, k in view.columns.items()}, orient="row")
    hits = frame.select(is_true(alert.where, view.row(zone)).alias("hit")).to_series().to_list()
    second_hits = second(frame, alert.where, view.row(zone))
    found = {}
    for row, hit, other in zip(typed, hits, second_hits, strict=True):
        if hit or other:
            key = "/".join(_word(row[n]) for n in view.identity)
            found[key] = _occurrence(alert, key, row, agreed=hit == other)
    return tuple(found.values())


def _occurrence(alert: Alert, key: str, row: Mapping[str, Any], *, agreed: bool) -> Occurrence:
    identity = [n for n in VIEWS[alert.over].identity if n != "segment" or row[n] != ALL]
    of = ", ".join(_shown(row[n], month=n == "month") for n in sorted(identity, key=lambda n: n == "month"))
    values = readable([row[n] for n in alert.shown])
    cause = ", ".join(f"{n} {v or 'none'}" for n, v in zip(alert.shown, values, strict=True))
    if not agreed:
        cause = f"the two engines disagree on the condition; please report this bug; {cause}"
    return Occurrence(alert.name, alert.title, key, of, cause, command_of(alert, row))


def command_of(alert: Alert, row: Mapping[str, Any]) -> str:
    """Returns the command that explains a row, with values quoted for a shell where necessary."""
    months = {n for n, k in VIEWS[alert.over].columns.items() if k is ColumnType.MONTH}
    words = {n: quote(_word(v)[:7] if n in months else _word(v)) for n, v in row.items()}
    return alert.command.format_map(words)


def _exact(value: Any, kind: ColumnType) -> Any:
    if value is None or kind not in _SCALES:
        return value
    return Decimal(value).quantize(_SCALES[kind], ROUND_HALF_EVEN)


def readable(values: Sequence[Any]) -> list[str]:
    """Formats values for people: two decimals, up to four for those below 1.

    More decimals where different values would look equal, or a value like 0: the difference raised the alert.

    >>> readable([Decimal("5.333333"), 12, Decimal("0.323077"), None])
    ['5.33', '12', '0.3231', '']
    >>> readable([Decimal("30.000001"), Decimal("30.00")])
    ['30.000001', '30.00']
    """
    exact = [v for v in values if isinstance(v, Decimal) and v.as_tuple().exponent != 0]
    more = next(n for n in range(7) if n == 6 or _distinguishable(exact, n))
    return [_decimals(v, more) if isinstance(v, Decimal) and v.as_tuple().exponent != 0 else _word(v) for v in values]


def _distinguishable(values: Sequence[Decimal], more: int) -> bool:
    shown = {v: Decimal(_decimals(v, more)) for v in values}
    return len(set(shown.values())) == len(shown) and all(shown[v] != 0 or v == 0 for v in values)


def _decimals(value: Decimal, more: int) -> str:
    places = (2 if abs(value) >= 1 else 4) + more
    digits = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN):f}".rstrip("0")
    return digits + "0" * max(0, 2 - len(digits.partition(".")[2]))


def _shown(value: Any, *, month: bool = False) -> str:
    """Formats a part of a row's identity for people; a month as YYYY-MM."""
    return _word(value)[:7] if month else _word(value)


def _word(value: Any) -> str:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
