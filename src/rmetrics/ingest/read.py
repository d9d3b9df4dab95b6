"""Reads a file as a table of text: its layout, header and matching feeds. Nothing is typed or dropped."""

import contextlib
import csv
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl

from rmetrics.ingest import sniff
from rmetrics.ingest.excel import Sheet, open_workbook
from rmetrics.ingest.hints import Sample, likely_column
from rmetrics.ingest.preamble import range_month
from rmetrics.ingest.recognise import FORMATTING, Fit, best_fit, column_positions, free_headers, read_as
from rmetrics.ingest.records import LINE, OWN_COLUMNS, PROBLEM, TEXT, split_lf, text_batches
from rmetrics.ingest.sniff import RefusedError
from rmetrics.rules.feeds import Feed

HEAD = 256 * 2**10  # bytes of text searched for a header
HEAD_RECORDS = 60
_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of an export's text.

    Attributes:
        encoding: of the bytes.
        delimiter: between cells; empty for a sheet.
        sheet: name of the sheet; empty for text.
        headers: unique names of the columns, as in the file.
        header_line: 1-based line (or row) of the header.
        body_line: the first line of the first record.
        preamble: the lines above the header.
        notes: remarks for the user, for instance that the encoding was guessed.
    """

    encoding: str
    delimiter: str
    sheet: str
    headers: tuple[str, ...]
    header_line: int
    body_line: int
    preamble: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """A file as a table of text.

    Attributes:
        fits: the matching feeds: one, several equally good ones, or the nearest miss.
        batches: yields the records below the header, in order, from the export's bytes (a workbook has been read
            already); raises RefusedError if they cannot be read to the end.
        sample: the first cells under each header.
    """

    layout: Layout
    fits: list[Fit]
    batches: Callable[[Iterator[bytes]], Iterator[pl.DataFrame]]
    sample: Sample


@dataclass(frozen=True, slots=True)
class _Header:
    """A row that may be the header; a higher score is more likely."""

    layout: Layout
    fits: list[Fit]
    above: int

    @property
    def score(self) -> tuple[bool, bool, int, int, int]:
        """Prefers a row that matches a feed, then the nearest miss, then the topmost and widest row."""
        top = self.fits[0] if self.fits else None
        known = top.known if top else 0
        return top is not None and top.fits, top is not None, known, -self.above if top else -99, self.width

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.layout.headers)

    @property
    def sure(self) -> bool:
        """Whether it is the header of a feed."""
        return any(f.fits for f in self.fits)


def open_export(source: sniff.Source, name: str, feeds: Mapping[str, Feed]) -> Export:
    """Finds the header of an export and the feeds that match it.

    Args:
        source: the export's file or bytes.
        name: the export's name.
        feeds: all declared feeds.

    Raises:
        RefusedError: it is not a table: empty, a web page, a PDF, an unreadable workbook, or not text at all.
    """
    magic = next(sniff.blocks(source), b"")[:8]
    if sniff.is_workbook(magic):
        return _open_workbook(source, name, feeds)
    packed = sniff.is_gzip(magic)
    start = next(sniff.unpacked(sniff.blocks(source)), b"")[:4096]
    sniff.refuse_other_kinds(start, start.decode("latin-1"), packed=packed)
    encoding, notes = sniff.encoding_of(source, name, feeds)
    head = next(sniff.utf8_blocks(sniff.blocks(source), encoding))[:HEAD].decode(errors="ignore")
    head = head.replace("\x00", "\ufffd")
    sniff.refuse_other_kinds(start, head[:4096], packed=packed)
    return _open_text(name, feeds, encoding, notes, head)


def layout_batches(layout: Layout, source: Iterator[bytes], line: int = 0) -> Iterator[pl.DataFrame]:
    """Yields the records of a text with a known layout.

    Args:
        layout: as ``open_export`` found it.
        source: the export's bytes.
        line: the number of the first line in ``source``, which must begin a record; 0: they begin with the file's first
            line.
    """
    blocks = sniff.utf8_blocks(source, layout.encoding, begun=line > 0)
    return text_batches(blocks, layout.headers, layout.delimiter, layout.body_line, start=line)


def sheet_batches(layout: Layout, path: Path) -> Iterator[pl.DataFrame]:
    """Yields the records of a workbook's sheet with a known layout.

    Raises:
        RefusedError: the workbook cannot be read, or no longer has the sheet.
    """
    for sheet in open_workbook(path, HEAD_RECORDS)[0]:
        if sheet.name == layout.sheet:
            return _sheet_batches(sheet, layout)
    raise RefusedError(f"has no sheet {layout.sheet!r}")


# -- text


def _open_text(name: str, feeds: Mapping[str, Feed], encoding: str, notes: tuple[str, ...], head: str) -> Export:
    forced = _SEPARATOR_LINE.match(head)
    lines = head.split("\n")
    best: _Header | None = None
    for delimiter in (forced[1],) if forced else _DELIMITERS:
        for record in _head_records(head, delimiter):
            cells = record.cells
            # A single column would fit every delimiter: accept it once, as comma-separated.
            if len(cells) < 2 and not (delimiter == "," and len(cells) == 1 and cells[0].strip()):
                continue
            preamble = tuple(text.rstrip("\r") for text in lines[: record.line - 1])
            layout = Layout(
                encoding, delimiter, "", unique_headers(cells), record.line, record.next_line, preamble, notes
            )
            header = _Header(layout, _fits(cells, name, feeds, preamble), record.above)
            best = _better(best, header)
            if header.sure:
                break
    if best is None:
        raise RefusedError("has no row that looks like a header; export it again with column names")
    below = [r.cells for r in _head_records(head, best.layout.delimiter) if r.line >= best.layout.body_line]
    sample = _sample(best.layout.headers, below)
    layout = _noted(best, name, feeds, sample)
    return Export(layout, best.fits, partial(layout_batches, layout), sample)


def _fits(cells: Sequence[str], name: str, feeds: Mapping[str, Feed], preamble: Sequence[str]) -> list[Fit]:
    return best_fit(_trimmed(cells), name, feeds, ranged=range_month(preamble) is not None)


def _sample(headers: Sequence[str], records: Sequence[Sequence[str]]) -> Sample:
    """The cells of the first records by header; short and long records are tolerated."""
    return {h: [r[i] for r in records if i < len(r)] for i, h in enumerate(headers)}


def _noted(header: _Header, name: str, feeds: Mapping[str, Feed], sample: Sample) -> Layout:
    """The layout, with notes on headers that look like renamed columns of the feed."""
    if len(header.fits) != 1 or not header.sure:
        return header.layout
    headers = header.layout.headers
    feed = read_as(feeds[header.fits[0].feed], headers, name)
    found, free = column_positions(headers, feed), free_headers(headers, feed)
    missing = [c for c in feed.mapped if c not in found]
    renamed = [(c, h) for c in missing if (h := likely_column(c, feed, free, sample, sure=True))]
    notes = [
        f"has no column for {column} ({' or '.join(feed.columns[column].from_)}): if it is now {likely!r}, add that "
        f"header to from = [...] of {column}"
        for column, likely in renamed
    ]
    return replace(header.layout, notes=(*header.layout.notes, *notes))


def _better(best: _Header | None, other: _Header) -> _Header:
    return other if best is None or other.score > best.score else best


class _HeadRecord(NamedTuple):
    """One of the first records: the number of those above it, its first line, and the first line after it."""

    above: int
    line: int
    next_line: int
    cells: list[str]


def _head_records(head: str, delimiter: str) -> Iterator[_HeadRecord]:
    """Yields the first records; counts lines as the body reader does."""
    reader = csv.reader(split_lf(head), delimiter=delimiter)
    line = 1
    try:
        for index, cells in enumerate(reader):
            if index >= HEAD_RECORDS:
                return
            yield _HeadRecord(index, line, reader.line_num + 1, cells)
            line = reader.line_num + 1
    except csv.Error:
        return


def _trimmed(cells: Sequence[str]) -> list[str]:
    """The header cells without outer white space and without trailing blank cells."""
    names = [c.strip().strip(FORMATTING).strip() for c in cells]
    while names and not names[-1]:
        names.pop()
    return names


def unique_headers(cells: Sequence[str]) -> tuple[str, ...]:
    """The header cells as column names: trailing blanks dropped, unnamed and repeated ones numbered."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for i, name in enumerate(_trimmed(cells)):
        base = name or f"column {i + 1}"
        seen[base] = seen.get(base, 0) + 1
        free = base if seen[base] == 1 else f"{base} ({seen[base]})"
        while free in unique or free in OWN_COLUMNS:
            free += "'"
        unique.append(free)
    return tuple(unique)


