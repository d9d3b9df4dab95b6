"""From landed exports to metrics in the lake: type what is new, keep the newest rows, apply the rules."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics import __version__
from rmetrics.ingest.parse import Reading
from rmetrics.ingest.read import LINE
from rmetrics.ingest.recognise import best_fit, fit
from rmetrics.ingest.typing import REJECTED_SCHEMA, summed, type_batches, typed_schema, typing_digest, with_row_ids
from rmetrics.lake import Lake, RawFile, TypedFile, file_digest, is_sound, write_batches
from rmetrics.metrics.calls import with_call_sources
from rmetrics.metrics.jobs import job_facts, linked
from rmetrics.metrics.newest import COUNTED, FILE, PARTS, TypedExport, feed_rows, newest_rows
from rmetrics.metrics.rollup import daily_metrics, monthly_metrics
from rmetrics.metrics.targets import with_declared_sources
from rmetrics.pipeline.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.validate import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.tables import DAILY, MONTHLY

FACTS = "job_facts"


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
        typed: typed files by feed, oldest first, with their ranks.
        counts: by export hash.
        mended: files of the lake that were not what was written, and were made again.
    """

    inputs: str
    placed: tuple[Placed, ...]
    unplaced: tuple[RawFile, ...]
    typed: Mapping[str, tuple[tuple[TypedFile, int], ...]]
    counts: Mapping[str, FileCounts]
    mended: tuple[str, ...] = ()


def place(raws: list[RawFile], rules: Rules) -> tuple[list[Placed], list[RawFile]]:
    """Which feed each landed export is read as under these rules.

    The feed it landed as, while its headers still fit; otherwise the one feed they fit now. So renaming a feed, or
    removing it and adding it again, loses nothing.
    """
    placed, lost = [], []
    for rank, raw in enumerate(raws):
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
    exports = [(p.raw.sha256, p.feed, p.raw.age[:2]) for p in placed]
    meaning = json.dumps([__version__, pl.__version__, rules.digest, exports])
    return hashlib.sha256(meaning.encode()).hexdigest()


def compute(lake: Lake, rules: Rules, progress: Progress, *, full: bool = False) -> Computed:
    """Brings the lake's typed rows, current rows and metrics up to date with the exports and the rules.

    Args:
        lake: holds the exports; receives the results.
        rules: the rules in force.
        progress: is told how far it is.
        full: make everything again, whatever is there.

    Raises:
        LakeError: a raw file is damaged, or a file cannot be written.
    """
    placed, unplaced = place(lake.raw_files(), rules)
    inputs = inputs_digest(placed, rules)
    state = lake.load_json("state")
    typed: dict[str, list[tuple[TypedFile, int]]] = {name: [] for name in rules.feeds}
    for i, item in enumerate(placed):
        progress("typing rows", i, len(placed))
        typed[item.feed].append((_typed(lake, rules, item, full=full), item.rank))
    progress("typing rows", len(placed), len(placed))
    mended = _mend_typed(lake, rules, placed, typed)
    spoiled = _spoiled(lake, state)
    fresh = not full and state.get("inputs") == inputs and not spoiled and _complete(lake, rules, state)
    mended += [name for name in spoiled if (lake.root / name).exists()]
    superseded: dict[str, int] = state.get("superseded", {}) if fresh else {}
    if not fresh:
        lake.forget("state")
        superseded = _derive(lake, rules, typed, progress)
        outputs = {p.relative_to(lake.root).as_posix(): p.stat().st_size for p in _outputs(lake, rules)}
        digests = {name: file_digest(lake.root / name) for name in outputs}
        record = {"inputs": inputs, "rules": rules.digest, "superseded": superseded, "outputs": outputs}
        lake.save_json("state", {**record, "digests": digests})
    counts = {
        t.sha256: FileCounts(t.rows + t.rejected + t.totals, t.rejected, t.totals, superseded.get(t.sha256, 0))
        for files in typed.values()
        for t, _ in files
    }
    by_feed = {n: tuple(f) for n, f in typed.items()}
    return Computed(inputs, tuple(placed), tuple(unplaced), by_feed, counts, tuple(mended))


def _outputs(lake: Lake, rules: Rules) -> Iterator[Path]:
    yield from (lake.current_path(name) for name in rules.feeds)
    yield from (lake.metrics_path(name) for name in (FACTS, DAILY, MONTHLY))


