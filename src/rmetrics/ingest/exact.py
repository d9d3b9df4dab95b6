"""Turns lines of CSV text into records with Python's strict reader, one at a time, each with its problem."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.findings import count
from rmetrics.ingest.sniff import DAMAGE

MAX_CELL = 8 * 2**20
# White space as the fast reader defines it (Unicode's White_Space); Python's strip() has four more characters.
WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


@dataclass(slots=True)
class Record:
    """A record: its cells (null if missing or indistinguishable), and why it cannot be used."""

    line: int
    cells: list[str | None]
    problem: str | None = None
    text: str | None = None


@dataclass(slots=True)
class Unfinished:
    """The index of the first line not read: more lines are needed, or none would help (stuck)."""

    index: int
    halted: bool


def exact_records(
    lines: list[str], line: int, delimiter: str, width: int, *, last: bool
) -> Iterator[Record | Unfinished]:
    """Yields the records of some lines with their problems.

    A faulty quote affects its own line only, an unclosed one all lines that follow.
    """
    csv.field_size_limit(2**31 - 1)
    blank: list[str | None] = [None] * width
    at = 0  # index of the next record's first line
    while at < len(lines):
        reader = csv.reader((lines[i] for i in range(at, len(lines))), delimiter=delimiter, strict=True)
        start = at
        try:
            for cells in reader:
                begun, start = start, at + reader.line_num
                raw = "".join(lines[begun:start]) if start > begun + 1 else lines[begun]
                record = _checked(cells, line + begun, raw, width, delimiter, final=last and start >= len(lines))
                if record is not None:
                    yield record
        except csv.Error as error:
            open_at_end = "unexpected end of data" in str(error)
            if open_at_end or at + reader.line_num - start > 1:
                yield Unfinished(start, halted=last or not open_at_end)
                return
            why = "has a quote in the middle of a quoted cell"
            if "new-line" in str(error):
                why = "has a line end (CR) in the middle of a cell that is not quoted"
            yield Record(line + start, blank, why, lines[start][:MAX_CELL].replace("\x00", "\ufffd"))
            at = start + 1
        else:
            return


def _checked(cells: list[str], line: int, raw: str, width: int, delimiter: str, *, final: bool) -> Record | None:
    if not any(c.strip(WHITE) for c in cells):
        return None
    problem = _problem_of(cells, raw, width, delimiter)
    if problem and final and not raw.endswith("\n"):
        problem += "; the file may have been cut off here"
    kept: list[str | None] = [*cells[:width], *[None] * (width - len(cells))]
    if problem is None:
        return Record(line, kept)
    if "\x00" in raw or len(raw) > MAX_CELL:
        kept = [None] * width
    return Record(line, kept, problem, raw[:MAX_CELL].replace("\x00", "\ufffd").replace(DAMAGE, "\ufffd"))


def _problem_of(cells: list[str], raw: str, width: int, delimiter: str) -> str | None:
    """Why a record cannot be used, or None."""
    if "\x00" in raw:
        return "contains a NUL character"
    if DAMAGE in raw:
        return "contains damaged bytes, which are not text in the file's encoding (UTF-8, unless noted otherwise)"
    if len(cells) < width:
        return f"has {count(len(cells), 'cell')} where the header has {width}"
    if any(c.strip() for c in cells[width:]):
        return f"has {len(cells)} cells where the header has {width}"
    if len(raw) > MAX_CELL and any(len(c.encode()) > MAX_CELL for c in cells):
        return f"has a cell longer than {MAX_CELL >> 20} MB"
    if raw.count("\n") > 1 and (lines := _rows_in_cells(cells, width, delimiter)):
        line_count = count(lines, "line")
        return f"has a quoted cell with {line_count} that look like separate rows: is a quote missing?"
    return None


def _rows_in_cells(cells: list[str], width: int, delimiter: str) -> int:
    """The number of lines inside cells that look like rows: as many cells as the header, digits in the same columns."""
    if width < 3:
        return 0
    shape = [_numeric(c) for c in cells[:width]]
    inner = [part.rstrip("\r").split(delimiter) for c in cells if "\n" in c for part in c.split("\n")[1:]]
    rows = [r for r in inner if len(r) >= width and not any(c.strip() for c in r[width:])]
    return sum(sum(_numeric(c) == s for c, s in zip(r, shape, strict=False)) >= width - 1 for r in rows)


def _numeric(cell: str) -> bool:
    return any(c.isdigit() for c in cell[:200])
