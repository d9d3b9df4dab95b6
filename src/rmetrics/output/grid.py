"""Tables that fit the terminal without cutting figures or squeezing columns until they are unreadable.

Figures and dates keep their width; texts wrap, but never to less than a word. If that is still too wide, or a cell
would take too many lines, each row is printed as a block of ``column  value`` lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

_MAX_CELL_LINES = 6  # the most lines of a cell
# Layouts in the order tried: the gap between columns, and the minimum width of a wrapped text, in characters.
_TRIED = ((3, 16), (2, 16), (1, 16), (1, 8))


class Cell(NamedTuple):
    """A text and its style."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column of a table.

    Attributes:
        name: its header.
        right: whether it is right-aligned, like figures.
        unwrapped: whether its values never wrap: figures, dates, identifiers.
    """

    name: str
    right: bool = False
    unwrapped: bool = False


@dataclass(slots=True)
class Grid:
    """A table to display.

    Attributes:
        title: the line above it; may be empty.
        columns: in order.
        rows: one cell per column.
        sections: the indexes of the rows that follow a rule.
    """

    title: str
    columns: Sequence[GridColumn]
    rows: list[list[Cell]] = field(default_factory=list)
    sections: set[int] = field(default_factory=set)

    def add_row(self, *cells: str | Cell) -> None:
        """Adds a row; a plain text is a cell without a style."""
        self.rows.append([cell if isinstance(cell, Cell) else Cell(cell) for cell in cells])

    def add_section(self) -> None:
        """Adds a rule before the next row."""
        self.sections.add(len(self.rows))

    def shown(self, clean: Callable[[str], str]) -> "Grid":
        """Returns a copy with every text passed through ``clean``."""
        columns = [GridColumn(clean(c.name), c.right, c.unwrapped) for c in self.columns]
        rows = [[Cell(clean(c.text), c.style) for c in row] for row in self.rows]
        return Grid(clean(self.title), columns, rows, self.sections)


def layout(grid: Grid, width: int) -> Table | None:
    """Lays out the table in ``width`` characters; None if it must be printed as blocks."""
    for gap, narrowest in _TRIED:
        edges = 0 if gap == 1 else 2
        widths = _widths(grid, width - gap * (len(grid.columns) - 1) - edges, narrowest)
        if widths is not None:
            return _table(grid, widths, gap)
    return None


def _widths(grid: Grid, room: int, narrowest: int) -> list[int] | None:
    """Returns a width for each column, at most ``room`` in total; None if they do not fit."""
    natural = [
        max([cell_len(column.name), *(cell_len(row[i].text) for row in grid.rows)])
        for i, column in enumerate(grid.columns)
    ]
    least = [
        n if column.unwrapped or column.right else min(n, max(narrowest, cell_len(column.name)))
        for n, column in zip(natural, grid.columns, strict=True)
    ]
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = list(least)
    # Columns that need the least get their full width first, so that only the longest texts wrap.
    short = sorted((i for i, n in enumerate(natural) if n > least[i]), key=lambda i: natural[i] - least[i])
    for position, i in enumerate(short):
        more = min(natural[i] - least[i], spare // (len(short) - position))
        widths[i] += more
        spare -= more
    too_tall = any(n > w * _MAX_CELL_LINES for n, w in zip(natural, widths, strict=True))
    return None if too_tall else widths


def _table(grid: Grid, widths: Sequence[int], gap: int) -> Table:
    left, right = int(gap == 3), int(gap > 1)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, right, 0, left), show_edge=gap != 1)
    for column, width in zip(grid.columns, widths, strict=True):
        justify = "right" if column.right else "left"
        table.add_column(Text(column.name), justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
    for number, row in enumerate(grid.rows):
        if number in grid.sections:
            table.add_section()
        table.add_row(*(Text(cell.text, style=cell.style) for cell in row))
    return table


def blocks(grid: Grid) -> list[Text]:
    """Returns the lines of a table printed row by row: ``column  value`` per filled cell, then a blank line."""
    names = _labels([column.name or "note" for column in grid.columns])
    width = max(map(cell_len, names))
    lines: list[Text] = []
    for row in grid.rows:
        for name, cell in zip(names, row, strict=True):
            if cell.text:
                label = name + " " * (width - cell_len(name))
                lines.append(Text(f"{label}  ", style="dim") + Text(cell.text, style=cell.style))
        lines.append(Text(""))
    return lines


def _labels(names: list[str]) -> list[str]:
    """Prefixes repeated column names with the preceding column's name: two targets belong to different figures."""
    return [
        f"{names[i - 1]} {name}" if i and names.count(name) > 1 and names[i - 1] != name else name
        for i, name in enumerate(names)
    ]
