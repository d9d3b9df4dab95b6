"""Landed exports to metrics in the lake: types what is new, keeps the newest rows, applies the rules."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from rmetrics.errors import LakeError
from rmetrics.ingest.read import LINE
from rmetrics.lake import Lake, RawFile, TypedFile
from rmetrics.lake.snapshot import CorruptError, Exports, Snapshot, UsedExport, load, save
from rmetrics.memory import DEFAULT_MEMORY, rows_at_once
from rmetrics.pipeline.compute.increment import Increment, increment, is_small
from rmetrics.pipeline.compute.kept import KeptTables, kept_tables
from rmetrics.pipeline.compute.last import old_rules
from rmetrics.pipeline.compute.local import compute_all
from rmetrics.pipeline.compute.names import CONTENTS, FORM, replaced, tables
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.runner import Runner
from rmetrics.pipeline.landing.placement import PlacedExport, newest_day, place
from rmetrics.pipeline.landing.spread import exports_in_tasks, worth_spreading
from rmetrics.pipeline.landing.typed_rows import type_missing
from rmetrics.positions import LINES, PARTS, POSITION
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.files import rule_files
from rmetrics.tables import JOURNEYS
from rmetrics.version import __version__


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Counts of an export's rows: all, rejected, total lines, and those that a newer export superseded."""

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
    """The state of the lake after a computation.

    Attributes:
        inputs: digest of everything the figures depend on.
        placed: the exports used.
        unplaced: exports in the raw layer that no longer fit a feed.
        withdrawn: exports in the raw layer that were withdrawn.
        typed: typed files by feed, oldest first, with their ranks.
        counts: by export hash.
        rebuilt: files of the lake that failed their checksums and were rebuilt.
        rows: the rows now in the lake.
        increment: the increment computed; None if everything was computed, or nothing.
        before: the rows before the increment; None without one.
        earlier: the exports of the previous computation, in their order.
        seconds: duration of typing and of computing.
    """

    inputs: str
    placed: tuple[PlacedExport, ...]
    unplaced: tuple[RawFile, ...]
    withdrawn: tuple[RawFile, ...]
    typed: Mapping[str, tuple[tuple[TypedFile, int], ...]]
    counts: Mapping[str, FileCounts]
    rebuilt: tuple[str, ...]
    rows: Rows
    increment: Increment | None
    before: Rows | None
    earlier: Exports
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        """The computation."""
        return self.rows.snapshot


def inputs_digest(placed: list[PlacedExport], rules: Rules) -> str:
    """Returns a digest of everything the figures depend on: exports and their order, rules, program and engine."""
    exports = [(p.raw.sha256, p.feed, p.raw.modified_ns) for p in placed]
    meaning = json.dumps([basis_digest(rules), exports, str(newest_day((p.raw for p in placed), rules))])
    return hashlib.sha256(meaning.encode()).hexdigest()


def basis_digest(rules: Rules) -> str:
    """Returns a digest of the common basis of all figures: rules, program and engine."""
    return hashlib.sha256(json.dumps([__version__, FORM, pl.__version__, rules.digest]).encode()).hexdigest()


def compute(
    lake: Lake,
    rules: Rules,
    progress: Progress,
    *,
    full: bool = False,
    memory: int = DEFAULT_MEMORY,
    runner: Runner | None = None,
) -> Computed:
    """Brings the lake's typed rows, current rows and metrics up to date with the exports and the rules.

    If the only change is a moderate number of rows in newer exports, only the parts they affect are recomputed.

    Args:
        lake: holds the exports; receives the results.
        rules: the rules in force.
        progress: receives progress reports.
        full: rebuild everything, whatever is there.
        memory: memory limit in bytes.
        runner: runs full computations; None for this machine. Increments always run here.

    Raises:
        LakeError: a raw file is damaged, or a file cannot be written.
    """
    clock = time.monotonic()
    raws = lake.raw_files()
    placed, unplaced = place(raws, rules)
    typed = _typed(lake, rules, placed, progress, runner, full=full)
    before = load(lake)
    altered = before.altered()
    rebuilt = _repair_typed(lake, rules, placed, typed, used=False)
    rebuilt += [name for name in altered if lake.store.head(name)]  # a deleted file is rebuilt, but not reported
    wanted = replace(  # keeps the record of files already examined
        before,
        inputs=inputs_digest(placed, rules),
        basis=basis_digest(rules),
        rules=rules.digest,
        exports=tuple(UsedExport(p.raw.sha256, p.feed, p.rank) for p in placed),
        tables={},
    )
    newest = newest_day((p.raw for p in placed), rules)
    typing = time.monotonic() - clock
    usable = not full and not altered and before.basis == wanted.basis and all(map(before.has, tables(rules)))
    incremental, were = None, None
    if usable and before.inputs == wanted.inputs:
        made = before
    else:
        rebuilt += _repair_typed(lake, rules, placed, typed, used=True)
        if usable and _on_top(before.exports, wanted.exports):
            known = {e.sha256 for e in before.exports}
            fresh = {n: [f for f in files if f[0].sha256 not in known] for n, files in typed.items()}
            older = {n: [f for f in files if f[0].sha256 in known] for n, files in typed.items()}
            were = Rows(lake, rules, older, before)
            if is_small(were, fresh):
                try:
                    incremental = increment(lake, were, fresh, typed, newest_day=newest)
                except CorruptError as corrupt:
                    rebuilt.append(corrupt.name)
        if incremental is None:
            max_rows = rows_at_once(memory)
            if runner is not None:
                results = runner.compute_all(lake, rules, typed, progress, max_rows=max_rows, newest_day=newest)
            else:
                kept = None if full or altered else _kept(lake, before, wanted.exports, rules, rebuilt)
                results = compute_all(lake, rules, typed, progress, max_rows=max_rows, newest_day=newest, kept=kept)
        else:
            results = incremental.tables
        made = replace(wanted, tables=results)
        lake.keep_rules(rules.digest, rule_files(rules.folder))  # later readers of the rows need the same rules
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
        tuple(rebuilt),
        rows,
        incremental,
        were if incremental else None,
        before.exports,
        seconds,
    )


