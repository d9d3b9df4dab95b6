"""From blocks of UTF-8 CSV text to batches of records; nothing is typed, nothing is dropped.

A batch has one text column per header, ``LINE`` (the 1-based physical line on which a record starts; for a sheet its
row), ``PROBLEM`` (why the record cannot be used, or null) and ``TEXT`` (the raw record, if there is a problem).

Two readers produce the same records: an exact one (Python's ``csv``, strict) and a fast one (Polars). The fast one is
used for every block proved to be well formed: every quote opens a cell, closes it or is doubled inside one, and cells,
separators and line ends account for all bytes, so that neither a short row nor a swallowed character can go unnoticed.
If the quotes are proved but a few records are ragged or blank, the exact reader reads only those.
"""

import functools
import operator
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from rmetrics.findings import count
from rmetrics.ingest.exact import MAX_CELL, Record, Unfinished, exact_records
from rmetrics.ingest.sniff import BLOCK, DAMAGE
from rmetrics.parallel import WORKERS

LINE, PROBLEM, TEXT = "_line", "_problem", "_text"
EXPORT = "_export"  # in batches with records of several exports: the number of a record's export
OWN_COLUMNS = (LINE, PROBLEM, TEXT, EXPORT)
MAX_RECORD = 64 * 2**20
_EXACT_BATCH = 50_000
_FEW = 20  # at most one record in this many may be faulty for the others to be read fast
_DAMAGE = DAMAGE.encode()


