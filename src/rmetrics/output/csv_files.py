"""CSV files that are safe to open in a spreadsheet.

A text that starts like a formula is prefixed with an apostrophe; numbers and dates are unchanged.
"""

import csv
import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import IO

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last: full-width


def safe_cell(value: object) -> str:
    """Formats a value as a CSV cell that no spreadsheet interprets as a formula.

    >>> safe_cell("=1+1"), safe_cell("-5"), safe_cell(Decimal("-5.00")), safe_cell(None)
    ("'=1+1", "'-5", '-5.00', '')
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case int() | float():
            return str(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_csv(file: IO[str], header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Writes a table and returns the number of rows."""
    out = csv.writer(file, lineterminator="\n")
    out.writerow([safe_cell(h) for h in header])
    count = 0
    for row in rows:
        out.writerow([safe_cell(v) for v in row])
        count += 1
    return count
