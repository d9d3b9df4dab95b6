"""Bytes of an export to batches of text cells; nothing is typed, nothing is dropped.

A batch has one text column per header, ``LINE`` (the physical line a record starts on, 1-based; for a sheet its row),
``PROBLEM`` (null, or why the record cannot be used) and ``TEXT`` (the record as it stands, where there is a problem).

Two readers give the same records: an exact one (Python's ``csv``, strict) and a fast one (Polars), which is used for
every block of records that is proved well formed: its quoting matches a regular expression, and its bytes are all
accounted for by cells, separators and line ends, so no short row and no swallowed character can hide in it.
"""

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

import polars as pl

from rmetrics.ingest.excel import SheetError, workbook_rows
from rmetrics.ingest.recognise import FORMATTING, Fit, best_fit, normal_header
from rmetrics.rules.model import Feed

LINE, PROBLEM, TEXT = "_line", "_problem", "_text"
OWN_COLUMNS = (LINE, PROBLEM, TEXT)

BLOCK = 8 * 2**20
HEAD = 256 * 2**10  # how far down a header is looked for
HEAD_RECORDS = 60
MAX_CELL = 8 * 2**20
MAX_RECORD = 64 * 2**20
_DELIMITERS = (",", ";", "\t", "|")
_RANGE = re.compile(r".+ - .+|[A-Za-z]+ \d{1,2}, \d{4}|\d{1,2} [A-Za-z]+ \d{4}")


