"""The result of a query as a table, CSV or JSON."""

import sys
from itertools import islice

from rich.text import Text

from rmetrics.pipeline.query import Query
from rmetrics.report.base import Report, count, plain, table
from rmetrics.report.spreadsheet import safe_cell, write_csv

_NUMBERS = ("INT", "DECIMAL", "DOUBLE", "FLOAT")
STALE = "The rules or exports changed after the last sync; the views show what that sync computed. Run: rmetrics sync"


def show_query(report: Report, query: Query, *, as_csv: bool, limit: int) -> None:
    """The rows of a query; a table shows the first ``limit`` of them, 0 means all."""
    if query.stale and not report.quiet:
        report.err.print(Text(STALE, style="yellow"))
    names = [name for name, _ in query.columns]
    if report.as_json:
        report.json({"columns": [{"name": n, "type": t} for n, t in query.columns],
                     "rows": [dict(zip(names, plain(list(row)), strict=True)) for row in query.rows]})  # fmt: skip
        return
    if as_csv:
        write_csv(sys.stdout, names, query.rows)
        return
    shown = list(islice(query.rows, limit + 1)) if limit else list(query.rows)
    more = bool(limit) and len(shown) > limit
    grid = table("", names[0], *names[1:])
    for column, (_, kind) in zip(grid.columns, query.columns, strict=True):
        column.justify = "right" if any(n in kind.upper() for n in _NUMBERS) else "left"
        column.no_wrap, column.overflow = column.justify == "right", "fold"
    grid.title = None
    for row in shown[: limit or None]:
        grid.add_row(*(Text("-" if v is None else safe_cell(v).removeprefix("'"), style="" if v is not None else "dim")
                       for v in row))  # fmt: skip
    report.out.print(grid)
    if more:
        report.line(f"The first {limit:,} rows; see more with --limit, all with --csv or --json.", "dim")
    else:
        report.line(count(len(shown), "row"), "dim")


def show_views(report: Report, views: dict[str, tuple[tuple[str, str], ...]]) -> None:
    """What can be asked."""
    if report.as_json:
        report.json({"views": {n: [{"name": c, "type": t} for c, t in columns] for n, columns in views.items()}})
        return
    for name, columns in views.items():
        report.line(name, "bold")
        report.line("  " + ", ".join(f"{c} {t.lower()}" for c, t in columns))
    report.line('Ask: rmetrics sql "SELECT source, sum(leads) AS leads FROM monthly_metrics GROUP BY source"', "dim")
