"""The result of a query as a table, CSV or JSON."""

import itertools
import sys
from collections.abc import Iterable, Sequence

from rmetrics.errors import SettingsError
from rmetrics.findings import count
from rmetrics.output.csv_files import safe_cell, write_csv
from rmetrics.output.grid import Cell, Grid, GridColumn
from rmetrics.output.reporter import Report, plain
from rmetrics.output.streams import lost
from rmetrics.usecases.sql import StatementResult

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DECIMAL", "DOUBLE", "FLOAT", "NUMBER", "HUGEINT")
_WHOLE = ("DATE", "TIME", "BOOL", "INTERVAL", "UUID")
STALE = (
    "The rules or exports have changed since the last sync; the views show its results. To update them: rmetrics sync"
)


def show_query(report: Report, query: StatementResult, *, as_csv: bool, limit: int) -> None:
    """Shows the rows of a query; a table has the first ``limit`` of them, or all for 0."""
    if query.stale and not report.quiet:
        report.message(STALE, "yellow")
    names = [name for name, _ in query.columns]
    if as_csv:
        _csv(names, query.rows)
        return
    if report.as_json:
        report.json({"columns": [{"name": n, "type": t} for n, t in query.columns],
                     "rows": [dict(zip(names, plain(list(row)), strict=True)) for row in query.rows]},
                    "rows", names)  # fmt: skip
        return
    shown = list(itertools.islice(query.rows, limit + 1)) if limit else list(query.rows)
    more = bool(limit) and len(shown) > limit
    grid = Grid("", [_column(name, str(kind).upper()) for name, kind in query.columns])
    for row in shown[: limit or None]:
        grid.add_row(*(Cell("-", "dim") if v is None else Cell(_text(v)) for v in row))
    report.table(grid)
    if more:
        report.line(f"The first {limit:,} rows; for more use --limit, for all use --csv or --json.", "dim")
    else:
        report.line(count(len(shown), "row"), "dim")


def _csv(names: list[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes the rows to stdout as CSV, until the reader closes the pipe.

    Raises:
        SettingsError: the encoding of stdout lacks a character of the result.
    """
    try:
        write_csv(sys.stdout, names, itertools.takewhile(lambda _: not lost(sys.stdout), rows))
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"the encoding of stdout, {error.encoding}, lacks a character of the result",
            "Set PYTHONIOENCODING=utf-8, or write the result with --parquet.",
        ) from None


def _column(name: str, kind: str) -> GridColumn:
    number = "[" not in kind and any(kind.removeprefix("U").startswith(n) for n in _NUMBERS)
    return GridColumn(name, right=number, unwrapped=number or kind.startswith(_WHOLE))


def _text(value: object) -> str:
    """Formats a value for a table; unlike in CSV, without an apostrophe against formulas."""
    return value if isinstance(value, str) else safe_cell(value)


def show_views(report: Report, views: dict[str, tuple[tuple[str, str], ...]]) -> None:
    """Shows the views that can be queried, with their columns."""
    if report.as_rows:
        listed = [{"view": n, "name": c, "type": t} for n, columns in views.items() for c, t in columns]
        report.json({"views": listed}, "views")
        return
    if report.as_json:
        report.json({"views": {n: [{"name": c, "type": t} for c, t in columns] for n, columns in views.items()}})
        return
    for name, columns in views.items():
        report.line(name, "bold")
        report.line("  " + ", ".join(f"{c} {t.lower()}" for c, t in columns))
    report.line(
        'For instance: rmetrics sql "SELECT source, sum(leads) AS leads FROM monthly_metrics GROUP BY source"', "dim"
    )
