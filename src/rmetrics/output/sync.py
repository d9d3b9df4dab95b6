"""The result of a sync as text and JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rmetrics.findings import EMPTY_INBOX, NEWLY_ACCEPTED, WITHDRAWN, Finding, count
from rmetrics.month_line import MonthLine
from rmetrics.output.grid import Cell
from rmetrics.output.reporter import (
    STYLES,
    Report,
    money,
    names,
    number,
    percent,
    plain,
    table,
    target_cell,
    whole_number,
)
from rmetrics.pipeline.summary import FileResult, MeasureLine, SyncResult


def show_sync(report: Report, result: SyncResult, *, months: int) -> None:
    """Shows the files, the figures against target, the findings and the rows written."""
    if report.as_json:
        report.json(sync_json(result), "months", names(MonthLine))
        return
    if report.quiet:
        return
    if result.companies:
        _companies(report, result)
        return
    if result.status == "unchanged":
        _unchanged(report, result)
        return
    if result.files:
        _files(report, result.files)
    _months(report, result.months, months)
    _measures(report, result.measures, months)
    show_findings(
        report, [f for f in result.findings if f.severity != "info" or f.code in {NEWLY_ACCEPTED, EMPTY_INBOX}]
    )
    _closing(report, result)


def _companies(report: Report, result: SyncResult) -> None:
    """Shows one line for each company of a group, then the findings that need attention."""
    grid = table("Companies", "company", "", "currency", "exports", "rejected", "seconds")
    for one in result.companies:
        style = {"failed": "red", "removed": "yellow"}.get(one.status, "")
        counts = (number(one.exports), number(one.rejected)) if one.status not in {"failed", "removed"} else ("", "")
        grid.add_row(Cell(one.company, style), Cell(one.status, style), one.currency, *counts, f"{one.seconds:.1f}")
    report.table(grid)
    show_findings(
        report, [f for f in result.findings if f.severity != "info" or f.code in {NEWLY_ACCEPTED, EMPTY_INBOX}]
    )
    if result.status == "unchanged":
        report.line(f"Nothing changed. Nothing was written. ({result.seconds:.1f} s)")
    else:
        _closing(report, result)


def _unchanged(report: Report, result: SyncResult) -> None:
    """Shows that nothing changed, and which files were refused: the user may just have put one there."""
    refused = [f for f in result.files if f.status == "refused"]
    known = len(result.files) - len(refused)
    parts = ["no file in the inbox"] if not result.files else []
    if known:
        parts += [f"{count(known, 'file')} in the inbox, all landed before"]
    if refused:
        parts += [f"{count(len(refused), 'file')} skipped"]
    report.line(f"Nothing changed: {'; '.join(parts)}. Nothing was written. ({result.seconds:.1f} s)")
    for file in result.files:
        if file.reason and file.status in {"landed", "refused"}:
            report.line(f"  {file.file}: {file.reason}", "yellow")
    shown = {"damaged-cache", EMPTY_INBOX, WITHDRAWN}
    show_findings(report, [f for f in result.findings if f.severity == "error" or f.code in shown])


def _files(report: Report, files: Sequence[FileResult]) -> None:
    grid = table("Exports", "file", "feed", "read", "accepted", "rejected", "superseded", "totals", "")
    for file in files:
        note = {"landed": "new", "unchanged": "", "refused": "skipped"}[file.status]
        counts = [number(n) for n in (file.rows, file.accepted, file.rejected, file.superseded, file.totals)]
        if file.status == "refused":
            counts = [""] * 5
        style = "yellow" if file.status == "refused" else ""
        grid.add_row(Cell(file.file, style), file.feed or "-", *counts, Cell(note, style))
    totals = [sum(getattr(f, n) for f in files) for n in ("rows", "accepted", "rejected", "superseded", "totals")]
    grid.add_section()
    grid.add_row(Cell(count(len(files), "file"), "bold"), "", *(number(n) for n in totals), "")
    report.table(grid)
    for file in files:
        if file.reason:
            report.line(f"  {file.file}: {file.reason}", "yellow" if file.status == "refused" else "dim")


def _months(report: Report, lines: Sequence[MonthLine], months: int) -> None:
    if not lines:
        report.line("There are no figures for any month yet.", "yellow")
        return
    known = sorted({line.month for line in lines})
    _month_table(report, "All sources by month", [line for line in lines if line.source == "ALL"], by_month=True)
    for month in known[-months:] if months else []:
        chosen = [line for line in lines if line.month == month]
        chosen.sort(key=lambda line: (line.source == "ALL", -line.revenue40, line.source))
        _month_table(report, f"{month:%B %Y} by source", chosen, by_month=False)


def _month_table(report: Report, title: str, lines: Sequence[MonthLine], *, by_month: bool) -> None:
    first = "month" if by_month else "source"
    counts = ("leads", "units", "repairs", "target", "L->R")
    grid = table(title, first, *counts, "revenue40", "target", "cost", "CPL", "max")
    for line in lines:
        if not by_month and line.source == "ALL":
            grid.add_section()
        over = line.cpl is not None and line.target_cpl_max is not None and line.cpl > line.target_cpl_max
        grid.add_row(
            f"{line.month:%Y-%m}" if by_month else line.source,
            number(line.leads),
            number(line.units),
            target_cell(line.repairs, line.target_repairs, number(line.repairs)),
            whole_number(line.target_repairs),
            percent(line.conv_l2r),
            target_cell(line.revenue40, line.target_revenue40, money(line.revenue40)),
            money(line.target_revenue40, 0),
            money(line.cost),
            Cell(money(line.cpl), "red" if over else ""),
            money(line.target_cpl_max, 0),
        )
    report.table(grid)


def _measures(report: Report, lines: Sequence[MeasureLine], months: int) -> None:
    """Shows the company's own measures in the newest months."""
    known = sorted({line.month for line in lines})
    for month in known[-months:] if months else []:
        grid = table(f"Own measures, {month:%B %Y}", "measure", "value", "target")
        for line in lines:
            if line.month == month:
                grid.add_row(line.title, shown_value(line.value, line.format), shown_value(line.target, line.format))
        report.table(grid)


