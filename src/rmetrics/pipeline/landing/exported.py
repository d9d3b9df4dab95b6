"""The text of landed exports, read from their own bytes: all of it, or some lines."""

from collections.abc import Collection, Iterator

import polars as pl
from polars.io.plugins import register_io_source

from rmetrics.errors import LakeError
from rmetrics.ingest.read import Layout, RefusedError, as_file, layout_batches, sheet_batches
from rmetrics.ingest.records import LINE, PROBLEM, TEXT
from rmetrics.lake import Lake, RawFile


def layout_of(raw: RawFile) -> Layout:
    """Returns the text layout of a landed export."""
    return Layout(
        encoding=raw.encoding,
        delimiter=raw.delimiter,
        sheet=raw.sheet,
        headers=raw.headers,
        header_line=raw.header_line,
        body_line=raw.body_line,
        preamble=raw.preamble,
        notes=raw.notes,
    )


def exported_text(lake: Lake, raw: RawFile, line: int = 0) -> Iterator[pl.DataFrame]:
    """Yields the records of a landed export as text: the headers, ``LINE``, ``PROBLEM`` and ``TEXT``.

    Args:
        lake: holds the export.
        raw: the export.
        line: the line of the first record needed; 0 for all records.

    Raises:
        LakeError: its bytes are missing or damaged, or can no longer be read.
    """
    layout = layout_of(raw)
    try:
        if raw.sheet:
            with as_file(frame.data for frame in lake.frames(raw)) as path:
                yield from sheet_batches(layout, path)
            return
        frames = lake.frames(raw, line)
        first = next(frames, None)
        if first is None:
            return
        begun = bool(line and first.line)
        skipped = line - first.line if begun else 0
        blocks = _after(skipped, _data(first.data, frames)) if begun else _data(first.data, frames)
        yield from layout_batches(layout, blocks, line if begun else 0)
    except RefusedError as error:
        hint = "Put it back into the inbox, then sync."
        raise LakeError(f"the landed export {raw.name} cannot be read again: it {error}", hint) from error


def _data(first: bytes, frames: Iterator[object]) -> Iterator[bytes]:
    yield first
    yield from (frame.data for frame in frames)  # type: ignore[attr-defined]


def _after(lines: int, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the bytes after a number of line ends, all of which are in the first block."""
    data, at = next(blocks, b""), 0
    for _ in range(lines):
        at = data.find(b"\n", at) + 1
    yield data[at:]
    yield from blocks


def exported_records(lake: Lake, raw: RawFile, lines: Collection[int]) -> pl.DataFrame:
    """Returns the records of a landed export that begin on some lines; reads only the text between these.

    Raises:
        LakeError: see ``exported_text``.
    """
    wanted = pl.Series(sorted(lines), dtype=pl.Int64)
    found = [pl.DataFrame(schema=_schema(raw))]
    if len(wanted):
        for batch in exported_text(lake, raw, int(wanted[0])):
            found.append(batch.filter(pl.col(LINE).is_in(wanted.implode())))
            if batch.height and batch[LINE][-1] >= wanted[-1]:
                break
    return pl.concat(found)


def scan_exported(lake: Lake, raw: RawFile) -> pl.LazyFrame:
    """Returns the records of ``exported_text`` as a lazy frame that is read batch by batch on demand."""

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        remaining = rows
        for batch in exported_text(lake, raw):
            part = batch if remaining is None else batch.head(remaining)
            remaining = None if remaining is None else remaining - part.height
            part = part if predicate is None else part.filter(predicate)
            yield part if columns is None else part.select(columns)
            if remaining == 0:
                return

    return register_io_source(batches, schema=_schema(raw))


def _schema(raw: RawFile) -> dict[str, pl.DataType]:
    return {**{h: pl.String() for h in raw.headers}, LINE: pl.Int64(), PROBLEM: pl.String(), TEXT: pl.String()}


__all__ = ["exported_records", "exported_text", "layout_of", "scan_exported"]