def _kept(lake: Lake, before: Snapshot, exports: Exports, rules: Rules, rebuilt: list[str]) -> KeptTables | None:
    """Returns the tables that edited rules leave unchanged; adds a damaged file to ``rebuilt``."""
    if not before.inputs or before.exports != exports:
        return None
    old = old_rules(lake, before.rules, rules)
    if old is None or before.basis != basis_digest(old):
        return None
    kept = kept_tables(before, old, rules)
    try:
        before.verify(*kept.tables, *([JOURNEYS, CONTENTS] if kept.tables else []))
    except CorruptError as damaged:
        rebuilt.append(damaged.name)
        return None
    return kept


def last_computed(lake: Lake, rules: Rules, raws: list[RawFile]) -> Computed:
    """Returns the last sync's computation as it is in the lake; computes and writes nothing.

    Args:
        lake: its computation has these rules and exports, and is undamaged.
        rules: the rules in force.
        raws: all landed exports.

    Raises:
        LakeError: typed rows are missing.
    """
    placed, unplaced = place(raws, rules)
    typed = _known_typed(lake, rules, placed)
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
    replaced_counts = pl.collect_all(
        rows.snapshot.scan(replaced(n)).group_by(rank).agg(pl.col(PARTS).sum()) for n in names
    )
    superseded = {n: dict(frame.iter_rows()) for n, frame in zip(names, replaced_counts, strict=True)}
    return {
        t.sha256: FileCounts(t.rows + t.rejected + t.totals, t.rejected, t.totals, superseded[name].get(rank, 0))
        for name in names
        for t, rank in rows.typed[name]
    }


def _on_top(before: Exports, now: Exports) -> bool:
    """Tests whether the exports are the earlier ones followed only by newer ones."""
    return now[: len(before)] == before


def _typed(
    lake: Lake, rules: Rules, placed: list[PlacedExport], progress: Progress, runner: Runner | None, *, full: bool
) -> dict[str, list[tuple[TypedFile, int]]]:
    """Returns the typed files of the exports by feed, oldest first, with their ranks; types those that are missing."""
    done = 0

    def typed_one() -> None:
        nonlocal done
        done += 1
        progress("typing rows", done, len(placed))

    if runner is not None:
        missing = [(p.raw, p.feed) for p in placed if full or lake.typed_file(*p.key) is None]
        if worth_spreading([raw.size for raw, _ in missing]):
            for made in runner.retype(lake, rules, exports_in_tasks(missing)):
                lake.adopt_typed(made.typed)
            full = False
    type_missing(lake, rules, ((p.raw, p.made_as) for p in placed), typed_one, full=full)
    return _known_typed(lake, rules, placed)


def _known_typed(lake: Lake, rules: Rules, placed: list[PlacedExport]) -> dict[str, list[tuple[TypedFile, int]]]:
    """Returns the existing typed files of the exports.

    Raises:
        LakeError: typed rows are missing.
    """
    typed: dict[str, list[tuple[TypedFile, int]]] = {name: [] for name in rules.feeds}
    existing = lake.typed_files(p.key for p in placed)
    for item in placed:
        found = existing.get(item.key)
        if found is None:
            raise LakeError(f"the typed rows of {item.raw.name} are missing", "Run `rmetrics sync`, then try again.")
        typed[item.feed].append((found, item.rank))
    return typed


def _repair_typed(
    lake: Lake, rules: Rules, placed: list[PlacedExport], typed: dict[str, list[tuple[TypedFile, int]]], *, used: bool
) -> list[str]:
    """Rebuilds damaged typed rows, which are only a cache; returns the names of the files."""
    files = [file for of_feed in typed.values() for file, _ in of_feed]
    intact = lake.typed_are_intact(files, used=used)
    corrupt = {f.sha256: f.name for f in files if f.name not in intact}
    if not corrupt:
        return []
    damaged = [(p.raw, p.made_as) for p in placed if p.raw.sha256 in corrupt]
    type_missing(lake, rules, damaged, lambda: None, full=True)
    now = _known_typed(lake, rules, placed)
    for name, of_feed in typed.items():
        hashes = {file.sha256 for file, _ in of_feed}
        of_feed[:] = [(file, rank) for file, rank in now[name] if file.sha256 in hashes]
    return [f"{lake.typed.name}/{name}" for name in dict.fromkeys(corrupt.values())]


__all__ = [
    "LINE",
    "Computed",
    "FileCounts",
    "basis_digest",
    "compute",
    "inputs_digest",
    "last_computed",
]
