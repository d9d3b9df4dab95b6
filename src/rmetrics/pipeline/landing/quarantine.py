"""Quarantined rows: their places, the reasons they could not be read, and rows that become readable.

An id consists of the start of the export's hash and the line, so it is stable as long as the file is. A row counts as
rejected until its rule is edited, a later export under the same name corrects it (``settled``), or its export is
withdrawn.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rmetrics.errors import LakeError
from rmetrics.ingest.recognise import read_columns
from rmetrics.lake import Lake, RawFile, TypedFile
from rmetrics.pipeline.landing.placement import PlacedExport
from rmetrics.pipeline.landing.settled import still_missing
from rmetrics.rules import Rules
from rmetrics.rules.feeds import Feed

MASK = "***"
_REMEMBERED = "rejected"
_SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that could not be read.

    Attributes:
        id: identifies it in ``rmetrics rejected show``.
        file: the export's path inside the inbox.
        line: the line on which the record begins.
        column: the header; None if the row as a whole is at fault.
        value: the cell as exported, ``MASK`` if it is private; None if it is blank.
        waiting: whether the rules were edited since, so that the next sync reads it again.
    """

    id: str
    file: str
    feed: str
    line: int
    column: str | None
    value: str | None
    reason: str
    waiting: bool = False


def quarantine(
    lake: Lake, rules: Rules, placed: Iterable[PlacedExport], *, reveal: bool = False, remember: bool = False
) -> Iterator[RejectedRow]:
    """Yields the rejected rows that no later export of the same name corrects, the newest export of each file last.

    Args:
        lake: holds the exports.
        rules: the rules in force.
        placed: the exports in force, oldest first.
        reveal: also show values of private columns.
        remember: record which rows are corrected for the next call; only under the lock.
    """
    placed, files = list(placed), dict[tuple[str, str], list[PlacedExport]]()
    for item in placed:  # sorted from old to new
        files.setdefault((item.raw.name, item.feed), []).append(item)
    known = lake.load_json(_SETTLED)
    found = lake.typed_files(p.key for p in placed)
    for (_, name), exports in files.items():
        for i, item in enumerate(exports):
            typed, later = found.get(item.key), exports[i + 1 :]
            yield from _of_export(lake, item, typed, later, known, private_cells=reveal, declared=rules.feeds[name])
    if remember:
        hashes = {item.raw.sha256 for exports in files.values() for item in exports}
        kept = {key: entry for key, entry in known.items() if key.partition(".")[0] in hashes}
        if kept != lake.load_json(_SETTLED):
            lake.save_json(_SETTLED, kept)


def _of_export(
    lake: Lake,
    item: PlacedExport,
    typed: TypedFile | None,
    later: Sequence[PlacedExport],
    known: dict[str, Any],
    *,
    declared: Feed,
    private_cells: bool,
) -> Iterator[RejectedRow]:
    raw, waiting = item.raw, typed is None
    typed = typed or lake.typed_before(item.feed, raw.sha256)
    if typed is None or not typed.rejected:
        return
    private = private_headers(raw, item.made_as.feed)
    faults = _faults(lake, typed).rows()
    missing = _still_missing(lake, declared, raw, typed, faults, later, known)
    for line, column, value, reason in faults:
        if line in missing:
            hidden = value is not None and column in private and not private_cells
            shown = MASK if hidden else value
            yield RejectedRow(f"{raw.sha256[:8]}-{line}", raw.name, item.feed, line, column, shown, reason, waiting)


def _still_missing(
    lake: Lake,
    declared: Feed,
    raw: RawFile,
    typed: TypedFile,
    faults: Sequence[tuple[int, str | None, str | None, str]],
    later: Sequence[PlacedExport],
    known: dict[str, Any],
) -> set[int]:
    """Returns the lines that no later export corrects; ``known`` caches them so that only new exports are compared."""
    key, hashes = f"{typed.sha256}.{typed.digest}", [p.raw.sha256 for p in later]
    compared, lines = known.get(key, ([], [f[0] for f in faults]))
    if hashes[: len(compared)] != compared:  # one was withdrawn or inserted
        compared, lines = [], [f[0] for f in faults]
    missing = set(lines)
    if hashes != compared:
        open_ = ((f[0], f[1]) for f in faults if f[0] in missing)
        missing = still_missing(lake, declared, raw, typed, open_, later[len(compared) :])
        known[key] = [hashes, sorted(missing)]
    return missing


def _faults(lake: Lake, typed: TypedFile) -> pl.DataFrame:
    path = lake.rejected_path(typed)
    try:
        return lake.rejected_rows(typed).select("line", "column", "value", "reason").sort("line")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"{path} cannot be read", "Run `rmetrics sync --full`, which rebuilds it from the export."
        ) from error


def private_headers(raw: RawFile, feed: Feed) -> set[str]:
    """Returns the headers whose cells are customers' data: private columns, and headers that no column reads."""
    read = read_columns(raw.headers, feed)
    return {h for h in raw.headers if h not in read or not feed.columns[read[h]].publish}


def newly_accepted(lake: Lake, rules: Rules, placed: Iterable[PlacedExport]) -> list[RejectedRow]:
    """Returns the rows that the last run rejected and this one reads; records those rejected now.

    Excludes rows of exports withdrawn in between. Call it once per sync, under the lock.
    """
    placed = list(placed)
    in_force = {p.raw.sha256[:8] for p in placed}
    now = list(quarantine(lake, rules, placed, remember=True))
    ids = {r.id for r in now}
    remembered = lake.load_json(_REMEMBERED).get("rows", [])
    places = {r.id: [r.id, r.file, r.feed, r.line, r.column, r.reason] for r in now}
    if remembered != list(places.values()):
        lake.save_json(_REMEMBERED, {"rows": list(places.values())})
    return [
        RejectedRow(row_id, file, feed, line, column, None, reason)
        for row_id, file, feed, line, column, reason in remembered
        if row_id not in ids and row_id.rpartition("-")[0] in in_force
    ]
