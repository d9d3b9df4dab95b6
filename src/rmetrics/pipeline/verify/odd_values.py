"""Rows of odd values on which expressions are tried: blanks, extremes, letters of every kind, both clock changes."""

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.rules.expressions import tree
from rmetrics.rules.expressions.moments import looks_like_day
from rmetrics.rules.expressions.polars_form import DTYPES
from rmetrics.rules.expressions.typed import CELLS, Kind
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType

ROWS = 300
TEXTS = (
    "", " ", "a", "A", "Ab", "abc", "x", "0", "9", "10", "100", "-1", "%", "_", "a%", "a_b", "\\", "\\%", ".*", "[a]",
    "(", "$", "^", "a\nb", "\n", "\t", " x ", "\u00a0x\u3000", "\u0085", "\u200b", "it's", '"', "FA\u0130LED", "FAILED",
    "failed", "i\u0307", "\u0131", "\u00df", "\u1e9e", "SS", "\u017f", "s", "\u03a3", "\u03c3", "\u03c2",
    "\u0391\u03a3",
    "\u01c4", "\u01c5", "\u01c6", "\u0149", "\u01f0", "\ufb01", "\u1f80", "\u1f88", "\u212a", "\u212b", "\u00b5",
    "\u00e9", "e\u0301", "\u00c9", "\u042f", "\u0565\u0582", "\u10d0", "\u1c90", "\u2c6f", "\ua7c5", "\U00010400",
    "\U0001e900", "\u65e5\u672c", "\U0001f600", "\U0001f468\u200d\U0001f469", "\ufeff", "\ufffd", "\U0010ffff",
    "a" * 70,
)  # fmt: skip
_INTEGERS = (0, 1, -1, 2, 5, 10, 100, 10**18, 2**63 - 1, -(2**63))
_MONEY = ("0.00", "0.01", "-0.01", "1.00", "99.99", "100.00", "100.01", "9999999999999999.99", "-9999999999999999.99")
_SHARES = ("0", "0.000001", "-0.000001", "0.35", "1", "-1", "999999999999.999999", "-999999999999.999999")
_DAYS = ((1, 1, 1), (1899, 12, 31), (1970, 1, 1), (2000, 2, 29), (2024, 2, 29), (2024, 12, 30), (9999, 12, 31))
_BUSY = 2024  # the year whose clock changes are tried


def odd_rows(row: Row, nodes: Iterable[tree.Node] = (), *, rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Returns rows of odd values; every value of a column occurs, in combinations drawn with the seed.

    Args:
        row: the columns.
        nodes: expressions to be tried; their own values, and neighbouring ones, also occur.
        rows: how many.
        seed: the same seed gives the same rows.
    """
    written = [n for node in nodes for n in tree.walk(node)]
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    columns = []
    for name, kind in row.columns:
        values = list(dict.fromkeys([None, *_values(kind, written, row.zone)]))
        if row.cells:  # larger values are rejected when a cell is read
            values = [v for v in values if _fits_cell(v, kind)]
        cells = (values + draw.choices(values, k=rows))[:rows]
        draw.shuffle(cells)
        columns.append(pl.Series(name, cells, dtype=DTYPES[kind]))
    return pl.DataFrame(columns)


def _fits_cell(value: object, kind: ColumnType) -> bool:
    limit = CELLS[kind]
    if value is None or limit.kind is not Kind.NUMBER:
        return True
    return bool(abs(Decimal(str(value))) * 10**limit.numbers.scale <= limit.bound)


def _values(kind: ColumnType, written: Sequence[tree.Node], zone: str) -> Sequence[object]:
    match kind:
        case ColumnType.TEXT | ColumnType.PHONE | ColumnType.CURRENCY:
            return [*(v for t in _texts(written) for v in _variants(t)), *TEXTS]
        case ColumnType.INTEGER | ColumnType.DURATION:
            near = (int(n) + d for n in _numbers(written) for d in (-1, 0, 1))
            return [*(n for n in near if abs(n) < 2**63), *_INTEGERS]
        case ColumnType.MONEY:
            return _decimals(written, 2, _MONEY)
        case ColumnType.SHARE:
            return _decimals(written, 6, _SHARES)
        case ColumnType.DATE | ColumnType.MONTH:
            return [*_days(written), *changes_of(zone), *(dt.date(*d) for d in _DAYS)]
        case ColumnType.TIMESTAMP:
            return _stamps([*_days(written), *changes_of(zone), *(dt.date(*d) for d in _DAYS[1:-1])], zone)
        case ColumnType.BOOLEAN:
            return [True, False]


def _texts(written: Iterable[tree.Node]) -> Iterable[str]:
    for node in written:
        if isinstance(node, tree.Text):
            yield node.value


def _variants(text: str) -> Sequence[str]:
    """Returns a text and its variants; for a pattern, texts that match it."""
    plain = text.replace("%", "").replace("_", "x")
    turkish = plain.upper().replace("I", "\u0130")
    return [text, plain, plain.lower(), plain.upper(), turkish, f" {plain}", f"{plain}\t", f"x{plain}y", plain[:-1]]


def _numbers(written: Iterable[tree.Node]) -> Sequence[Decimal]:
    return [n.value for n in written if isinstance(n, tree.Number) and abs(n.value) < 10**15]


def _decimals(written: Iterable[tree.Node], scale: int, fixed: Iterable[str]) -> Sequence[Decimal]:
    step = Decimal(1).scaleb(-scale)
    near = (round(n, scale) + d for n in _numbers(written) for d in (-step, Decimal(0), step))
    return [*(n for n in near if abs(n) < 10 ** (18 - scale)), *(Decimal(f) for f in fixed)]


def _days(written: Iterable[tree.Node]) -> Sequence[dt.date]:
    texts = (n.text if isinstance(n, tree.Moment) else n.value if isinstance(n, tree.Text) else "" for n in written)
    days = [dt.date.fromisoformat(t[:10]) for t in texts if looks_like_day(t[:10]) and "0002" < t < "9998"]
    return [d + dt.timedelta(days=n) for d in days for n in (-1, 0, 1)]


def changes_of(zone: str) -> Sequence[dt.date]:
    """Returns the days of a year on which a zone's clocks change, or two ordinary days if they never do."""
    year = [dt.date(_BUSY, 1, 1) + dt.timedelta(days=n) for n in range(366)]
    offsets = [dt.datetime.combine(d, dt.time(12), ZoneInfo(zone)).utcoffset() for d in year]
    changed = [day for day, was, now in zip(year[1:], offsets, offsets[1:], strict=False) if was != now]
    return changed or [dt.date(_BUSY, 3, 10), dt.date(_BUSY, 11, 3)]


def _stamps(days: Iterable[dt.date], zone: str) -> Sequence[dt.datetime]:
    """Returns instants around both midnights of each day, the business's and UTC's, and through its first hours."""
    stamps = []
    for day in days:
        for place in (ZoneInfo(zone), dt.UTC):
            midnight = dt.datetime.combine(day, dt.time(), place).astimezone(dt.UTC)
            steps = (
                dt.timedelta(microseconds=-1),
                dt.timedelta(0),
                *(dt.timedelta(minutes=30 * h) for h in range(1, 8)),
            )
            stamps += [midnight + s for s in steps]
    return stamps