class RefusedError(Exception):
    """The file is not an export that can be read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the text of an export is laid out.

    Attributes:
        encoding: of the bytes.
        delimiter: between cells; empty for a sheet.
        sheet: name of the sheet; empty for text.
        headers: unique names of the columns, as they stand in the file.
        header_line: 1-based line (or row) of the header.
        body_line: the line the first record starts on.
        preamble: the lines above the header.
        notes: what a person should know, for instance that the encoding was guessed.
    """

    encoding: str
    delimiter: str
    sheet: str
    headers: tuple[str, ...]
    header_line: int
    body_line: int
    preamble: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Export:
    """One file as a table of text.

    Attributes:
        fits: the feeds it fits: one; several equally well; or the nearest miss.
    """

    path: Path
    layout: Layout
    fits: list[Fit]
    _rows: pl.DataFrame | None = field(default=None)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yields the records below the header, in order.

        Raises:
            RefusedError: the bytes cannot be decoded or unpacked to the end.
        """
        if self._rows is not None:
            yield self._rows
        else:
            yield from _text_batches(self.path, self.layout)


def open_export(path: Path, name: str, feeds: Mapping[str, Feed]) -> Export:
    """Finds the header of a file and the feeds that fit it.

    Args:
        path: where the bytes are.
        name: the export's name.
        feeds: all feeds declared.

    Raises:
        RefusedError: it is no table: empty, a web page, a PDF, an unreadable workbook, an unknown encoding.
    """
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise RefusedError("is empty; export it again")
    kind = _kind(start)
    if kind == "workbook":
        return _open_workbook(path, name, feeds)
    if kind:
        raise RefusedError(kind)
    encoding, notes = _encoding(path, name, feeds)
    head = _decoded_head(path, encoding)
    return _open_text(path, name, feeds, encoding, notes, head)


def _kind(start: bytes) -> str:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "workbook"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        return "is a web page, not an export: the login may have expired; log in and export again"
    if text.startswith(b"%pdf"):
        return "is a PDF, not an export; export it as CSV or Excel"
    if text.startswith((b"{", b"[{")):
        return "is JSON, not CSV or Excel"
    return ""


# -- text


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with _opened(path) as file:
            while block := file.read(BLOCK):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RefusedError("is a damaged or cut-off .gz file; copy it again") from error


def _encoding(path: Path, name: str, feeds: Mapping[str, Feed]) -> tuple[str, tuple[str, ...]]:
    """The encoding: by its mark, by proof (it decodes as UTF-8), as the feed declares, or detected, with a note."""
    blocks = _blocks(path)
    first = next(blocks, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ()
    head = first[:4096]
    if head.count(b"\x00") * 4 > len(head):
        return ("utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be"), ()
    decoder = codecs.getincrementaldecoder("utf-8")()
    sample = bytearray()
    try:
        decoder.decode(first)
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        bad = error.object[max(0, error.start - 2000) : error.start + 2000]
        sample += bad
    else:
        return "utf-8-sig", ()
    declared = {f.encoding for n, f in feeds.items() if f.encoding and _named(name, f)}
    if len(declared) == 1:
        return declared.pop() or "", ()
    guess = _detected(bytes(sample), first)
    return guess, (f"the encoding is not UTF-8; read as {guess}",)


def _named(name: str, feed: Feed) -> bool:
    import fnmatch

    return any(fnmatch.fnmatchcase(name.casefold(), g.casefold().rstrip("*") + "*") for g in feed.files)


def _detected(sample: bytes, first: bytes) -> str:
    from charset_normalizer import from_bytes

    allowed = ["cp1252", "cp1251"]
    best = from_bytes(first[:65536] + b"\n" + sample, cp_isolation=allowed, threshold=0.6).best()
    if best is not None and best.encoding in allowed:
        return str(best.encoding)
    try:
        (first + sample).decode("cp1252")
    except UnicodeDecodeError as error:
        raise RefusedError(
            'has an encoding that cannot be told; save it as UTF-8, or name it in the feed: encoding = "..."'
        ) from error
    return "cp1252"


def _decoded_head(path: Path, encoding: str) -> str:
    raw = b""
    for block in _blocks(path):
        raw = block[:HEAD]
        break
    return codecs.getincrementaldecoder(encoding)("strict").decode(raw).replace("\x00", "�")


def _open_text(
    path: Path, name: str, feeds: Mapping[str, Feed], encoding: str, notes: tuple[str, ...], head: str
) -> Export:
    if "\n" not in head and "\r" in head:
        head = head.replace("\r", "\n")
    forced = re.match("\ufeff?sep=(.)\r?\n", head)
    candidates = (forced[1],) if forced else _DELIMITERS
    best: tuple[tuple[object, ...], Export] | None = None
    for delimiter in candidates:
        for records_above, line, next_line, cells in _head_records(head, delimiter):
            if len(cells) < 2 and not (delimiter == "," and len(cells) == 1 and cells[0].strip()):
                continue
            preamble = tuple(head.splitlines()[: line - 1])
            headers = unique_headers(cells)
            fits = best_fit(headers, name, feeds, ranged=any(_RANGE.fullmatch(p.strip().strip('"')) for p in preamble))
            score = _score(fits, len(headers), records_above)
            if best is None or score > best[0]:
                layout = Layout(encoding, delimiter, "", headers, line, next_line, preamble, notes)
                best = score, Export(path, layout, fits)
    if best is None:
        raise RefusedError("has no row that looks like a header")
    return best[1]


def _score(fits: Sequence[Fit], width: int, above: int) -> tuple[object, ...]:
    """Prefers a row that fits, then the nearest miss, then the topmost and widest row."""
    top = fits[0] if fits else None
    return (top is not None and top.fits, top is not None, top.known if top else 0, -above if top else -99, width)


def _head_records(head: str, delimiter: str) -> Iterator[tuple[int, int, int, list[str]]]:
    """Yields (index, first line, line after, cells) of the first records; lines are counted as the body reader does."""
    reader = csv.reader(_split_lf(head), delimiter=delimiter)
    line = 1
    try:
        for index, cells in enumerate(reader):
            if index >= HEAD_RECORDS:
                return
            yield index, line, reader.line_num + 1, cells
            line = reader.line_num + 1
    except csv.Error:
        return


def _split_lf(text: str) -> Iterator[str]:
    """Lines ended by LF only, as bytes are split: a bare CR inside a cell is text."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def unique_headers(cells: Sequence[str]) -> tuple[str, ...]:
    """The header cells as column names: trailing blanks dropped, unnamed and repeated ones numbered."""
    names = [c.strip().strip(FORMATTING).strip() for c in cells]
    while names and not names[-1]:
        names.pop()
    seen: dict[str, int] = {}
    unique = []
    for i, name in enumerate(names):
        base = name or f"column {i + 1}"
        seen[base] = seen.get(base, 0) + 1
        free = base if seen[base] == 1 else f"{base} ({seen[base]})"
        while free in unique or free in OWN_COLUMNS:
            free += "'"
        unique.append(free)
    return tuple(unique)


