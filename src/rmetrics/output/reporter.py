"""Writes results to stdout as text or JSON, and messages to stderr. Makes no decisions about what is shown."""

import contextlib
import datetime as dt
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from rmetrics.errors import RmetricsError, RulesError
from rmetrics.output.grid import Cell, Grid, GridColumn, blocks, layout
from rmetrics.output.records import csv_of, markdown_of
from rmetrics.output.visible import visible, visible_json

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}
_WIDE = 110
_FORMS = {"csv": csv_of, "markdown": markdown_of}


class Report:
    """Writes results to stdout and messages to stderr.

    Every text passes through ``visible`` first.

    Args:
        as_json: writes one JSON document to stdout instead of text.
        quiet: writes failures only.
        rows_as: ``csv`` or ``markdown``: writes the rows of the document instead of text.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, rows_as: str = "") -> None:
        self._rows_as = rows_as if rows_as in _FORMS else ""
        self.as_json, self.quiet = as_json or bool(self._rows_as), quiet
        self.width = width_of_output()
        self._out = Console(markup=False, highlight=False, emoji=False, width=self.width)
        self._err = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)

    @property
    def as_rows(self) -> bool:
        """Whether rows are written instead of a document."""
        return bool(self._rows_as)

    def json(self, value: object, rows: str = "", columns: Sequence[str] = ()) -> None:
        """Writes a document to stdout, or its rows as CSV or Markdown if requested.

        Args:
            value: the document.
            rows: the key of its rows.
            columns: the columns to write if there are no rows.
        """
        if self._rows_as and rows:
            text = _FORMS[self._rows_as](plain(value)[rows], columns)
            sys.stdout.write(visible(text, sys.stdout.encoding or "utf-8", lines=True))
            return
        document = json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False)
        sys.stdout.write(visible_json(document, sys.stdout.encoding or "utf-8") + "\n")

    def line(self, text: str, style: str = "") -> None:
        """Writes a line of text, unless quiet or JSON."""
        self.parts((text, style))

    def parts(self, *parts: tuple[str, str]) -> None:
        """Writes a line of several texts, each with its style, unless quiet or JSON."""
        if not (self.quiet or self.as_json):
            self._out.print(_joined(parts, self._out), soft_wrap=True)

    def script(self, text: str) -> None:
        """Writes a text of several lines that other programs may read, unless quiet or JSON."""
        if not (self.quiet or self.as_json):
            sys.stdout.write(visible(text, sys.stdout.encoding or "utf-8", lines=True))

    def table(self, grid: Grid) -> None:
        """Writes a table, or a block per row if it is too wide, unless quiet or JSON."""
        if self.quiet or self.as_json:
            return
        grid = grid.shown(lambda text: visible(text, self._out.encoding))
        if grid.title:
            self.line(grid.title, "bold")
        table = layout(grid, self.width)
        if table is not None:
            self._out.print(table)
            return
        self.line(f"Too wide for {self.width} columns: each row is a block.", "dim")
        for line in blocks(grid):
            self._out.print(line, soft_wrap=True)

    def message(self, text: str, style: str = "") -> None:
        """Writes a line to stderr."""
        self._err.print(_joined([(text, style)], self._err))

    def failure(self, text: str, hint: str = "") -> None:
        """Writes a failure and the next step to stderr; both may have several lines."""
        self._err.print(_joined([("error: ", "bold red"), (text, "")], self._err, lines=True))
        if hint:
            self._err.print(_joined([("  " + hint, "dim")], self._err, lines=True))

    def error(self, error: RmetricsError) -> None:
        """Writes an error in one line, followed by the next step."""
        if self.as_json and not self._rows_as:
            self.json({"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}})
        if not isinstance(error, RulesError):
            self.failure(error.message, error.hint)
            return
        head, *_ = error.message.split("\n", 1)
        problems = [f"  {visible(str(problem))}" for problem in error.problems]
        self.failure("\n".join([head, *problems]), error.hint)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Yields a function that shows progress bars on a terminal, and does nothing elsewhere."""
        if self.quiet or self.as_json or not sys.stderr.isatty():
            yield lambda _what, _done, _total: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
        with Progress(*columns, console=self._err, transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def tell(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(visible(what, self._err.encoding), total=total or None)
                bars.update(tasks[what], completed=done, total=total or None)

            yield tell


def _joined(parts: Iterable[tuple[str, str]], console: Console, *, lines: bool = False) -> Text:
    return Text.assemble(*((visible(text, console.encoding, lines=lines), style) for text, style in parts))


def names(kind: type) -> list[str]:
    """Returns the names of a dataclass's fields, in order."""
    return [f.name for f in fields(kind)]


def width_of_output() -> int:
    """Returns the width of stdout in characters: ``COLUMNS``, else the terminal's width, else a default for files."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    with contextlib.suppress(OSError, ValueError):  # not a terminal
        if (known := os.get_terminal_size(sys.stdout.fileno()).columns) > 0:
            return known
    return _WIDE


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:  # noqa: C901, PLR0911 - one line per kind of value
    """Converts a value for JSON: money and shares to strings, days to ISO format, keys to text."""
    if type(value) in _AS_THEY_ARE:  # fast path: nearly all values of a long document
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {k: plain(getattr(value, k)) for k in value.__dataclass_fields__}
    match value:
        case Decimal():
            return format(value, "f")
        case Enum():
            return value.value
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return str(value)  # JSON cannot represent it
        case bytes():
            return value.hex()
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(v) for v in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


_TEXTS = frozenset({"", "column", "feed", "file", "measure", "member", "segment", "source", "type"})
_LEFT = frozenset(
    {
        *("answered", "by", "job", "known", "by CRM", "by touch", "touch", "reason"),
        *("day", "finished (UTC)", "last day", "newest export", "row", "status", "why"),
    }
)


def table(title: str, first: str, *others: str) -> Grid:
    """Returns an empty table: texts wrap, other columns do not; figures are right-aligned."""
    columns = [GridColumn(first, unwrapped=first in _LEFT)]
    columns += [GridColumn(name, right=name not in _TEXTS | _LEFT, unwrapped=name not in _TEXTS) for name in others]
    return Grid(title, columns)


def number(value: int | None) -> str:
    """Formats a whole number; a dot for 0, a dash for unknown."""
    return "-" if value is None else f"{value:,}" if value else "·"


def whole_number(value: Decimal | None) -> str:
    """Formats a figure without decimals; empty for None."""
    return "" if value is None else f"{value:,.0f}"


def money(value: Decimal | None, places: int = 2) -> str:
    """Formats an amount; a dot for 0, empty for None."""
    return "" if value is None else "·" if not value else f"{value:,.{places}f}"


def percent(value: Decimal | None) -> str:
    """Formats a share as a percentage; empty for None."""
    return "" if value is None else f"{value * 100:.0f} %"


def target_cell(value: Decimal | int, target: Decimal | None, shown: str) -> Cell:
    """Returns a cell with a figure, green if it reaches its target and red if not."""
    return Cell(shown, "" if target is None else "green" if value >= target else "red")
