"""Results to text or JSON. Decides nothing: what is shown was decided below."""

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
from rmetrics.output.grid import Cell, Column, Grid, blocks, layout
from rmetrics.output.records import csv_of, markdown_of
from rmetrics.output.visible import visible, visible_json

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}
_WIDE = 110
_FORMS = {"csv": csv_of, "markdown": markdown_of}


class Report:
    """Writes results to stdout and messages to stderr; the only place where either is written.

    Every text is made visible first: see ``visible``.

    Args:
        as_json: one JSON document on stdout instead of text.
        quiet: nothing but failures.
        rows_as: ``csv`` or ``markdown``: the rows of that document instead of text.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, rows_as: str = "") -> None:
        self._rows_as = rows_as if rows_as in _FORMS else ""
        self.as_json, self.quiet = as_json or bool(self._rows_as), quiet
        self.width = width_of_output()
        self._out = Console(markup=False, highlight=False, emoji=False, width=self.width)
        self._err = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)

    @property
    def as_rows(self) -> bool:
        """Whether rows are printed instead of a document."""
        return bool(self._rows_as)

    def json(self, value: object, rows: str = "", columns: Sequence[str] = ()) -> None:
        """One document on stdout; or its rows as CSV or Markdown, where that was asked for.

        Args:
            value: the document.
            rows: the key under which it has its rows.
            columns: of the rows, where there may be none.
        """
        if self._rows_as and rows:
            text = _FORMS[self._rows_as](plain(value)[rows], columns)
            sys.stdout.write(visible(text, sys.stdout.encoding or "utf-8", lines=True))
            return
        document = json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False)
        sys.stdout.write(visible_json(document, sys.stdout.encoding or "utf-8") + "\n")

    def line(self, text: str, style: str = "") -> None:
        """A line for a person, unless quiet or JSON."""
        self.parts((text, style))

    def parts(self, *parts: tuple[str, str]) -> None:
        """A line of several texts, each with its style, unless quiet or JSON."""
        if not (self.quiet or self.as_json):
            self._out.print(_joined(parts, self._out), soft_wrap=True)

    def script(self, text: str) -> None:
        """Text of many lines that another program may read, unless quiet or JSON."""
        if not (self.quiet or self.as_json):
            sys.stdout.write(visible(text, sys.stdout.encoding or "utf-8", lines=True))

    def table(self, grid: Grid) -> None:
        """A table, or a block per row where the table is too wide, unless quiet or JSON."""
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
        """A line on stderr."""
        self._err.print(_joined([(text, style)], self._err))

    def failure(self, text: str, hint: str = "") -> None:
        """What failed, on stderr, and the next step; both may have several lines of ours."""
        self._err.print(_joined([("error: ", "bold red"), (text, "")], self._err, lines=True))
        if hint:
            self._err.print(_joined([("  " + hint, "dim")], self._err, lines=True))

    def error(self, error: RmetricsError) -> None:
        """One clear line, and the next step."""
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
        """Bars on a terminal; nothing elsewhere."""
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
    """The fields of a dataclass, in order."""
    return [f.name for f in fields(kind)]


def width_of_output() -> int:
    """How many columns stdout has: ``COLUMNS``, else the terminal's own, else what suits a file."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    with contextlib.suppress(OSError, ValueError):  # no terminal
        if (known := os.get_terminal_size(sys.stdout.fileno()).columns) > 0:
            return known
    return _WIDE


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:  # noqa: C901, PLR0911 - one line per kind of value
    """A value as JSON has it: money and shares are strings, days are ISO, keys are text."""
    if type(value) in _AS_THEY_ARE:  # nearly every value of a long document
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
            return str(value)  # JSON has no such numbers
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
        *("answered", "by", "job", "known", "the CRM says", "the touch says", "touch", "why not"),
        *("day", "finished (UTC)", "last day", "newest export", "row", "status", "why"),
    }
)


def table(title: str, first: str, *others: str) -> Grid:
    """An empty table: texts fold, all else is whole; figures stand to the right."""
    columns = [Column(first, whole=first in _LEFT)]
    columns += [Column(name, right=name not in _TEXTS | _LEFT, whole=name not in _TEXTS) for name in others]
    return Grid(title, columns)


def number(value: int | None) -> str:
    """A whole number; a dot for 0, a dash for unknown."""
    return "-" if value is None else f"{value:,}" if value else "·"


def whole(value: Decimal | None) -> str:
    """A figure without decimals; nothing for None."""
    return "" if value is None else f"{value:,.0f}"


def money(value: Decimal | None, places: int = 2) -> str:
    """An amount; a dot for 0, nothing for None."""
    return "" if value is None else "·" if not value else f"{value:,.{places}f}"


def percent(value: Decimal | None) -> str:
    """A share as a percentage; nothing for None."""
    return "" if value is None else f"{value * 100:.0f} %"


def reached(value: Decimal | int, target: Decimal | None, shown: str) -> Cell:
    """A figure, green where it reaches its target and red where it does not."""
    return Cell(shown, "" if target is None else "green" if value >= target else "red")
