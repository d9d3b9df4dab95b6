"""From landed exports to metrics in the lake: type what is new, keep the newest rows, apply the rules."""

import contextlib
import datetime as dt
import functools
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics import __version__
from rmetrics.errors import LakeError, withdrawal_hint
from rmetrics.ingest.dates import Reading
from rmetrics.ingest.read import LINE
from rmetrics.ingest.recognise import best_fit, fit, read_as
from rmetrics.ingest.typing import (
    IDENTITY,
    REJECTED_SCHEMA,
    summed,
    type_batches,
    typed_schema,
    typing_digest,
    with_pending_ids,
    with_row_ids,
)
from rmetrics.lake import Lake, RawFile, TypedFile, TypedRows, write_batches
from rmetrics.metrics.newest import LINES, PARTS, POSITION
from rmetrics.pipeline.core.increment import Increment, increment, is_small
from rmetrics.pipeline.core.local import compute_all
from rmetrics.pipeline.core.names import replaced, tables
from rmetrics.pipeline.core.rows import Rows
from rmetrics.pipeline.memory import DEFAULT, rows_at_once
from rmetrics.pipeline.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.toml import rule_files
from rmetrics.rules.validate import TARGETS
from rmetrics.snapshot import Exports, Snapshot, SpoiledError, load, save

_AHEAD = dt.timedelta(days=400)  # after its export, a row is planned for, at most; more is a mistyped year


@dataclass(frozen=True, slots=True)
class Placed:
    """A landed export, the feed it is read as now, and its place in the order from old to new."""

    raw: RawFile
    feed: str
    rank: int


@dataclass(frozen=True, slots=True)
class FileCounts:
    """What became of an export's rows: typed rows that are current, and those a newer export replaced."""

    rows: int
    rejected: int
    totals: int
    superseded: int

    @property
    def accepted(self) -> int:
        """Rows that are the current version of their key."""
        return self.rows - self.rejected - self.totals - self.superseded


@dataclass(frozen=True, slots=True)
class Computed:
    """What stands in the lake after a computation.

    Attributes:
        inputs: digest of everything the numbers depend on.
        placed: the exports used.
        unplaced: exports in the raw layer that fit no feed any more.
        withdrawn: exports in the raw layer that were withdrawn.
        typed: typed files by feed, oldest first, with their ranks.
        counts: by export hash.
        mended: files of the lake that were not what was written, and were made again.
        rows: what stands in the lake now.
        increment: what was computed where the rest could stay; None where everything was, or nothing.
        before: what stood there before the increment.
        earlier: the exports of the computation before this one, in their order.
        seconds: how long typing and computing took.
    """

    inputs: str
    placed: tuple[Placed, ...]
    unplaced: tuple[RawFile, ...]
    withdrawn: tuple[RawFile, ...]
    typed: Mapping[str, tuple[tuple[TypedFile, int], ...]]
    counts: Mapping[str, FileCounts]
    mended: tuple[str, ...]
    rows: Rows
    increment: Increment | None
    before: Rows | None
    earlier: Exports
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        """The computation."""
        return self.rows.snapshot


def place(raws: list[RawFile], rules: Rules) -> tuple[list[Placed], list[RawFile]]:
    """Which feed each landed export is read as under these rules.

    The feed it landed as, while its headers still fit; otherwise the one feed they fit now. So renaming a feed, or
    removing it and adding it again, loses nothing. Withdrawn exports are left out.

    Returns:
        The exports that are read, and those that fit no feed.
    """
    placed, lost = [], []
    for rank, raw in enumerate(r for r in raws if not r.withdrawn):
        name = feed_of(raw, rules)
        if name is None:
            lost.append(raw)
        else:
            placed.append(Placed(raw, name, rank))
    return placed, lost


def feed_of(raw: RawFile, rules: Rules) -> str | None:
    """The feed a landed export is read as under these rules, None where it fits none."""
    file_name = raw.name.rpartition("/")[2]
    if raw.feed in rules.feeds:
        own = fit(raw.headers, file_name, raw.feed, rules.feeds[raw.feed], ranged=bool(raw.preamble))
        if not own.missing and not own.refused:
            return raw.feed
    fits = [f for f in best_fit(raw.headers, file_name, rules.feeds, ranged=bool(raw.preamble)) if f.fits]
    return fits[0].feed if len(fits) == 1 else None


def inputs_digest(placed: list[Placed], rules: Rules) -> str:
    """A digest of everything the numbers depend on: exports and their order, rules, program and engine."""
    exports = [(p.raw.sha256, p.feed, p.raw.modified_ns) for p in placed]
    meaning = json.dumps([basis_digest(rules), exports, str(newest_day((p.raw for p in placed), rules))])
    return hashlib.sha256(meaning.encode()).hexdigest()


def newest_day(exports: Iterable[RawFile], rules: Rules) -> dt.date | None:
    """The local day on which the newest export was there for certain; None without exports."""
    zone = ZoneInfo(rules.business.timezone)
    return max((raw.there_at.astimezone(zone).date() for raw in exports), default=None)