def _text_batches(path: Path, layout: Layout) -> Iterator[pl.DataFrame]:
    reader = RecordReader(layout.headers, layout.delimiter)
    skip = layout.body_line - 1
    line = 1
    carry = b""
    for block in _utf8(path, layout.encoding):
        data = carry + block
        while skip and (end := data.find(b"\n")) >= 0:
            data, skip, line = data[end + 1 :], skip - 1, line + 1
        if skip:
            carry = data
            continue
        cut = record_boundary(data)
        if cut == 0 and len(data) > MAX_RECORD:
            yield reader.region(data, line, f"the quote opened here is not closed within {MAX_RECORD >> 20} MB")
            return
        if cut:
            whole, carry = data[:cut], data[cut:]
            yield from reader.read(whole, line)
            if reader.stopped:
                return
            line += whole.count(b"\n")
        else:
            carry = data
    if carry and not skip:
        yield from reader.read(carry, line, last=True)


def _utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """The file's text as UTF-8 blocks; files of the old Mac, with CR alone at line ends, get LF."""
    blocks = _blocks(path)
    first = next(blocks, b"")
    bare_cr: bool | None = None
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    utf8 = encoding == "utf-8-sig"
    if utf8:
        first = first.removeprefix(codecs.BOM_UTF8)
    try:
        for block in _chain(first, blocks):
            data = block if utf8 else decoder.decode(block).encode()
            if bare_cr is None:
                bare_cr = b"\n" not in data and b"\r" in data
            yield data.replace(b"\r", b"\n") if bare_cr else data
        if not utf8 and (rest := decoder.decode(b"", final=True)):
            yield rest.encode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"is not {encoding} throughout; save it as UTF-8 and export it again") from error


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def record_boundary(data: bytes) -> int:
    """Where the last whole record of a block ends: after a line end that stands outside quotes; 0 if there is none."""
    quotes = data.count(b'"')
    end = len(data)
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        inside = (quotes - data.count(b'"', end)) % 2
        if not inside:
            return end + 1
        # Jump over the cell that is open here: look for its opening quote.
        end = max(data.rfind(b'"', 0, end), 0)
    return 0


