"""Blocks of UTF-8 CSV text to batches of records; nothing is typed, nothing is dropped.

A batch has one text column per header, ``LINE`` (the physical line a record starts on, 1-based; for a sheet its row),
``PROBLEM`` (null, or why the record cannot be used) and ``TEXT`` (the record as it stands, where there is a problem).

Two readers give the same records: an exact one (Python's ``csv``, strict) and a fast one (Polars), which is used for
every block of records that is proved well formed: every quote opens a cell, closes it or is doubled inside one, and the
bytes are all accounted for by cells, separators and line ends, so no short row and no swallowed character can hide.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from rmetrics.ingest.sniff import BLOCK, DAMAGE

LINE, PROBLEM, TEXT = "_line", "_problem", "_text"
OWN_COLUMNS = (LINE, PROBLEM, TEXT)
MAX_CELL = 8 * 2**20
MAX_RECORD = 64 * 2**20
_EXACT_BATCH = 50_000
_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quotes")  # proves while the fast reader reads
_DAMAGE = DAMAGE.encode()
# What the fast reader takes for white space (Unicode's White_Space); Python's strip() knows four more characters.
_WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def split_lf(text: str) -> Iterator[str]:
    """Lines ended by LF only, as bytes are split: a bare CR inside a cell is text."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def record_boundary(data: bytes) -> int:
    """Where the last whole record of a block ends: after a line end that stands outside quotes; 0 if there is none.

    Right only where quotes are well formed, which the fast reader proves before the cut is trusted.
    """
    quotes = data.count(b'"')
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        inside = (quotes - data.count(b'"', end)) % 2
        if not inside:
            return end + 1
        # Jump over the cell that is open here: look for its opening quote.
        end = max(data.rfind(b'"', 0, end), 0)
    return 0


def text_batches(blocks: Iterator[bytes], headers: Sequence[str], delimiter: str, body: int) -> Iterator[pl.DataFrame]:
    """Yields the records of a text.

    Args:
        blocks: UTF-8 text with LF at line ends, from the file's first line on.
        headers: names of the columns.
        delimiter: between cells.
        body: the line the first record starts on.
    """
    reader = RecordReader(headers, delimiter)
    skip, carry = body - 1, b""
    reader.line = body
    for block in blocks:
        data = carry + block
        while skip and (end := data.find(b"\n")) >= 0:
            data, skip = data[end + 1 :], skip - 1
        carry = data
        if skip:
            continue
        yield from reader.read(data)
        carry = reader.rest
        if reader.stuck:
            break
    if carry and not skip and not reader.stuck:
        yield from reader.read(carry, last=True)
    if reader.stuck:
        yield reader.region(blocks)


