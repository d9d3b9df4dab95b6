"""Tests whether a later export under the same name corrects an earlier one's rejected rows, or only follows it.

A program may write every day's rows to one file name, and a person may put a corrected file back under its name. In the
first case the rejected rows of the earlier export are still missing from the figures, in the second they are not.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import polars as pl
import polars.selectors as cs

from rmetrics.ingest.read import LINE
from rmetrics.ingest.recognise import read_as, read_columns
from rmetrics.lake import Lake, RawFile, TypedFile
from rmetrics.pipeline.landing.exported import scan_exported
from rmetrics.pipeline.landing.placement import PlacedExport
from rmetrics.rules.feeds import Feed

Fault = tuple[int, str | None]
"""The line of a rejected row, and the header of the cell at fault; None if the row as a whole is."""


def still_missing(
    lake: Lake,
    declared: Feed,
    export: RawFile,
    typed: TypedFile,
    faults: Iterable[Fault],
    later: Sequence[PlacedExport],
) -> set[int]:
    """Returns the lines of rejected rows that no later export under the same name corrects.

    A later export corrects a row if it has a record with the same key, or one that is equal except for the cell at
    fault. It corrects all rows if it has at least half of the earlier export's accepted rows, because then the whole
    file was exported again. A row that cannot be compared, in an export without accepted rows, counts as corrected.

    Args:
        lake: holds the text of the exports and their typed rows.
        declared: the feed.
        export: the earlier export.
        typed: its typed rows.
        faults: its rejected rows.
        later: the later exports under its name.
    """
    open_ = dict(faults)
    if not later or not open_:
        return set(open_)
    records = _records(lake, declared, export)
    here = pl.col(LINE).is_in(list(open_))
    of_line = {r[LINE]: r for r in records.filter(here).collect(engine="streaming").to_dicts()}
    headers = read_columns(export.headers, read_as(declared, export.headers, export.name))
    for other in later:
        if not open_:
            break
        if not typed.rows:
            open_ = {n: header for n, header in open_.items() if header is not None}
        later_records = _records(lake, declared, other.raw)
        if typed.rows and 2 * _in_common(records.filter(~here), later_records, declared) >= typed.rows:
            return set()
        names = later_records.collect_schema().names()
        lines_by_columns: dict[tuple[str, ...], list[int]] = {}
        for line, header in open_.items():
            for columns in _identifying_columns(of_line.get(line, {}), names, declared, headers.get(header or "")):
                lines_by_columns.setdefault(columns, []).append(line)
        for columns, lines in lines_by_columns.items():
            for line in _matching_lines({n: of_line[n] for n in lines}, columns, later_records):
                open_.pop(line, None)
    return set(open_)


def _records(lake: Lake, declared: Feed, raw: RawFile) -> pl.LazyFrame:
    """Returns the mapped cells of an export by column, as trimmed text, and each record's line."""
    columns = read_columns(raw.headers, read_as(declared, raw.headers, raw.name))
    cells = [cs.by_name(h).as_expr().str.strip_chars().fill_null("").alias(c) for h, c in columns.items()]
    return scan_exported(lake, raw).select(LINE, *cells)


def _identifying_columns(
    row: Mapping[str, object], available: Collection[str], feed: Feed, fault: str | None
) -> Iterator[tuple[str, ...]]:
    """Yields the sets of columns that identify a record: its key, and all columns but the cell at fault."""
    if feed.key and all(k in available and row.get(k) and k != fault for k in feed.key):
        yield feed.key
    if fault is not None:
        rest = tuple(c for c in row if c not in (LINE, fault) and c in available)
        if any(row[c] for c in rest):
            yield rest


def _matching_lines(
    rows: Mapping[int, Mapping[str, object]], columns: tuple[str, ...], later_records: pl.LazyFrame
) -> Iterator[int]:
    """Yields the lines of the rows whose values in these columns occur in a record."""
    wanted = pl.DataFrame(
        [{c: row[c] for c in columns} for row in rows.values()], schema=dict.fromkeys(columns, pl.String)
    )
    found = later_records.select(columns).join(wanted.unique().lazy(), on=list(columns), how="semi").unique()
    values = set(found.collect(engine="streaming").iter_rows())
    yield from (line for line, row in rows.items() if tuple(row[c] for c in columns) in values)


def _in_common(accepted: pl.LazyFrame, later_records: pl.LazyFrame, feed: Feed) -> int:
    """Counts the records of the earlier export found in the later one, by key, or as a whole if there is no key."""
    both = later_records.collect_schema().names()
    shared = [c for c in accepted.collect_schema().names() if c != LINE and c in both]
    by = [k for k in feed.key if k in shared] or shared
    if not by:
        return 0
    number = pl.struct(by).hash().alias("row")  # eight bytes per record; exports may have millions
    filled = accepted.filter(pl.any_horizontal(pl.col(c) != "" for c in by)).select(number)
    counted = filled.join(later_records.select(number), on="row", how="semi").select(pl.len())
    return int(counted.collect(engine="streaming").item())


__all__ = ["still_missing"]