class RecordReader:
    """Blocks of whole records to batches."""

    def __init__(self, headers: Sequence[str], delimiter: str) -> None:
        self.headers, self.delimiter, self.stopped = tuple(headers), delimiter, False

    @cached_property
    def well_formed(self) -> str:
        """Matches text in which every quote opens a cell, closes it, or is doubled inside one."""
        d = re.escape(self.delimiter)
        cell = rf'(?:[^"{d}\r\n]*|"(?:[^"]|"")*")'
        return rf"\A(?:{cell}(?:{d}{cell})*\r?(?:\n|\z))*\z"

    def read(self, data: bytes, line: int, *, last: bool = False) -> Iterator[pl.DataFrame]:
        """Yields the records of a block that starts on ``line``."""
        fast = self.fast(data, line)
        if fast is not None:
            yield fast
        else:
            yield from self.exact(data, line, last=last)

    def fast(self, data: bytes, line: int) -> pl.DataFrame | None:
        """The block read by Polars, or None where it is not proved to mean the same to the exact reader."""
        if not data.endswith(b"\n"):
            data += b"\n"
        if b"\x00" in data or len(self.headers) < 2 or data.count(b"\r") != data.count(b"\r\n"):
            return None
        if b'"' in data and not pl.Series([data.decode()]).str.contains(self.well_formed)[0]:
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
        inside = _newlines_inside(frame, data)
        if not self._accounted(frame, data, inside) or _has_blank_record(frame) or _too_long(frame):
            return None
        starts = line + (inside + 1).cum_sum().shift(1, fill_value=0).cast(pl.Int64)
        return _batch(frame, starts)

    def _accounted(self, frame: pl.DataFrame, data: bytes, inside: pl.Series) -> bool:
        """Whether cells, separators, line ends and quotes add up to the bytes that were read."""
        if frame.height == 0 or data.count(b"\n") - int(inside.sum()) != frame.height:
            return False
        crs = data.count(b"\r")
        if crs and inside.sum():
            crs -= _in_cells(frame, "\r")
        quotes = data.count(b'"')
        outer = quotes - _in_cells(frame, '"') if quotes else 0
        cells = frame.select(pl.sum_horizontal(pl.all().str.len_bytes().sum())).item()
        return bool(cells + frame.height * len(self.headers) + crs + outer == len(data))

    def exact(self, data: bytes, line: int, *, last: bool = False) -> Iterator[pl.DataFrame]:
        """The block read record by record."""
        text = data.decode()
        rows: list[list[str | None]] = []
        lines: list[int] = []
        problems: list[str | None] = []
        texts: list[str | None] = []
        for record in _records(text, line, self.delimiter, len(self.headers), last=last):
            lines.append(record.line)
            rows.append(record.cells)
            problems.append(record.problem)
            texts.append(record.text)
            self.stopped = self.stopped or record.stop
            if len(rows) >= 50_000:
                yield self._frame(rows, lines, problems, texts)
                rows, lines, problems, texts = [], [], [], []
        if rows:
            yield self._frame(rows, lines, problems, texts)

    def region(self, data: bytes, line: int, problem: str) -> pl.DataFrame:
        """One rejected region."""
        self.stopped = True
        return self._frame([[None] * len(self.headers)], [line], [problem], [data.decode(errors="replace")[:MAX_CELL]])

    def _frame(
        self, rows: list[list[str | None]], lines: list[int], problems: list[str | None], texts: list[str | None]
    ) -> pl.DataFrame:
        frame = pl.DataFrame(rows, schema=dict.fromkeys(self.headers, pl.String), orient="row")
        return frame.with_columns(
            pl.Series(LINE, lines, dtype=pl.Int64),
            pl.Series(PROBLEM, problems, dtype=pl.String),
            pl.Series(TEXT, texts, dtype=pl.String),
        )


def _batch(frame: pl.DataFrame, lines: pl.Series) -> pl.DataFrame:
    none = pl.lit(None, dtype=pl.String)
    return frame.with_columns(lines.alias(LINE).cast(pl.Int64), none.alias(PROBLEM), none.alias(TEXT))


def _newlines_inside(frame: pl.DataFrame, data: bytes) -> pl.Series:
    """How many line ends stand inside the cells of each record."""
    if frame.height == data.count(b"\n"):
        return pl.Series([0], dtype=pl.UInt32).new_from_index(0, frame.height)
    count = pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True))
    return frame.select(count.alias("inside")).to_series()


def _in_cells(frame: pl.DataFrame, text: str) -> int:
    return int(frame.select(pl.sum_horizontal(pl.all().str.count_matches(text, literal=True).sum())).item())


def _has_blank_record(frame: pl.DataFrame) -> bool:
    first = frame.filter(pl.nth(0) == "")
    return first.height > 0 and bool(first.select(pl.all_horizontal(pl.all() == "").any()).item())


def _too_long(frame: pl.DataFrame) -> bool:
    longest = frame.select(pl.max_horizontal(pl.all().str.len_bytes().max())).item()
    return longest is not None and longest > MAX_CELL


@dataclass(slots=True)
class _Record:
    line: int
    cells: list[str | None]
    problem: str | None = None
    text: str | None = None
    stop: bool = False


def _records(text: str, line: int, delimiter: str, width: int, *, last: bool) -> Iterator[_Record]:
    """The records of a text, with ragged ones told apart; a faulty quote spoils one line or, unclosed, the rest."""
    csv.field_size_limit(2**31 - 1)
    blank: list[str | None] = [None] * width
    lines = list(_split_lf(text))
    at = 0  # index of the line the next record starts on
    while at < len(lines):
        reader = csv.reader(iter(lines[at:]), delimiter=delimiter, strict=True)
        start = at
        try:
            for cells in reader:
                begun, start = start, at + reader.line_num
                raw = "".join(lines[begun:start])
                record = _checked(cells, line + begun, raw, width, final=last and start >= len(lines))
                if record is not None:
                    yield record
        except csv.Error:
            if at + reader.line_num - start <= 1:
                raw = lines[start]
                yield _Record(line + start, blank, "has a quote in the middle of a quoted cell", raw)
                at = start + 1
            else:
                raw = "".join(lines[start:])
                why = "a quote opened on this line is not closed; this and everything below it was not read"
                yield _Record(line + start, blank, why, raw[:MAX_RECORD], stop=True)
                return
        else:
            return