# -- workbooks


def _open_workbook(source: sniff.Source, name: str, feeds: Mapping[str, Feed]) -> Export:
    with as_file(source) as path:
        sheets, notes = open_workbook(path, HEAD_RECORDS)
    found: list[tuple[_Header, Sheet]] = []
    for sheet in sheets:
        header = _header_in(sheet, name, feeds, notes)
        if header is not None:
            found.append((header, sheet))
    if not found:
        raise RefusedError("has no sheet with a row that looks like a header; export it again with column names")
    sure = sorted(repr(s.name) for h, s in found if h.sure)
    if len(sure) > 1:
        raise RefusedError(
            f"has several sheets that fit ({', '.join(sure)}); keep one of them in this workbook and save the others "
            "as separate files"
        )
    best, sheet = max(found, key=lambda f: f[0].score)
    below = [["" if c is None else str(c) for c in row] for row in sheet.head.rows()[best.layout.header_line :]]
    sample = _sample(best.layout.headers, below)
    layout = _noted(best, name, feeds, sample)
    return Export(layout, best.fits, lambda _: _sheet_batches(sheet, layout), sample)


@contextlib.contextmanager
def as_file(source: sniff.Source | Iterable[bytes]) -> Iterator[Path]:
    """Yields a file with these bytes: the given one, or a temporary one that is removed afterwards."""
    if isinstance(source, Path):
        yield source
        return
    with tempfile.NamedTemporaryFile(prefix="rmetrics-", suffix=".xlsx") as file:
        file.writelines([source] if isinstance(source, bytes) else source)
        file.flush()
        yield Path(file.name)


