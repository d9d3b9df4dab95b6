"""Comparison of the newest exports with those before: lost columns, far fewer rows, a shorter range, a cut.

Each export is compared with the previous one of the same feed and shape (most headers in common), so exports of two
programs for one feed are never compared with each other.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs

from rmetrics.findings import Finding, Severity, count
from rmetrics.ingest.hints import Sample, can_be, likely_column
from rmetrics.ingest.recognise import free_headers, normal_header, read_as
from rmetrics.lake import Lake, TypedFile
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.landing.exported import scan_exported
from rmetrics.pipeline.landing.placement import PlacedExport
from rmetrics.pulls.manifest import FOLDER
from rmetrics.rules import Rules
from rmetrics.rules.feeds import Feed
from rmetrics.rules.names import ENTERED

CAPS = (1_000, 5_000, 10_000)  # row counts at which programs silently stop exporting
_FEW_ROWS, _FEW_DAYS = 20, 14  # smaller exports differ by chance
_SAMPLED = 200  # rows whose cells show whether a header can be the lost column
_MUCH_LESS = 2  # fewer than half


@dataclass(frozen=True, slots=True)
class _Export:
    """A landed export with its typed rows."""

    placed: PlacedExport
    typed: TypedFile

    @property
    def name(self) -> str:
        return self.placed.raw.name

    @property
    def headers(self) -> frozenset[str]:
        return frozenset(map(normal_header, self.placed.raw.headers))

    def resembles(self, other: "_Export") -> bool:
        """Tests whether the two have most headers in common."""
        return 2 * len(self.headers & other.headers) >= len(self.headers | other.headers)

    @property
    def by_hand(self) -> bool:
        """Whether it is a figure entered by command, which has only the columns it was given."""
        return normal_header(ENTERED) in self.headers


def export_findings(lake: Lake, rules: Rules, computed: Computed) -> Iterator[Finding]:
    """Yields the anomalies of the newest export of each feed and shape.

    Args:
        lake: holds the typed rows.
        rules: declares the feeds.
        computed: the exports in use.

    Source: the notes on exports, header drift and cut exports.
    """
    typed = {file.sha256: file for files in computed.typed.values() for file, _ in files}
    for name, feed in rules.feeds.items():
        exports = [_Export(p, typed[p.raw.sha256]) for p in computed.placed if p.feed == name]
        exports = [e for e in exports if not e.by_hand]
        yield from _gaps(lake, exports, feed)
        for newest, before in _pairs(sorted(exports, key=lambda e: e.placed.rank)):
            if newest.placed.raw.rows in CAPS:
                yield _cut(newest)
            if before is not None:
                yield from _lost_columns(lake, newest, before, feed)
                yield from _shrunk(newest, before, _ranges(lake, (newest, before), feed))


def _pairs(exports: Sequence[_Export]) -> Iterator[tuple[_Export, _Export | None]]:
    """Yields the newest export of each shape, with the one before it."""
    shapes: list[_Export] = []
    for i in range(len(exports) - 1, -1, -1):
        if not any(exports[i].resembles(s) for s in shapes):
            shapes.append(exports[i])
            yield exports[i], next((e for e in reversed(exports[:i]) if e.resembles(exports[i])), None)


def _cut(export: _Export) -> Finding:
    rows = export.placed.raw.rows
    message = f"{export.name} has exactly {rows:,} rows, a common limit of exports: export a shorter period and add it"
    return Finding("export-cut", Severity.WARNING, message, rows)


def _gaps(lake: Lake, exports: Sequence[_Export], feed: Feed) -> Iterator[Finding]:
    """Yields the gaps between the first row of a cut export, such as a phone log, and the last row before it.

    Programs that stop at a number of rows export the newest ones, so the missing rows are older: days without rows in
    the gap may well have had some.
    """
    if not any(e.placed.raw.rows in CAPS for e in exports):
        return
    ranges = _ranges(lake, exports, feed)
    for export, span in zip(exports, ranges, strict=True):
        if export.placed.raw.rows not in CAPS or span is None:
            continue
        others = [(r, e) for e, r in zip(exports, ranges, strict=True) if e is not export and r and r[0] <= span[0]]
        if not others:
            continue
        (before, last) = max(others, key=lambda o: o[0][1])
        days = (span[0] - before[1]).days
        if days > 1:
            rows = export.placed.raw.rows
            message = (
                f"{export.name} stops at {rows:,} rows and begins on {span[0]}; {last.name} ends on "
                f"{before[1]}: rows of the {count(days - 1, 'day')} in between may be missing; "
                "export that period separately and add it"
            )
            yield Finding("export-gap", Severity.WARNING, message, rows)


def _lost_columns(lake: Lake, newest: _Export, before: _Export, declared: Feed) -> Iterator[Finding]:
    raw = newest.placed.raw
    feed = read_as(declared, raw.headers, raw.name)
    lost = [c for c in before.typed.columns if c not in newest.typed.columns and c in feed.mapped]
    new = [h for h in free_headers(raw.headers, feed) if normal_header(h) not in before.headers]
    sample = _first_cells(lake, newest, new) if lost and new else {}
    for column in lost:
        wanted = feed.columns[column].from_
        only = new[0] if len(new) == len(lost) == 1 else ""
        likely = likely_column(column, feed, new, sample)
        if not likely and only and can_be(column, feed.mapped[column], feed, sample.get(only, ())):
            likely = only
        hint = (
            f"if it is now {likely!r}, add that header to from = [...] of {column}"
            if likely
            else "include it in the export"
        )
        message = f"{newest.name} has no column for {column} ({' or '.join(wanted)}), which {before.name} had; {hint}"
        yield Finding("export-column-lost", Severity.WARNING, message, newest.placed.raw.rows)


def _first_cells(lake: Lake, export: _Export, headers: Sequence[str]) -> Sample:
    """Returns the first cells under some headers; none if the landed text is unreadable, which other checks report."""
    try:
        cells = scan_exported(lake, export.placed.raw).select(cs.by_name(headers)).head(_SAMPLED).collect()
    except (OSError, pl.exceptions.PolarsError):
        return {}
    return {h: cells[h].fill_null("").to_list() for h in headers}


Range = tuple[dt.date, dt.date] | None


def _shrunk(newest: _Export, before: _Export, ranges: Sequence[Range]) -> Iterator[Finding]:
    rows, rows_before = newest.placed.raw.rows, before.placed.raw.rows
    now, then = ranges
    days, days_before = _days(now), _days(then)
    if newest.name.startswith(f"{FOLDER}/"):
        return  # a pull requests only some days, has proved that they are complete, and knows their age
    fewer = rows_before >= _FEW_ROWS and rows * _MUCH_LESS < rows_before
    shorter = days_before >= _FEW_DAYS and days * _MUCH_LESS < days_before
    if fewer or shorter:
        message = (
            f"{newest.name} has {_extent(rows, now)}, the previous export, {before.name}, "
            f"{_extent(rows_before, then)}: if it was filtered or cut, export it again"
        )
        yield Finding("export-shrunk", Severity.WARNING, message, rows)
    if now and then and then[0] <= now[1] < then[1]:
        message = (
            f"{newest.name} counts as newer than {before.name} by the time of its file, but ends earlier "
            f"({now[1]} against {then[1]}): if copying changed this time, its rows wrongly replace newer ones; "
            "put it in with its original time, or export it again"
        )
        yield Finding("export-order", Severity.WARNING, message, rows)


def _days(span: Range) -> int:
    return (span[1] - span[0]).days + 1 if span else 0


def _extent(rows: int, span: Range) -> str:
    return count(rows, "row") + (f" from {span[0]} to {span[1]}" if span else "")


def _ranges(lake: Lake, exports: Sequence[_Export], feed: Feed) -> list[Range]:
    """Returns the first and last day of each export's rows."""
    queries = []
    for export in exports:
        rows = lake.scan_typed(export.typed)
        date = pl.col(feed.date) if feed.date in export.typed.columns else pl.lit(None, dtype=pl.Date)
        queries.append(rows.select(date.min().cast(pl.Date).alias("first"), date.max().cast(pl.Date).alias("last")))
    return [None if first is None else (first, last) for first, last in (f.row(0) for f in pl.collect_all(queries))]


__all__ = ["CAPS", "export_findings"]