def _checked(cells: list[str], line: int, raw: str, width: int, *, final: bool) -> _Record | None:
    if not any(c.strip() for c in cells):
        return None
    problem = None
    if "\x00" in raw:
        problem = "holds a NUL character"
    elif len(cells) < width:
        problem = f"has {len(cells)} cells where the header has {width}"
        if final and not raw.endswith("\n"):
            problem += "; the file may have been cut off here"
    elif any(c.strip() for c in cells[width:]):
        problem = f"has {len(cells)} cells where the header has {width}"
    elif len(raw) > MAX_CELL and any(len(c.encode()) > MAX_CELL for c in cells):
        problem = f"has a cell longer than {MAX_CELL >> 20} MB"
    kept: list[str | None] = [*cells[:width], *[None] * (width - len(cells))]
    if problem is None:
        return _Record(line, kept)
    if "\x00" in raw or len(raw) > MAX_CELL:
        kept = [None] * width
    return _Record(line, kept, problem, raw[:MAX_CELL].replace("\x00", "�"))


# -- workbooks


def _open_workbook(path: Path, name: str, feeds: Mapping[str, Feed]) -> Export:
    best: tuple[tuple[object, ...], Export] | None = None
    rivals: set[str] = set()
    try:
        for sheet, rows in workbook_rows(path):
            found = _header_in(path, name, feeds, sheet, rows)
            if found is None:
                continue
            if best is None or found[0] > best[0]:
                best = found
            if found[1].fits and found[1].fits[0].fits:
                rivals.add(sheet)
    except SheetError as error:
        raise RefusedError(str(error)) from error
    if best is None:
        raise RefusedError("has no sheet with a row that looks like a header")
    if len(rivals) > 1:
        names = ", ".join(repr(r) for r in sorted(rivals))
        raise RefusedError(f"has several sheets that fit ({names}); keep one table in a workbook")
    return best[1]


def _header_in(
    path: Path, name: str, feeds: Mapping[str, Feed], sheet: str, rows: pl.DataFrame
) -> tuple[tuple[object, ...], Export] | None:
    best: tuple[tuple[object, ...], Export] | None = None
    for index in range(min(rows.height, HEAD_RECORDS)):
        cells = ["" if c is None else str(c) for c in rows.row(index)]
        headers = unique_headers(cells)
        if not headers:
            continue
        above = [" ".join(str(c) for c in rows.row(i) if c is not None) for i in range(index)]
        fits = best_fit(headers, name, feeds, ranged=any(_RANGE.fullmatch(p.strip()) for p in above))
        score = _score(fits, len(headers), index)
        if best is None or score > best[0]:
            layout = Layout("", "", sheet, headers, index + 1, index + 2, tuple(above))
            best = score, Export(path, layout, fits, _sheet_frame(rows, index, headers))
    return best


def _sheet_frame(rows: pl.DataFrame, header: int, headers: Sequence[str]) -> pl.DataFrame:
    width = len(headers)
    names = rows.columns
    body = rows.slice(header + 1).with_columns(pl.int_range(header + 2, rows.height + 1, dtype=pl.Int64).alias(LINE))
    blank = pl.all_horizontal(pl.col(names).fill_null("").str.strip_chars() == "")
    extra = names[width:]
    long = pl.any_horizontal(pl.col(extra).fill_null("").str.strip_chars() != "") if extra else pl.lit(value=False)
    return body.filter(~blank).select(
        *(pl.col(n).fill_null("").alias(h) for n, h in zip(names, headers, strict=False)),
        LINE,
        pl.when(long).then(pl.lit(f"has more cells than the header's {width}")).alias(PROBLEM),
        pl.when(long).then(pl.concat_str(pl.col(names).fill_null(""), separator="\t")).alias(TEXT),
    )


__all__ = ["LINE", "PROBLEM", "TEXT", "Export", "Layout", "RefusedError", "normal_header", "open_export"]
