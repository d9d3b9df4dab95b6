"""The rows of a JSON document as CSV or Markdown: the same exact values, one row per line.

Cells have the values of the JSON document: money and days unchanged, lists joined, nested structures as JSON.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rmetrics.output.csv_files import safe_cell

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def csv_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Formats rows as CSV with a header, safe to open in a spreadsheet.

    Args:
        rows: as in JSON.
        columns: the header if there are no rows.
    """
    names, text = _names(rows, columns), io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    if names:
        out.writerow([safe_cell(n) for n in names])
    for row in rows:
        cells = (_cell(row.get(n)) for n in names)
        out.writerow([c if _NUMBER.fullmatch(c) else safe_cell(c) for c in cells])
    return text.getvalue()


def markdown_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Formats rows as a Markdown table with right-aligned numbers.

    Args:
        rows: as in JSON.
        columns: the header if there are no rows.
    """
    names = _names(rows, columns)
    cells = [[_cell(row.get(n)) for n in names] for row in rows]
    right = [
        any(c[i] for c in cells) and all(not c[i] or _NUMBER.fullmatch(c[i]) for c in cells) for i in range(len(names))
    ]
    lines = [names, ["---:" if r else "---" for r in right], *cells] if names else []
    return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in lines)


def _names(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(n for row in rows for n in row)) or list(columns)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() if all(isinstance(v, str | int) for v in value):
            return "; ".join(map(str, value))
        case list() | dict():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def _escaped(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


__all__ = ["csv_of", "markdown_of"]
