"""Results to text or JSON. Decides nothing: what is shown was decided below."""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rmetrics.errors import RmetricsError
from rmetrics.results import FileResult, Finding, MonthLine, StatusResult, SyncResult

_STYLE = {"error": "bold red", "warning": "yellow", "info": "dim"}
_WIDE = 110


class Report:
    """Writes results to stdout and messages to stderr.

    Args:
        as_json: one JSON document on stdout instead of text.
        quiet: nothing but failures.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
        self.out = Console(markup=False, highlight=False, width=width)
        self.err = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)

    def json(self, value: object) -> None:
        """One document on stdout."""
        sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")

    def line(self, text: str, style: str = "") -> None:
        """A line for a person, unless quiet or JSON."""
        if not (self.quiet or self.as_json):
            self.out.print(Text(text, style=style), soft_wrap=True)

    def error(self, error: RmetricsError) -> None:
        """One clear line, and the next step."""
        if self.as_json:
            self.json({"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}})
        self.err.print(Text("error: ", style="bold red") + Text(error.message))
        if error.hint:
            self.err.print(Text("  " + error.hint, style="dim"))

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Bars on a terminal; nothing elsewhere."""
        if self.quiet or self.as_json or not self.err.is_terminal:
            yield lambda _what, _done, _total: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
        with Progress(*columns, console=self.err, transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def tell(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total or None)
                bars.update(tasks[what], completed=done, total=total or None)

            yield tell

    # -- sync

    def sync(self, result: SyncResult, *, months: int) -> None:
        """What a sync did: files, figures against target, findings, what was written."""
        if self.as_json:
            self.json(sync_json(result))
            return
        if self.quiet:
            return
        if result.status == "unchanged":
            known = f"{_count(len(result.files), 'file')} in the inbox, all known"
            self.line(f"Nothing changed: {known}. Nothing was written. ({result.seconds:.1f} s)")
            self._findings([f for f in result.findings if f.severity == "error"])
            return
        self._files(result.files)
        self._months(result.months, months)
        self._findings([f for f in result.findings if f.severity != "info"])
        self._closing(result)

    def _files(self, files: Sequence[FileResult]) -> None:
        table = _table("Exports", "file", "feed", "read", "accepted", "rejected", "superseded", "totals", "")
        for file in files:
            note = {"landed": "new", "unchanged": "", "refused": "left alone"}[file.status]
            counts = [_int(n) for n in (file.rows, file.accepted, file.rejected, file.superseded, file.totals)]
            if file.status == "refused":
                counts = [""] * 5
            style = "yellow" if file.status == "refused" else ""
            table.add_row(Text(file.file, style=style), Text(file.feed or "-"), *counts, Text(note, style=style))
        whole = [sum(getattr(f, n) for f in files) for n in ("rows", "accepted", "rejected", "superseded", "totals")]
        table.add_section()
        table.add_row(Text(f"{len(files)} files", style="bold"), "", *(_int(n) for n in whole), "")
        self.out.print(table)
        for file in files:
            if file.reason:
                self.line(f"  {file.file}: {file.reason}", "yellow" if file.status == "refused" else "dim")

    def _months(self, lines: Sequence[MonthLine], months: int) -> None:
        if not lines:
            self.line("No month has figures yet.", "yellow")
            return
        known = sorted({line.month for line in lines})
        self._month_table("All sources by month", [line for line in lines if line.source == "ALL"], by_month=True)
        for month in known[-months:] if months else []:
            chosen = [line for line in lines if line.month == month]
            chosen.sort(key=lambda line: (line.source == "ALL", -line.revenue40, line.source))
            self._month_table(f"{month:%B %Y} by source", chosen, by_month=False)

    def _month_table(self, title: str, lines: Sequence[MonthLine], *, by_month: bool) -> None:
        first = "month" if by_month else "source"
        counts = ("leads", "units", "repairs", "target", "L->R")
        table = _table(title, first, *counts, "revenue40", "target", "cost", "CPL", "max")
        for line in lines:
            if not by_month and line.source == "ALL":
                table.add_section()
            over = line.cpl is not None and line.target_cpl_max is not None and line.cpl > line.target_cpl_max
            table.add_row(
                Text(f"{line.month:%Y-%m}" if by_month else line.source),
                _int(line.leads),
                _int(line.units),
                _reached(line.repairs, line.target_repairs, _int(line.repairs)),
                _whole(line.target_repairs),
                _percent(line.conv_l2r),
                _reached(line.revenue40, line.target_revenue40, _money(line.revenue40)),
                _money(line.target_revenue40, 0),
                _money(line.cost),
                Text(_money(line.cpl), style="red" if over else ""),
                _money(line.target_cpl_max, 0),
            )
        self.out.print(table)

    def _findings(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            label = Text(f"{finding.severity}: ", style=_STYLE[finding.severity])
            self.out.print(label + Text(finding.message), soft_wrap=True)

    def _closing(self, result: SyncResult) -> None:
        if result.status == "dry-run":
            self.line(f"Dry run: nothing was written; {result.cross_check}. ({result.seconds:.1f} s)", "bold")
            return
        written = {n: w for n, w in result.published.items() if w}
        rows = ", ".join(f"{n} {w:,}" for n, w in written.items()) or "no row differed"
        self.line(f"Published ({result.cross_check}; read back from the database). Rows written: {rows}. "
                  f"({result.seconds:.1f} s)", "bold")  # fmt: skip

    # -- status

    def status(self, result: StatusResult) -> None:
        """Feeds, tables and last runs."""
        if self.as_json:
            self.json(result)
            return
        self.line(result.server, "bold")
        if result.feeds:
            table = _table("Feeds", "feed", "exports", "rows", "last day", "newest export")
            for feed in result.feeds:
                at = f"{feed.last_export_at:%Y-%m-%d %H:%M}" if feed.last_export_at else "-"
                table.add_row(feed.feed, _int(feed.exports), _int(feed.rows), str(feed.last_date or "-"), at)
            self.out.print(table)
        if result.tables:
            tables = _table("Published", "table", "rows")
            for name, rows in result.tables.items():
                tables.add_row(name, _int(rows))
            self.out.print(tables)
        if result.runs:
            runs = _table("Last runs", "run", "finished (UTC)", "status", "exports", "rows read", "rejected")
            for run in result.runs:
                at = f"{run.finished_at:%Y-%m-%d %H:%M:%S}" if run.finished_at else "-"
                runs.add_row(run.run_id, at, run.status, _int(run.files), _int(run.rows_read), _int(run.rows_rejected))
            self.out.print(runs)
        else:
            self.line("No run yet. Put exports into the inbox and run: rmetrics sync")


def sync_json(result: SyncResult) -> dict[str, Any]:
    """The document of ``sync --json``."""
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


def plain(value: Any) -> Any:
    """A value as JSON has it: money and shares are strings, days are ISO, keys are text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {k: plain(getattr(value, k)) for k in value.__dataclass_fields__}
    match value:
        case Decimal():
            return format(value, "f")
        case Enum():
            return value.value
        case dt.datetime() | dt.date():
            return value.isoformat()
        case Path():
            return str(value)
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(v) for v in value]
        case _:
            return value


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1)
    )
    table.add_column(first, overflow="fold")
    words = {"feed", "", "last day", "newest export", "finished (UTC)", "status"}
    for other in others:
        table.add_column(other, justify="left" if other in words else "right", no_wrap=other not in words)
    return table


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _int(value: int | None) -> str:
    return "-" if value is None else f"{value:,}" if value else "·"


def _whole(value: Decimal | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _money(value: Decimal | None, places: int = 2) -> str:
    return "" if value is None else "·" if not value else f"{value:,.{places}f}"


def _percent(value: Decimal | None) -> str:
    return "" if value is None else f"{value * 100:.0f} %"


def _reached(value: Decimal | int, target: Decimal | None, shown: str) -> Text:
    return Text(shown, style="" if target is None else "green" if value >= target else "red")