class RecordReader:
    """Blocks of records to batches.

    Attributes:
        line: the line the next record starts on.
        rest: what of the last block was not read: the beginning of a record,
            or, where ``stuck``, of a region that cannot be read, because a quote in it is not closed.
    """

    def __init__(self, headers: Sequence[str], delimiter: str) -> None:
        self.headers, self.delimiter = tuple(headers), delimiter
        self.line, self.rest, self.stuck = 1, b"", False

    @cached_property
    def well_formed(self) -> str:
        """Matches text in which every quote opens a cell, closes it, or is doubled inside one."""
        d = re.escape(self.delimiter)
        cell = rf'(?:[^"{d}\r\n]*|"(?:[^"]|"")*")'
        return rf"\A(?:{cell}(?:{d}{cell})*\r?(?:\n|\z))*\z"

    def is_well_formed(self, data: bytes) -> bool:
        """Whether the fast reader cannot take a quote in this text for anything but what it is."""
        return bool(pl.Series([data.decode()]).str.contains(self.well_formed)[0])

    def read(self, data: bytes, *, last: bool = False) -> Iterator[pl.DataFrame]:
        """Yields the whole records of a block; what is left begins the next one."""
        self.rest = b""
        cut = len(data) if last else record_boundary(data)
        fast = self.fast(data[:cut], self.line) if cut else None
        if fast is not None:
            self.rest = data[cut:]
            self.line += data.count(b"\n", 0, cut)
            yield fast
        elif cut == 0 and len(data) <= 2 * BLOCK:
            self.rest = data
        else:
            yield from self.exact(data, last=last)
            self.stuck = self.stuck or len(self.rest) > MAX_RECORD

    def fast(self, data: bytes, line: int) -> pl.DataFrame | None:
        """The block read by Polars, or None where it is not proved to mean the same to the exact reader."""
        if not data.endswith(b"\n"):
            data += b"\n"
        carriage = data.count(b"\r")
        if b"\x00" in data or _DAMAGE in data or len(self.headers) < 2 or carriage != data.count(b"\r\n"):
            return None
        if b'"' not in data:
            # Without quotes no line end stands inside a cell.
            data = data.replace(b"\r\n", b"\n") if carriage else data
            proof = None
        else:
            proof = _THREAD.submit(self.is_well_formed, data)
        try:
            frame = pl.read_csv(
                data,
                has_header=False,
                separator=self.delimiter,
                infer_schema=False,
                empty_string_is_null=False,
                schema=dict.fromkeys(self.headers, pl.String),
            )
        except pl.exceptions.PolarsError:
            return None
        finally:
            proved = proof is None or proof.result()
        if not proved:
            return None
        ends = data.count(b"\n")
        inside = self._newlines_inside(frame, ends)
        if inside is None or not self._accounted(frame, data, ends, inside):
            return None
        if _has_blank_record(frame) or _too_long(frame):
            return None
        starts = line + (inside + 1).cum_sum().shift(1, fill_value=0).cast(pl.Int64)
        none = pl.lit(None, dtype=pl.String)
        return frame.with_columns(starts.alias(LINE), none.alias(PROBLEM), none.alias(TEXT))

    def _newlines_inside(self, frame: pl.DataFrame, ends: int) -> pl.Series | None:
        """How many line ends stand inside the cells of each record; None where a cell may have swallowed rows."""
        total = pl.Series([0], dtype=pl.UInt32).new_from_index(0, frame.height)
        if frame.height == ends:
            return total
        multiline = frame.select(pl.all().str.contains("\n", literal=True).any()).row(0, named=True)
        for cells in (frame[name] for name, several in multiline.items() if several):
            lines = cells.str.count_matches("\n", literal=True)
            total = total + lines
            long = cells.filter(lines > 0).str.count_matches(self.delimiter, literal=True)
            if (long >= len(self.headers) - 1).any():
                return None
        return total

    def _accounted(self, frame: pl.DataFrame, data: bytes, ends: int, inside: pl.Series) -> bool:
        """Whether cells, separators, line ends and quotes add up to the bytes that were read."""
        if frame.height == 0 or ends - int(inside.sum()) != frame.height:
            return False
        crs = data.count(b"\r")
        if crs and inside.sum():
            crs -= _in_cells(frame, "\r")
        quotes = data.count(b'"')
        outer = quotes - _in_cells(frame, '"') if b'""' in data else quotes
        cells = frame.select(pl.sum_horizontal(pl.all().str.len_bytes().sum())).item()
        return bool(cells + frame.height * len(self.headers) + crs + outer == len(data))

    def exact(self, data: bytes, *, last: bool = False) -> Iterator[pl.DataFrame]:
        """The block read record by record; leaves an unfinished record at its end as ``rest`` unless it is the last."""
        whole = data if last else data[: data.rfind(b"\n") + 1]
        lines = list(split_lf(whole.decode()))
        found: list[_Record] = []
        unread = len(lines)
        for item in _records(lines, self.line, self.delimiter, len(self.headers), last=last):
            if isinstance(item, _Unfinished):
                unread, self.stuck = item.index, item.stuck
                break
            found.append(item)
            if len(found) >= _EXACT_BATCH:
                yield self._frame(found)
                found = []
        if found:
            yield self._frame(found)
        self.line += unread
        self.rest = "".join(lines[unread:]).encode() + data[len(whole) :]

    def region(self, blocks: Iterator[bytes]) -> pl.DataFrame:
        """The rest of the file, after ``rest`` in ``blocks``, as one rejected record."""
        ends, final = self.rest.count(b"\n"), self.rest[-1:]
        for block in blocks:
            ends, final = ends + block.count(b"\n"), block[-1:]
        below = ends - 1 if final == b"\n" else ends
        why = f"has a quote that is not closed; this line and the {_n(below, 'line')} below it were not read"
        text = self.rest[:MAX_CELL].decode(errors="replace").replace("\x00", "\ufffd").replace(DAMAGE, "\ufffd")
        return self._frame([_Record(self.line, [None] * len(self.headers), why, text)])

    def _frame(self, found: Sequence["_Record"]) -> pl.DataFrame:
        frame = pl.DataFrame(
            [r.cells for r in found], schema=dict.fromkeys(self.headers, pl.String), orient="row", infer_schema_length=0
        )
        return frame.with_columns(
            pl.Series(LINE, [r.line for r in found], dtype=pl.Int64),
            pl.Series(PROBLEM, [r.problem for r in found], dtype=pl.String),
            pl.Series(TEXT, [r.text for r in found], dtype=pl.String),
        )


