"""Results to text or JSON. Decides nothing: what is shown was decided below."""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
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

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}
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
        if self.quiet or self.as_json or not sys.stderr.isatty():
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


def table(title: str, first: str, *others: str) -> Table:
    """An empty table; the first column folds, figures stand to the right."""
    grid = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1)
    )
    grid.add_column(first, overflow="fold")
    words = {
        "column",
        "type",
        "segment",
        "measure",
        "source",
        "why",
        "feed",
        "",
        "last day",
        "newest export",
        "finished (UTC)",
        "status",
    }
    for other in others:
        grid.add_column(other, justify="left" if other in words else "right", no_wrap=other not in words)
    return grid


def count(number: int, what: str) -> str:
    """``3 files``, ``1 file``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


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


def reached(value: Decimal | int, target: Decimal | None, shown: str) -> Text:
    """A figure, green where it reaches its target and red where it does not."""
    return Text(shown, style="" if target is None else "green" if value >= target else "red")