def shown_value(value: Decimal | None, form: str) -> str:
    """Formats a measure in its declared format; empty for None."""
    if value is None:
        return ""
    match form:
        case "percent":
            return percent(value)
        case "money":
            return money(value)
        case "count":
            return f"{value:,.0f}"
        case _:
            return f"{value.quantize(Decimal('0.01')).normalize():,f}"


def show_findings(report: Report, findings: Sequence[Finding]) -> None:
    """Shows one line per finding, with its severity."""
    for finding in findings:
        report.parts((f"{finding.severity}: ", STYLES[finding.severity]), (finding.message, ""))


def _closing(report: Report, result: SyncResult) -> None:
    if result.status == "dry-run":
        report.line(f"Dry run: nothing was written; {result.cross_check}. ({result.seconds:.1f} s)", "bold")
        return
    written = {n: w for n, w in result.published.items() if w}
    rows = ", ".join(f"{n} {w:,}" for n, w in written.items()) or "no row differed"
    report.line(f"Published ({result.cross_check}; read back from the database). Rows written: {rows}. "
              f"({result.seconds:.1f} s)", "bold")  # fmt: skip


def sync_json(result: SyncResult) -> dict[str, Any]:
    """Returns the document of ``sync --json``."""
    document = asdict(result)
    document["months"] = [
        {
            **plain(line),
            "cpl": plain(_ratio(line.cpl)),
            "conv_l2r": plain(_ratio(line.conv_l2r)),
            "profit": plain(line.profit),
        }
        for line in result.months
    ]
    return document


def _ratio(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("0.000001"))
