"""Whether a later export under the same name corrects what an earlier one had rejected, or only follows it.

A program may write every day's rows to one file name, and a person may put a corrected file back under its name. In the
first case the rejected rows of the earlier export are still missing from the figures, in the second they are not.
"""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from rmetrics.ingest.read import LINE
from rmetrics.ingest.recognise import read_as, read_columns
from rmetrics.lake import Lake, RawFile, TypedFile
from rmetrics.pipeline.compute import Placed
from rmetrics.rules.model import Feed

Fault = tuple[int, str | None]
"""The line of a rejected row, and the header of the cell at fault; None where the row as a whole is."""


def still_missing(
    lake: Lake, declared: Feed, export: RawFile, typed: TypedFile, faults: Iterable[Fault], later: Sequence[Placed]
) -> set[int]:
    """The lines of rejected rows that no later export under the same name corrects.

    A row is corrected where a later export has a record with its key, or one that is the same but for the cell at
    fault; or where it has at least half of the accepted rows of the earlier one, so that the whole file was exported
    again. A row that cannot be compared, in an export without accepted rows, counts as corrected.

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
    of_line = {r[LINE]: r for r in records.filter(pl.col(LINE).is_in(list(open_))).to_dicts()}
    accepted = records.filter(~pl.col(LINE).is_in(list(open_)))
    for other in later:
        if not open_:
            break
        if not typed.rows:
            open_ = {n: header for n, header in open_.items() if header is not None}
        there = _records(lake, declared, other.raw)
        if typed.rows and 2 * _in_common(accepted, there, declared) >= typed.rows:
            return set()
        headers = read_columns(export.headers, read_as(declared, export.headers, export.name))
        seen: dict[tuple[str, ...], set[tuple[object, ...]]] = {}
        for line, header in list(open_.items()):
            row, fault = of_line.get(line, {}), headers.get(header or "")
            if any(_among(row, columns, there, seen) for columns in _told_by(row, there, declared, fault)):
                del open_[line]
    return set(open_)


def _records(lake: Lake, declared: Feed, raw: RawFile) -> pl.DataFrame:
    """The mapped cells of an export by column, as text without spaces around it, and each record's line."""
    columns = read_columns(raw.headers, read_as(declared, raw.headers, raw.name))
    cells = [pl.col(h).str.strip_chars().fill_null("").alias(c) for h, c in columns.items()]
    return lake.scan_raw(raw).select(LINE, *cells).collect()


def _told_by(row: Mapping[str, object], there: pl.DataFrame, feed: Feed, fault: str | None) -> list[tuple[str, ...]]:
    """The sets of columns by which a record can be recognised: its key, and all but the cell at fault."""
    found = []
    if feed.key and all(k in there.columns and row.get(k) and k != fault for k in feed.key):
        found.append(feed.key)
    if fault is not None:
        rest = tuple(c for c in row if c not in (LINE, fault) and c in there.columns)
        if any(row[c] for c in rest):
            found.append(rest)
    return found


def _among(
    row: Mapping[str, object],
    columns: tuple[str, ...],
    there: pl.DataFrame,
    seen: dict[tuple[str, ...], set[tuple[object, ...]]],
) -> bool:
    if columns not in seen:
        seen[columns] = set(there.select(columns).iter_rows())
    return tuple(row[c] for c in columns) in seen[columns]


def _in_common(accepted: pl.DataFrame, there: pl.DataFrame, feed: Feed) -> int:
    """How many records of the earlier export the later one has too, by key, or whole where there is no key."""
    shared = [c for c in accepted.columns if c != LINE and c in there.columns]
    by = [k for k in feed.key if k in shared] or shared
    filled = accepted.filter(pl.any_horizontal(pl.col(c) != "" for c in by)) if by else accepted.clear()
    return filled.join(there, on=by, how="semi").height if by else 0


__all__ = ["still_missing"]
