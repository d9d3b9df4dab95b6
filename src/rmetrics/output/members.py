"""The figures of all members of a dimension, and their total, as a table and as JSON."""

from decimal import Decimal
from typing import Any

from rmetrics.explain.members import Members, MemberTable
from rmetrics.output.explain import figure, months_in_words, share, value
from rmetrics.output.grid import Cell, Grid, GridColumn
from rmetrics.output.metrics import shown_value
from rmetrics.output.reporter import Report

_VERDICTS = {
    "match": ("Both engines and PostgreSQL agree on every member", "bold green"),
    "mismatch": ("The figures do not agree", "bold red"),
    "problems": ("The figures agree, but see the errors above", "bold yellow"),
    "unpublished": ("Both engines agree on every member; nothing is published to compare with", "bold yellow"),
}


def show_members(report: Report, found: Members) -> None:
    """Shows a row per member with the whole below, then the rules and the proof of each measure."""
    if report.as_json:
        document = members_json(found)
        report.json(document, "members")
        return
    if report.quiet:
        return
    report.line(f"By {found.dimension}, {months_in_words(found.asked)}", "bold")
    report.line(f"{found.rule} ({found.where})", "dim")
    report.table(_grid(found))
    for table in found.tables.values():
        _proof(report, found, table)
    for problem in found.problems:
        report.line(f"error: {problem.message}", "bold red")
    for line in found.figures_differing:
        report.line(f"differs: {line}", "red")
    words, style = _VERDICTS[found.conclusion]
    run = f" (PostgreSQL: run {found.run_id})" if found.run_id else ""
    report.line(f"{words}{run}.", style)
    if found.members:
        report.line("For the rows of one member, add --member NAME.", "dim")


def _grid(found: Members) -> Grid:
    sums = {f.name: found.tables.get(f.name) for f in found.figures}
    columns = [GridColumn(found.dimension, unwrapped=True)]
    for name, table in sums.items():
        columns.append(GridColumn(name, right=True, unwrapped=True))
        if table is not None and table.additive:
            columns.append(GridColumn("share", right=True, unwrapped=True))
    grid = Grid("", columns)
    for member in found.members:
        cells = [Cell(member)]
        for made in found.figures:
            table = sums[made.name]
            if table is None:
                cells.append(Cell(shown_value(found.value(made, member), made.kind)))
                continue
            line = next((x for x in table.lines if x.member == member), None)
            cells.append(Cell("" if line is None else figure(table.scale, line.value)))
            if table.additive:
                cells.append(Cell("" if line is None else share(line.share), "dim"))
        grid.add_row(*cells)
    grid.add_section()
    cells = [Cell("ALL", "bold")]
    for made in found.figures:
        table = sums[made.name]
        if table is None:
            cells.append(Cell(shown_value(found.whole(made), made.kind), "bold"))
            continue
        cells.append(Cell(figure(table.scale, table.whole), "bold"))
        if table.additive:
            cells.append(Cell(""))
    grid.add_row(*cells)
    return grid


def _proof(report: Report, found: Members, table: MemberTable) -> None:
    report.line(f"{table.measure}: {table.rule} ({table.where})")
    if not table.additive:
        message = "a row of several members counts for each of them, so members do not add up and no sum is shown"
        report.line(f"  {message}", "yellow")
        return
    figures = [("members", table.together), ("total", table.whole)]
    figures.append(("second engine", sum((x.recomputed for x in table.lines), Decimal(0))))
    if found.run_id is not None:
        figures.append(("PostgreSQL", sum((x.published or Decimal(0) for x in table.lines), Decimal(0))))
    same = len({v for _, v in figures}) == 1
    text = (" = " if same else ", ").join(f"{figure(table.scale, v)} ({n})" for n, v in figures)
    report.line(f"  {'proof' if same else 'NOT PROVED'}: {text}", "green" if same else "bold red")


def members_json(found: Members) -> dict[str, Any]:
    """Returns the document of ``explain --dimension D --json``: one row per measure and member."""
    tables = found.tables
    ratios = [f for f in found.figures if f.name not in tables]
    return {
        "dimension": found.dimension,
        "rule": found.rule,
        "where_declared": found.where,
        "from": f"{found.asked.month:%Y-%m}",
        "to": f"{found.asked.last or found.asked.month:%Y-%m}",
        "metrics": {
            n: {
                "rule": t.rule,
                "where_declared": t.where,
                "additive": t.additive,
                "value": value(t.scale, t.whole),
                "sum_of_members": value(t.scale, t.together) if t.additive else None,
            }
            for n, t in tables.items()
        },
        "members": [
            {
                "metric": n,
                "member": x.member,
                "value": value(t.scale, x.value),
                "share": x.share,
                "recomputed": value(t.scale, x.recomputed),
                "published": value(t.scale, x.published),
            }
            for n, t in tables.items()
            for x in t.lines
        ]
        + [
            {
                "metric": f.name,
                "member": m,
                "value": found.value(f, m),
                "share": None,
                "recomputed": None,
                "published": None,
            }
            for f in ratios
            for m in found.members
        ],
        "verdict": found.verdict,
        "differing": found.figures_differing,
        "problems": found.problems,
        "run_id": found.run_id,
    }


__all__ = ["members_json", "show_members"]
