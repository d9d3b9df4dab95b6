"""Rejected rows as text and JSON."""

from collections import Counter

from rmetrics.findings import count
from rmetrics.output.reporter import Report, names
from rmetrics.output.sync import sync_json
from rmetrics.pipeline.landing.quarantine import RejectedRow
from rmetrics.usecases.rejected import RejectedText, RetryResult

_MAX_SHOWN = 40


def show_rejected(report: Report, rows: tuple[RejectedRow, ...]) -> None:
    """Shows one line per rejected row."""
    if report.as_json:
        report.json({"rejected": rows}, "rejected", names(RejectedRow))
        return
    if report.quiet:
        return
    if not rows:
        report.line("No row is in quarantine.")
        return
    width = max(len(r.id) for r in rows)
    file = None
    for row in rows:
        if row.file != file:
            file = row.file
            report.line(f"{row.file} ({row.feed})", "bold")
        problem = row.reason if row.value is None else f'"{_short(row.value)}": {row.reason}'
        report.line(f"  {row.id:<{width}}  line {row.line:<5} {problem}")
    files = Counter(r.file for r in rows)
    report.line(
        f"{count(len(rows), 'row')} in {count(len(files), 'file')}. To see a whole row: rmetrics rejected show ID"
    )
    if any(r.waiting for r in rows):
        report.line("The rules have changed since: `rmetrics rejected retry` or the next sync reads these rows again.")
    else:
        report.line("Correct the file, or add the format to the column's formats, then run: rmetrics rejected retry")


def _short(value: str | None) -> str:
    if value is None:
        return ""
    plain = " ".join(value.split())
    return plain if len(plain) <= _MAX_SHOWN else plain[: _MAX_SHOWN - 1] + "…"


def show_text(report: Report, shown: RejectedText) -> None:
    """Shows a row with its original cells."""
    if report.as_json:
        report.json({**{n: getattr(shown.row, n) for n in shown.row.__dataclass_fields__}, "cells": shown.cells,
                     "text": shown.text, "masked": shown.masked})  # fmt: skip
        return
    row = shown.row
    report.line(f"{row.file}, line {row.line} ({row.feed})", "bold")
    report.line(f"  {row.reason}", "yellow")
    if shown.text is not None:
        report.line(f"  {shown.text}")
    width = max((len(h) for h in shown.cells), default=0)
    for header, value in shown.cells.items():
        if value:
            report.line(f"  {header:<{width}}  {value}", "bold" if header == row.column else "")
    blank = [h for h, v in shown.cells.items() if not v]
    if blank:
        report.line(f"  blank: {', '.join(blank)}", "dim")
    if shown.masked:
        report.line("  Customers' data is masked; to see it, add --reveal.", "dim")


def show_retry(report: Report, result: RetryResult) -> None:
    """Shows which rows a retry accepted, and which it did not."""
    if report.as_json:
        report.json({"taken": result.taken, "rejected": result.still, "sync": sync_json(result.sync)})
        return
    for row in result.taken:
        report.line(f"  accepted: {row.file}, line {row.line} ({row.feed})", "green")
    for row in result.still:
        report.line(f"  still rejected: {row.file}, line {row.line}: {row.reason}", "yellow")
    summary = f"{count(len(result.taken), 'row')} accepted" if result.taken else "No row could be accepted"
    status = {"published": "and published", "unchanged": "nothing changed"}.get(result.sync.status, "")
    report.line(f"{summary}, {status}; {len(result.still)} still rejected.", "bold")