def basis_digest(rules: Rules) -> str:
    """A digest of what all numbers depend on: rules, program and engine."""
    return hashlib.sha256(json.dumps([__version__, pl.__version__, rules.digest]).encode()).hexdigest()


def compute(lake: Lake, rules: Rules, progress: Progress, *, full: bool = False, memory: int = DEFAULT) -> Computed:
    """Brings the lake's typed rows, current rows and metrics up to date with the exports and the rules.

    Where exports only came on top of those computed before, only the parts that they touch are made again.

    Args:
        lake: holds the exports; receives the results.
        rules: the rules in force.
        progress: is told how far it is.
        full: make everything again, whatever is there.
        memory: how many bytes may be used.

    Raises:
        LakeError: a raw file is damaged, or a file cannot be written.
    """
    clock = time.monotonic()
    raws = lake.raw_files()
    placed, unplaced = place(raws, rules)
    typed: dict[str, list[tuple[TypedFile, int]]] = {name: [] for name in rules.feeds}
    for i, item in enumerate(placed):
        progress("typing rows", i, len(placed))
        typed[item.feed].append((_typed(lake, rules, item, full=full), item.rank))
    progress("typing rows", len(placed), len(placed))
    before = load(lake)
    altered = before.altered()
    mended = _mend_typed(lake, rules, placed, typed, used=False)
    mended += [name for name in altered if (lake.root / name).exists()]  # one that was deleted is only made again
    wanted = replace(  # it keeps which files were looked at already
        before,
        inputs=inputs_digest(placed, rules),
        basis=basis_digest(rules),
        rules=rules.digest,
        exports=tuple((p.raw.sha256, p.feed, p.rank) for p in placed),
        tables={},
    )
    newest = newest_day((p.raw for p in placed), rules)
    typing = time.monotonic() - clock
    usable = not full and not altered and before.basis == wanted.basis and all(map(before.has, tables(rules)))
    grown, were = None, None
    if usable and before.inputs == wanted.inputs:
        made = before
    else:
        if usable and _on_top(before.exports, wanted.exports):
            known = {sha256 for sha256, _, _ in before.exports}
            fresh = {n: [f for f in files if f[0].sha256 not in known] for n, files in typed.items()}
            mended += _mend_typed(lake, rules, placed, fresh, used=True)
            were = Rows(
                lake, rules, {n: [f for f in files if f[0].sha256 in known] for n, files in typed.items()}, before
            )
            if is_small(were, fresh):
                try:
                    grown = increment(lake, were, fresh, typed, newest_day=newest)
                except SpoiledError as spoiled:
                    mended.append(spoiled.name)
        if grown is None:
            mended += _mend_typed(lake, rules, placed, typed, used=True)
            results = compute_all(lake, rules, typed, progress, most=rows_at_once(memory), newest_day=newest)
        else:
            results = grown.tables
        made = replace(wanted, tables=results)
        lake.keep_rules(rules.digest, rule_files(rules.folder))  # who reads the rows later reads them by these rules
        save(lake, made)
    by_feed = {n: tuple(f) for n, f in typed.items()}
    rows = Rows(lake, rules, by_feed, made)
    counts = _counts(rows)
    seconds = {"type": typing, "compute": time.monotonic() - clock - typing}
    return Computed(
        made.inputs,
        tuple(placed),
        tuple(unplaced),
        tuple(r for r in raws if r.withdrawn),
        by_feed,
        counts,
        tuple(mended),
        rows,
        grown,
        were if grown else None,
        before.exports,
        seconds,
    )


def standing(lake: Lake, rules: Rules, raws: list[RawFile]) -> Computed:
    """What the last sync computed, as it is in the lake; nothing is computed and nothing is written.

    Args:
        lake: its computation is of these rules and exports, and undamaged.
        rules: in force.
        raws: all landed exports.

    Raises:
        LakeError: typed rows are missing.
    """
    placed, unplaced = place(raws, rules)
    typed: dict[str, list[tuple[TypedFile, int]]] = {name: [] for name in rules.feeds}
    for item in placed:
        feed = read_as(rules.feeds[item.feed], item.raw.headers, item.raw.name)
        digest = typing_digest(feed, rules.business)
        found = lake.typed_file(item.feed, item.raw.sha256, digest)
        if found is None:
            raise LakeError(f"the typed rows of {item.raw.name} are missing", "Run `rmetrics sync`, then try again.")
        typed[item.feed].append((found, item.rank))
    snapshot = load(lake)
    rows = Rows(lake, rules, {name: tuple(files) for name, files in typed.items()}, snapshot)
    return Computed(
        snapshot.inputs,
        tuple(placed),
        tuple(unplaced),
        tuple(r for r in raws if r.withdrawn),
        {name: tuple(files) for name, files in typed.items()},
        _counts(rows),
        (),
        rows,
        None,
        None,
        snapshot.exports,
    )