def _complete(lake: Lake, rules: Rules, state: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether every result is there that the rules ask for."""
    digests = state.get("digests", {})
    return all(p.relative_to(lake.root).as_posix() in digests for p in _outputs(lake, rules))


def _spoiled(lake: Lake, state: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Results that are not what was written, by name; all are hashed, for flipped bits are read without an error."""
    return [name for name, digest in state.get("digests", {}).items() if not is_sound(lake.root / name, digest)]


def _typed(lake: Lake, rules: Rules, item: Placed, *, full: bool) -> TypedFile:
    """The typed rows of one export: the cached ones, or made now."""
    feed, zone = rules.feeds[item.feed], rules.business.timezone
    digest = typing_digest(feed, zone)
    key = (item.feed, item.raw.sha256, digest)
    cached = None if full else lake.typed_file(*key)
    if cached is not None:
        return cached
    lake.verify_raw(item.raw)
    raw = item.raw
    reading = Reading(zone, raw.exported_at.astimezone(ZoneInfo(zone)).date())
    schema = typed_schema(feed, raw.headers, raw.preamble)

    def rows(path: Path) -> tuple[int, int, int, pl.DataFrame]:
        faults: list[pl.DataFrame] = []
        totals = 0

        def typed_rows() -> Iterator[pl.DataFrame]:
            nonlocal totals
            yield pl.DataFrame(schema=schema)
            for batch in type_batches(lake.raw_batches(raw), feed, raw.headers, raw.preamble, reading):
                totals += batch.totals
                if batch.rejected.height:
                    faults.append(batch.rejected)
                yield batch.rows

        count = write_batches(path, typed_rows())
        rejected = pl.concat(faults) if faults else pl.DataFrame(schema=REJECTED_SCHEMA)
        return count, rejected.height, totals, rejected

    finish: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None
    if feed.repeats == "sum":
        finish = functools.partial(summed, feed=feed)
    elif feed.identity or not feed.key:
        finish = functools.partial(with_row_ids, key=feed.key_columns[0])
    columns = [n for n in schema if n in feed.mapped]
    return lake.write_typed(key, rows, columns, finish)


def _mend_typed(
    lake: Lake, rules: Rules, placed: list[Placed], typed: dict[str, list[tuple[TypedFile, int]]]
) -> list[str]:
    """Makes damaged typed rows again, for they are only a cache; returns which."""
    by_hash = {p.raw.sha256: p for p in placed}
    mended = []
    for files in typed.values():
        for i, (file, rank) in enumerate(files):
            if not lake.typed_is_sound(file):
                path = lake.typed_path(file.feed, file.sha256, file.digest)
                mended.append(path.relative_to(lake.root).as_posix())
                files[i] = _typed(lake, rules, by_hash[file.sha256], full=True), rank
    return mended


def _derive(
    lake: Lake, rules: Rules, typed: Mapping[str, list[tuple[TypedFile, int]]], progress: Progress
) -> dict[str, int]:
    """Writes current rows, job facts and metrics; returns how many rows of each export a newer one replaced."""
    superseded: dict[str, int] = {}
    order = [JOBS, *(n for n in rules.feeds if n != JOBS)]
    for i, name in enumerate(order):
        progress("keeping the newest rows", i, len(order))
        _write_current(lake, rules, name, typed[name])
        superseded |= _superseded(lake, name, typed[name])
    feeds = {name: pl.scan_parquet(lake.current_path(name), glob=False) for name in rules.feeds}
    progress("keeping the newest rows", len(order), len(order))
    progress("applying the rules", 0, 2)
    lake.write(job_facts(feeds[JOBS], feeds[PAYMENTS], rules), lake.metrics_path(FACTS))
    facts = pl.scan_parquet(lake.metrics_path(FACTS), glob=False)
    progress("applying the rules", 1, 2)
    lake.write(daily_metrics(facts, feeds, rules), lake.metrics_path(DAILY))
    daily = pl.scan_parquet(lake.metrics_path(DAILY), glob=False)
    lake.write(monthly_metrics(daily, rules), lake.metrics_path(MONTHLY))
    progress("applying the rules", 2, 2)
    return superseded


def _write_current(lake: Lake, rules: Rules, name: str, files: list[tuple[TypedFile, int]]) -> None:
    feed = rules.feeds[name]
    exports = [TypedExport(lake.scan_typed(f), f.columns, rank) for f, rank in files]
    rows = feed_rows(newest_rows(exports, feed), feed, rules.feed_where[name], rules.business.timezone)
    if feed.job is not None:
        jobs = pl.scan_parquet(lake.current_path(JOBS), glob=False).filter(pl.col(COUNTED))
        rows = linked(rows, jobs, feed.job)
    if name == CALLS:
        rows = with_call_sources(rows, rules)
    if name == TARGETS:
        rows = with_declared_sources(rows, rules)
    lake.write(rows, lake.current_path(name))


def _superseded(lake: Lake, name: str, files: list[tuple[TypedFile, int]]) -> dict[str, int]:
    current = pl.scan_parquet(lake.current_path(name), glob=False).group_by(FILE).agg(pl.col(PARTS).sum()).collect()
    kept = dict(current.iter_rows())
    return {f.sha256: f.rows - kept.get(rank, 0) for f, rank in files}


__all__ = ["FACTS", "LINE", "Computed", "FileCounts", "Placed", "compute", "feed_of", "inputs_digest", "place"]