def split_lf(text: str) -> Iterator[str]:
    """Splits lines at LF only, as bytes are split: a bare CR inside a cell is text."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def record_boundary(data: bytes) -> int:
    """The end of the last complete record in a block: after a line end outside quotes; 0 if there is none.

    Only correct if quotes are well formed, which the fast reader proves before the cut is trusted.
    """
    quotes = data.count(b'"')
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        inside = (quotes - data.count(b'"', end)) % 2
        if not inside:
            return end + 1
        # This line end is inside a quoted cell: skip back to the cell's opening quote.
        end = max(data.rfind(b'"', 0, end), 0)
    return 0


def text_batches(
    blocks: Iterator[bytes], headers: Sequence[str], delimiter: str, body: int, start: int = 0
) -> Iterator[pl.DataFrame]:
    """Yields the records of a text.

    Args:
        blocks: UTF-8 text with LF at line ends, from the file's first line on.
        headers: names of the columns.
        delimiter: between cells.
        body: the line of the first record.
        start: the number of the text's first line, which must begin a record; 0: the text begins with the file's first
            line.
    """
    reader = RecordReader(headers, delimiter)
    reader.line = start or body
    reading = _Reading(reader, blocks if start else _below(blocks, body - 1))
    yield from reading.batches()
    if reader.halted:
        yield from reader.region(reading.remaining())


def _below(blocks: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """The blocks without their first lines."""
    data = b""
    for block in blocks:
        data += block
        while skip and (end := data.find(b"\n")) >= 0:
            data, skip = data[end + 1 :], skip - 1
        if not skip:
            yield data
            break
    yield from blocks


@dataclass(slots=True)
class _Pending:
    """A block being read up to ``cut``, assuming that everything before it is well formed."""

    data: bytes
    cut: int
    line: int
    frame: "Future[pl.DataFrame | None]"


class _Reading:
    """Reads several blocks ahead; if one needs the exact reader, those after it are read again.

    Attributes:
        carry: the beginning of a record, after all blocks being read.
        line: the line on which ``carry`` starts.
    """

    def __init__(self, reader: "RecordReader", blocks: Iterator[bytes]) -> None:
        self.reader, self.blocks = reader, blocks
        self.carry, self.line = b"", reader.line
        self.pending: deque[_Pending] = deque()
        self.reread: deque[bytes] = deque()  # blocks to read again, before ``blocks``

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yields the records in order, to the end or until the reader is stuck."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="rmetrics") as pool:
            try:
                yield from self._batches(pool)
            finally:
                for item in self.pending:
                    item.frame.cancel()

    def remaining(self) -> Iterator[bytes]:
        """The blocks after ``reader.rest`` when the reader is stuck."""
        yield from self.reread
        yield from self.blocks

    def _batches(self, pool: ThreadPoolExecutor) -> Iterator[pl.DataFrame]:
        while not self.reader.halted:
            block = self.reread.popleft() if self.reread else next(self.blocks, None)
            data = self.carry + (block or b"")
            cut = record_boundary(data) if block is not None else 0
            if cut:
                frame = pool.submit(self.reader.quick, data[:cut], self.line)
                self.pending.append(_Pending(data, cut, self.line, frame))
                self.carry = data[cut:]
                self.line += data.count(b"\n", 0, cut)
                if len(self.pending) > WORKERS:
                    yield from self._settled()
            elif block is not None and len(data) <= 2 * BLOCK:
                self.carry = data
            elif self.pending:  # first settle earlier blocks, which may change the carry
                if block is not None:
                    self.reread.appendleft(block)
                yield from self._settled()
            elif block is not None:
                yield from self._exactly(data, self.line)
            else:
                yield from self._end()
                return

    def _settled(self) -> Iterator[pl.DataFrame]:
        """Yields the records of the oldest block being read."""
        item = self.pending.popleft()
        frame = item.frame.result()
        if frame is not None:
            yield frame
            return
        # Later boundaries were found by counting quotes that turned out not to be well formed: start over from here.
        before, fresh = item, list[bytes]()
        for later in self.pending:
            later.frame.cancel()
            fresh.append(later.data[len(before.data) - before.cut :])
            before = later
        fresh.append(self.carry[len(before.data) - before.cut :])
        self.pending.clear()
        self.reread.extendleft(reversed([f for f in fresh if f]))
        yield from self._exactly(item.data, item.line)

    def _exactly(self, data: bytes, line: int) -> Iterator[pl.DataFrame]:
        self.reader.line = line
        yield from self.reader.exact(data)
        self.carry, self.line = self.reader.rest, self.reader.line
        self.reader.halted = self.reader.halted or len(self.carry) > MAX_RECORD

    def _end(self) -> Iterator[pl.DataFrame]:
        """Yields the last records, which may lack a line end."""
        if not self.carry:
            return
        frame = self.reader.quick(self.carry, self.line)
        self.reader.line = self.line
        if frame is not None:
            yield frame
        else:
            yield from self.reader.exact(self.carry, last=True)


class RecordReader:
    """Turns blocks of records into batches.

    Attributes:
        line: the line on which the next record starts.
        rest: the part of the last block that the exact reader left: the beginning of a record or, if ``halted``, of a
            region that is unreadable because of an unclosed quote.
    """

    def __init__(self, headers: Sequence[str], delimiter: str) -> None:
        self.headers, self.delimiter = tuple(headers), delimiter
        self.line, self.rest, self.halted = 1, b"", False

    def is_well_formed(self, data: bytes) -> bool:
        """Whether every quote in this text opens a cell, closes it, or is doubled inside one.

        Split at the quotes, every second part is outside quotes. It is empty for a doubled quote; otherwise it starts
        after a closed cell and ends before an opened one.
        """
        parts = pl.Series([data.decode()]).str.split('"').explode()
        if len(parts) % 2 == 0:
            return False
        outside = parts.gather_every(2)
        empty, ends = outside == "", (self.delimiter, "\n")
        closed = functools.reduce(operator.or_, (outside.str.starts_with(e) for e in (*ends, "\r\n")), empty)
        opened = functools.reduce(operator.or_, (outside.str.ends_with(e) for e in ends), empty)
        return bool(closed[1:].all() and opened[:-1].all())

    @cached_property
    def of_this_width(self) -> str:
        """Matches a well-formed record with as many cells as there are headers."""
        d = re.escape(self.delimiter)
        cell = rf'(?:[^"{d}\r\n]*|"(?:[^"]|"")*")'
        return rf"\A{cell}(?:{d}{cell}){{{len(self.headers) - 1}}}\r?\z"

    def quick(self, data: bytes, line: int) -> pl.DataFrame | None:
        """Reads a block with the fast reader, except for a few faulty records; None if that is not proved exact."""
        frame = self.fast(data, line)
        return frame if frame is not None else self.repaired(data, line)

    def fast(self, data: bytes, line: int) -> pl.DataFrame | None:
        """The block as read by Polars; None if it is not proved that the exact reader would give the same."""
        if not data.endswith(b"\n"):
            data += b"\n"
        if not self._plain(data):
            return None
        quotes = data.count(b'"') if b'"' in data else 0  # a search is much faster than a count
        crs = data.count(b"\r") if b"\r" in data else 0
        ends = data.count(b"\n")
        if not quotes and crs:
            # Without quotes, no line end can be inside a cell.
            data, crs = data.replace(b"\r\n", b"\n"), 0
        if quotes and not self.is_well_formed(data):
            return None
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
        inside = self._newlines_inside(frame, ends)
        if inside is None or frame.height == 0 or ends - int(inside.sum()) != frame.height:
            return None
        if crs and frame.height != ends:
            crs -= _in_cells(frame, "\r")
        outer = quotes - _in_cells(frame, '"') if quotes and b'""' in data else quotes
        if not self._covers_all_cells(frame, len(data) - crs - outer) or _has_blank_record(frame):
            return None
        starts = line + (inside + 1).cum_sum().shift(1, fill_value=0).cast(pl.Int64)
        none = pl.lit(None, dtype=pl.String)
        return frame.with_columns(starts.alias(LINE), none.alias(PROBLEM), none.alias(TEXT))

    def repaired(self, data: bytes, line: int) -> pl.DataFrame | None:
        """The block with its few odd records read by the exact reader, the others by the fast one.

        None if quotes or bytes are faulty, because record boundaries are then uncertain, or if many records are odd.
        """
        if not data.endswith(b"\n") or not self._plain(data) or (b'"' in data and not self.is_well_formed(data)):
            return None
        lines = pl.Series("text", [data[:-1].decode()]).str.split("\n").explode()
        table = pl.DataFrame([lines]).with_row_index("line", line)
        if b'"' in data:
            before = lines.str.count_matches('"', literal=True).cum_sum().shift(1, fill_value=0)
            table = (
                table.group_by((before % 2 == 0).cum_sum().alias("record"), maintain_order=True)
                .agg(pl.col("line").first(), pl.col("text").str.join("\n"))
                .drop("record")
            )
        several = pl.col("text").str.count_matches(self.delimiter, literal=True) >= 2 * (len(self.headers) - 1)
        odd = (
            ~pl.col("text").str.contains(self.of_this_width)
            | ~pl.col("text").str.contains(rf'[^\s"{re.escape(self.delimiter)}]')  # blank
            | (pl.col("text").str.contains("\n", literal=True) & several)  # may have swallowed other records
        )
        table = table.with_columns(odd.alias("odd"))
        good, faulty = table.filter(~pl.col("odd")), table.filter("odd")
        if not good.height or faulty.height * _FEW > table.height:
            return None
        found: list[Record] = []
        for start, text, _ in faulty.iter_rows():
            for record in exact_records(
                list(split_lf(text + "\n")), start, self.delimiter, len(self.headers), last=False
            ):
                if isinstance(record, Unfinished):
                    return None
                found.append(record)
        frame = self.fast(("\n".join(good["text"].to_list()) + "\n").encode(), 1)
        if frame is None or frame.height != good.height:
            return None
        frame = frame.with_columns(good["line"].cast(pl.Int64).alias(LINE))
        return pl.concat([frame, self._frame(found)]).sort(LINE) if found else frame

    def _plain(self, data: bytes) -> bool:
        """Whether the data is free of bytes that only the exact reader can handle."""
        if len(self.headers) < 2 or b"\x00" in data or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
            return False
        return data.isascii() or _DAMAGE not in data

    def _newlines_inside(self, frame: pl.DataFrame, ends: int) -> pl.Series | None:
        """The number of line ends inside the cells of each record; None if a cell may have swallowed rows."""
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

    def _covers_all_cells(self, frame: pl.DataFrame, bare: int) -> bool:
        """Whether cells (none too long), separators and line ends add up to the bytes read, without CRs and quotes."""
        sizes = frame.select(pl.all().str.len_bytes())
        cells, longest = sizes.select(
            pl.sum_horizontal(pl.all().sum()).alias("cells"), pl.max_horizontal(pl.all().max()).alias("longest")
        ).row(0)
        return bool(cells + frame.height * len(self.headers) == bare and longest <= MAX_CELL)

    def exact(self, data: bytes, *, last: bool = False) -> Iterator[pl.DataFrame]:
        """Reads the block record by record; unless it is the last block, leaves an unfinished record in ``rest``."""
        complete = data if last else data[: data.rfind(b"\n") + 1]
        lines = list(split_lf(complete.decode()))
        found: list[Record] = []
        unread = len(lines)
        for item in exact_records(lines, self.line, self.delimiter, len(self.headers), last=last):
            if isinstance(item, Unfinished):
                unread, self.halted = item.index, item.halted
                break
            found.append(item)
            if len(found) >= _EXACT_BATCH:
                yield self._frame(found)
                found = []
        if found:
            yield self._frame(found)
        self.line += unread
        self.rest = "".join(lines[unread:]).encode() + data[len(complete) :]

    def region(self, blocks: Iterator[bytes]) -> Iterator[pl.DataFrame]:
        """Yields the rest of the file, from ``rest`` through ``blocks``, as one rejected record.

        An empty frame for each block comes before it: a caller that keeps the bytes as they are read would otherwise
        have the whole rest of the file in memory.
        """
        ends, final = self.rest.count(b"\n"), self.rest[-1:]
        for block in blocks:
            ends, final = ends + block.count(b"\n"), block[-1:]
            yield self._frame([])
        below = ends - 1 if final == b"\n" else ends
        why = f"has a quote that is not closed; this line and the {count(below, 'line')} below it were not read"
        text = self.rest[:MAX_CELL].decode(errors="replace").replace("\x00", "\ufffd").replace(DAMAGE, "\ufffd")
        yield self._frame([Record(self.line, [None] * len(self.headers), why, text)])

    def _frame(self, found: Sequence[Record]) -> pl.DataFrame:
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
    """Whether a record consists of white space only; the exact reader skips such records."""
    first = frame.filter(pl.nth(0).str.strip_chars() == "")
    return first.height > 0 and bool(first.select(pl.all_horizontal(pl.all().str.strip_chars() == "").any()).item())


def small_texts(
    texts: Sequence[tuple[int, bytes]], headers: Sequence[str], delimiter: str, bodies: Sequence[int]
) -> Iterator[pl.DataFrame]:
    """Yields the records of several small texts with the same headers, with ``EXPORT``, using few calls for many texts.

    They are read as one text if all of it is well formed and every text closes its quotes; otherwise each half is read
    separately, down to single texts.

    Args:
        texts: number and UTF-8 text of each, with LF at line ends.
        headers: names of the columns.
        delimiter: between cells.
        bodies: for each text, the line of its first record.
    """
    if len(texts) == 1:
        ((number, text),) = texts
        for frame in text_batches(iter([text]), headers, delimiter, bodies[0]):
            yield frame.with_columns(pl.lit(number, dtype=pl.Int64).alias(EXPORT))
        return
    together = _together(texts, RecordReader(headers, delimiter), bodies)
    if together is not None:
        yield together
        return
    half = len(texts) // 2
    yield from small_texts(texts[:half], headers, delimiter, bodies[:half])
    yield from small_texts(texts[half:], headers, delimiter, bodies[half:])


def _together(texts: Sequence[tuple[int, bytes]], reader: "RecordReader", bodies: Sequence[int]) -> pl.DataFrame | None:
    parts, starts, line = [], [], 1
    for (_, text), body in zip(texts, bodies, strict=True):
        part = b"".join(_below(iter([text]), body - 1))
        part = part if not part or part.endswith(b"\n") else part + b"\n"
        if part.count(b'"') % 2:  # an unclosed quote would swallow the beginning of the next text
            return None
        parts.append(part)
        starts.append(line)
        line += part.count(b"\n")
    joined = b"".join(parts)
    frame = reader.fast(joined, 1) if joined else None
    if frame is None:
        return None
    begins = pl.Series(starts, dtype=pl.Int64)
    # An empty text has the same start as the next one, to which the line belongs.
    of = begins.search_sorted(frame[LINE], side="right").cast(pl.Int64) - 1
    numbers = pl.Series([number for number, _ in texts], dtype=pl.Int64)
    first = pl.Series(bodies, dtype=pl.Int64)
    lines = frame[LINE] - begins.gather(of) + first.gather(of)
    return frame.with_columns(lines.alias(LINE), numbers.gather(of).alias(EXPORT))