def _header_in(sheet: Sheet, name: str, feeds: Mapping[str, Feed], notes: tuple[str, ...]) -> _Header | None:
    best: _Header | None = None
    rows = [["" if c is None else str(c) for c in row] for row in sheet.head.rows()]
    for index, cells in enumerate(rows):
        headers = unique_headers(cells)
        if not headers:
            continue
        above = tuple(" ".join(c for c in row if c) for row in rows[:index])
        layout = Layout("", "", sheet.name, headers, index + 1, index + 2, above, notes)
        best = _better(best, _Header(layout, _fits(cells, name, feeds, above), index))
    return best


def _sheet_batches(sheet: Sheet, layout: Layout) -> Iterator[pl.DataFrame]:
    width, row = len(layout.headers), 1
    for rows in sheet.batches():
        names = rows.columns
        numbered = rows.with_columns(pl.int_range(row, row + rows.height, dtype=pl.Int64).alias(LINE))
        row += rows.height
        body = numbered.filter(pl.col(LINE) >= layout.body_line)
        blank = pl.all_horizontal(pl.col(names).fill_null("").str.strip_chars() == "")
        extra = names[width:]
        long = pl.any_horizontal(pl.col(extra).fill_null("").str.strip_chars() != "") if extra else pl.lit(value=False)
        frame = body.filter(~blank).select(
            *(pl.col(n).fill_null("").alias(h) for n, h in zip(names, layout.headers, strict=False)),
            LINE,
            pl.when(long).then(pl.lit(f"has more than the {width} cells of the header")).alias(PROBLEM),
            pl.when(long).then(pl.concat_str(pl.col(names).fill_null(""), separator="\t")).alias(TEXT),
        )
        if frame.height:
            yield frame


__all__ = [
    "LINE",
    "PROBLEM",
    "TEXT",
    "Export",
    "Layout",
    "RefusedError",
    "as_file",
    "layout_batches",
    "open_export",
    "sheet_batches",
]