def _counts(rows: Rows) -> dict[str, FileCounts]:
    names = [name for name, files in rows.typed.items() if files]
    rank = (pl.col(POSITION) // LINES).alias("rank")
    gone = pl.collect_all(rows.snapshot.scan(replaced(n)).group_by(rank).agg(pl.col(PARTS).sum()) for n in names)
    superseded = {n: dict(frame.iter_rows()) for n, frame in zip(names, gone, strict=True)}
    return {
        t.sha256: FileCounts(t.rows + t.rejected + t.totals, t.rejected, t.totals, superseded[name].get(rank, 0))
        for name in names
        for t, rank in rows.typed[name]
    }


def _on_top(before: Exports, now: Exports) -> bool:
    """Whether the exports are those of before and newer ones."""
    return now[: len(before)] == before


def type_landing(lake: Lake, rules: Rules, raw: RawFile, batches: Iterator[pl.DataFrame]) -> None:
    """Types an export from the text that is landing, while it is in memory.

    Args:
        lake: receives the typed rows.
        rules: the rules in force.
        raw: the export, as far as it is known before it has landed.
        batches: its text; has landed for good when it is exhausted.
    """
    with contextlib.closing(batches):  # type: ignore[type-var]
        _typed(lake, rules, Placed(raw, raw.feed, 0), full=True, landing=batches)


def _typed(
    lake: Lake, rules: Rules, item: Placed, *, full: bool, landing: Iterator[pl.DataFrame] | None = None
) -> TypedFile:
    """The typed rows of one export: the cached ones, or made now from its text, which is read or has just landed."""
    feed, zone = read_as(rules.feeds[item.feed], item.raw.headers, item.raw.name), rules.business.timezone
    digest = typing_digest(feed, rules.business)
    key = (item.feed, item.raw.sha256, digest)
    cached = None if full else lake.typed_file(*key)
    if cached is not None:
        return cached
    raw = item.raw
    if landing is None:
        lake.verify_raw(raw)
    text = lake.raw_batches(raw) if landing is None else landing
    exported, there = (at.astimezone(ZoneInfo(zone)).date() for at in (raw.exported_at, raw.there_at))
    latest = None if item.feed == TARGETS else there + _AHEAD
    reading = Reading(zone, exported, rules.business.currency, latest=latest)
    schema = typed_schema(feed, raw.headers, raw.preamble)

    def rows(path: Path) -> TypedRows:
        faults: list[pl.DataFrame] = []
        totals, finish = 0, functools.partial(summed, feed=feed) if feed.repeats == "sum" else None

        def typed_rows() -> Iterator[pl.DataFrame]:
            nonlocal totals, finish
            yield pl.DataFrame(schema={n: t for n, t in schema.items() if n != IDENTITY})
            for batch in type_batches(text, feed, raw.headers, raw.preamble, reading):
                totals += batch.totals
                if batch.rejected.height:
                    faults.append(batch.rejected)
                if IDENTITY not in schema:
                    yield batch.rows
                    continue
                if batch.rows[IDENTITY].is_not_null().any():
                    finish = functools.partial(with_row_ids, key=feed.key_columns[0])
                yield with_pending_ids(batch.rows, feed.key_columns[0])

        count = write_batches(path, typed_rows())
        rejected = pl.concat(faults) if faults else pl.DataFrame(schema=REJECTED_SCHEMA)
        return TypedRows(count, totals, rejected, finish)

    with _one_export(raw, landing=landing is not None):
        return lake.write_typed(key, rows, [n for n in schema if n in feed.mapped])


@contextlib.contextmanager
def _one_export(raw: RawFile, *, landing: bool) -> Iterator[None]:
    """Names the export on which typing fails, and the way to go on without it. Polars' own words may quote cells."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        told = f"the rows of {raw.name} cannot be typed ({type(error).__name__})"
        away = f"To go on without it, take {raw.name!r} out of the inbox" if landing else withdrawal_hint({raw.name})
        raise LakeError(told, f"{away}. Please report this: a cell should be rejected, not stop a run.") from error


def _mend_typed(
    lake: Lake, rules: Rules, placed: list[Placed], typed: dict[str, list[tuple[TypedFile, int]]], *, used: bool
) -> list[str]:
    """Makes damaged typed rows again, for they are only a cache; returns which."""
    by_hash = {p.raw.sha256: p for p in placed}
    mended = []
    for files in typed.values():
        for i, (file, rank) in enumerate(files):
            if not lake.typed_is_sound(file, used=used):
                path = lake.typed_path(file.feed, file.sha256, file.digest)
                mended.append(path.relative_to(lake.root).as_posix())
                files[i] = _typed(lake, rules, by_hash[file.sha256], full=True), rank
    return mended


__all__ = [
    "LINE",
    "Computed",
    "FileCounts",
    "Placed",
    "basis_digest",
    "compute",
    "feed_of",
    "inputs_digest",
    "newest_day",
    "place",
    "standing",
]