def _in_cells(frame: pl.DataFrame, text: str) -> int:
    return int(frame.select(pl.sum_horizontal(pl.all().str.count_matches(text, literal=True).sum())).item())


def _has_blank_record(frame: pl.DataFrame) -> bool:
    """Whether a record has nothing but white space, which is no record to the exact reader."""
    first = frame.filter(pl.nth(0).str.strip_chars() == "")
    return first.height > 0 and bool(first.select(pl.all_horizontal(pl.all().str.strip_chars() == "").any()).item())


def _too_long(frame: pl.DataFrame) -> bool:
    longest = frame.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    return longest is not None and longest > MAX_CELL


@dataclass(slots=True)
class _Record:
    line: int
    cells: list[str | None]
    problem: str | None = None
    text: str | None = None


@dataclass(slots=True)
class _Unfinished:
    """The index of the line from which on nothing was read: more lines are needed, or none would help (stuck)."""

    index: int
    stuck: bool


def _records(lines: list[str], line: int, delimiter: str, width: int, *, last: bool) -> Iterator[_Record | _Unfinished]:
    """The records of some lines, ragged ones with their problem; a faulty quote spoils its line, an open one all."""
    csv.field_size_limit(2**31 - 1)
    blank: list[str | None] = [None] * width
    at = 0  # index of the line the next record starts on
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
                yield _Unfinished(start, stuck=last or not open_at_end)
                return
            why = "has a quote in the middle of a quoted cell"
            if "new-line" in str(error):
                why = "has a line end (CR) in the middle of a cell that is not quoted"
            yield _Record(line + start, blank, why, lines[start][:MAX_CELL].replace("\x00", "\ufffd"))
            at = start + 1
        else:
            return


def _checked(cells: list[str], line: int, raw: str, width: int, delimiter: str, *, final: bool) -> _Record | None:
    if not any(c.strip(_WHITE) for c in cells):
        return None
    problem = _problem_of(cells, raw, width, delimiter)
    if problem and final and not raw.endswith("\n"):
        problem += "; the file may have been cut off here"
    kept: list[str | None] = [*cells[:width], *[None] * (width - len(cells))]
    if problem is None:
        return _Record(line, kept)
    if "\x00" in raw or len(raw) > MAX_CELL:
        kept = [None] * width
    return _Record(line, kept, problem, raw[:MAX_CELL].replace("\x00", "\ufffd").replace(DAMAGE, "\ufffd"))


def _problem_of(cells: list[str], raw: str, width: int, delimiter: str) -> str | None:
    """Why a record cannot be used, or None."""
    if "\x00" in raw:
        return "holds a NUL character"
    if DAMAGE in raw:
        return "holds damaged bytes, which are no text in the file's encoding (UTF-8, unless noted otherwise)"
    if len(cells) < width:
        return f"has {_n(len(cells), 'cell')} where the header has {width}"
    if any(c.strip() for c in cells[width:]):
        return f"has {len(cells)} cells where the header has {width}"
    if len(raw) > MAX_CELL and any(len(c.encode()) > MAX_CELL for c in cells):
        return f"has a cell longer than {MAX_CELL >> 20} MB"
    if raw.count("\n") > 1 and (count := _swallowed(cells, width, delimiter)):
        return f"has a quoted cell with {_n(count, 'line')} in it that look like rows of their own: is a quote missing?"
    return None


def _swallowed(cells: list[str], width: int, delimiter: str) -> int:
    """How many lines inside the cells have as many cells as the header and digits where the record has digits."""
    if width < 3:
        return 0
    shape = [_numeric(c) for c in cells[:width]]
    inner = [part.rstrip("\r").split(delimiter) for c in cells if "\n" in c for part in c.split("\n")[1:]]
    rows = [r for r in inner if len(r) >= width and not any(c.strip() for c in r[width:])]
    return sum(sum(_numeric(c) == s for c, s in zip(r, shape, strict=False)) >= width - 1 for r in rows)


def _numeric(cell: str) -> bool:
    return any(c.isdigit() for c in cell[:200])


def _n(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
