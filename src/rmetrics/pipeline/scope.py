"""What the second engine needs to recompute some months and nothing else.

A month's figures come from the jobs of the month, from all payments of these jobs and those of the month, from the jobs
that payments of the month name, and from the other feeds' rows of the month; beyond it from the month's place in
history: how far the data reach, when a source began, what a month's spend was.
"""

import contextlib
import datetime as dt
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rmetrics.checks.recompute import Scope, TypedInput
from rmetrics.lake import Lake, writing
from rmetrics.metrics.costs import spends
from rmetrics.metrics.jobs import own_names
from rmetrics.periods import NO_PART, PART, next_month
from rmetrics.pipeline.compute import Computed
from rmetrics.pipeline.parts import FACTS, REF, SPELLINGS, TALLIES, by_name
from rmetrics.rules import Rules
from rmetrics.rules.validate import JOBS, PAYMENTS, TARGETS
from rmetrics.snapshot import Snapshot, hashed
from rmetrics.tables import DAILY

MOST = 0.5  # of all months; beyond it everything is looked at


@dataclass(frozen=True, slots=True)
class Part:
    """Some months, and the files from which they can be recomputed.

    Attributes:
        inputs: by feed: rows put together before, and the typed rows of new exports.
        parts: of each feed, those that are read whole.
        others: by table, a file of the rows of other parts that the months need.
    """

    scope: Scope
    inputs: Mapping[str, list[TypedInput]]
    parts: Mapping[str, Collection[dt.date]]
    others: Mapping[str, Path]


@contextlib.contextmanager
def of_growth(lake: Lake, rules: Rules, computed: Computed) -> Iterator[Part | None]:
    """What the new exports of a computation changed: from the rows before it, and from the exports.

    Yields:
        None where everything is to be looked at.

    Raises:
        LakeError: a file of the lake is not what was written.
    """
    grown, before = computed.grown, computed.before
    months = len(computed.snapshot.parts(JOBS))
    if grown is None or len(grown.months) > max(3, MOST * months):
        yield None
        return
    known = {sha256 for sha256, _, _ in before.exports}
    parts = _whole(computed.snapshot, rules, grown.months)
    parts = {name: those | grown.touched.get(name, frozenset()) for name, those in parts.items()}
    with _others(lake, rules, computed.snapshot, grown.months, parts) as others:
        inputs: dict[str, list[TypedInput]] = {}
        for name in rules.feeds:
            inputs[name] = _together(before, rules, name, parts[name], others)
            for file, rank in computed.typed[name]:
                if file.sha256 not in known:
                    path = lake.typed_path(file.feed, file.sha256, file.digest)
                    inputs[name].append(TypedInput(path, file.columns, rank))
        yield Part(_scope(computed.snapshot, grown.months), inputs, parts, others)


@contextlib.contextmanager
def of_months(lake: Lake, rules: Rules, snapshot: Snapshot, months: frozenset[dt.date]) -> Iterator[Part]:
    """Some months of a computation, from the newest rows, with what their neighbours need for rows that are near them.

    Raises:
        LakeError: a file of the lake is not what was written.
    """
    near = frozenset(d for m in months for d in ((m - dt.timedelta(days=1)).replace(day=1), m, next_month(m)))
    parts = {name: {*those, NO_PART} for name, those in _whole(snapshot, rules, near).items()}
    with _others(lake, rules, snapshot, near, parts, facts=True) as others:
        inputs = {name: _together(snapshot, rules, name, parts[name], others) for name in rules.feeds}
        yield Part(_scope(snapshot, months), inputs, parts, others)


def _scope(snapshot: Snapshot, months: frozenset[dt.date]) -> Scope:
    (daily,) = snapshot.paths(DAILY)
    names = own_names(snapshot.scan(SPELLINGS)).select("_fold", "_own").collect()
    return Scope(months, daily, dict(names.iter_rows()))


def _together(
    snapshot: Snapshot, rules: Rules, name: str, parts: Collection[dt.date], others: Mapping[str, Path]
) -> list[TypedInput]:
    snapshot.verify_parts(name, parts)
    columns = tuple(rules.feeds[name].mapped)
    paths = [*snapshot.paths(name, parts), *([others[name]] if name in others else [])]
    return [TypedInput(path, columns, None) for path in paths]


def _whole(snapshot: Snapshot, rules: Rules, months: frozenset[dt.date]) -> dict[str, set[dt.date]]:
    """The parts of each feed of which the months need every row."""
    parts = {name: set(months) for name in rules.feeds}
    for name in {*spends(rules), TARGETS}:
        parts[name] = set(snapshot.parts(name))
    snapshot.verify_parts(TALLIES["latest"], [NO_PART])
    reached = snapshot.scan(TALLIES["latest"]).sort("latest").group_by("feed").agg(pl.col(PART).last()).collect()
    for name, part in reached.iter_rows():
        parts[name].add(part)
    return parts


@contextlib.contextmanager
def _others(
    lake: Lake,
    rules: Rules,
    snapshot: Snapshot,
    months: frozenset[dt.date],
    parts: Mapping[str, Collection[dt.date]],
    *,
    facts: bool = False,
) -> Iterator[dict[str, Path]]:
    """Files of single rows: payments that name the months' jobs, and the jobs that rows of the whole parts name.

    By what the rows say themselves, not by the links that the first engine made of it. They are found by hash, so a few
    more may be among them, which count in no month that is looked at.
    """
    links = {name: feed.job for name, feed in rules.feeds.items() if feed.job is not None}
    folder, found = lake.root / "duckdb", dict[str, Path]()
    lake.folder(folder)

    def keep(name: str, where: Collection[dt.date], columns: Collection[str], names: pl.Series) -> None:
        where = sorted(set(where) & set(snapshot.parts(name)))
        if where:
            snapshot.verify_parts(name, where)
            found[name] = Path(stage) / f"{name}.parquet"
            called = pl.any_horizontal(hashed(pl.col(c)).is_in(names.implode()) for c in columns)
            with writing(found[name]):
                snapshot.scan(name, where).filter(called).sink_parquet(found[name], compression="lz4")

    with tempfile.TemporaryDirectory(prefix="rows-", dir=folder) as stage:
        asked = [_hashes(snapshot, name, parts[name], [link.column]) for name, link in links.items()]
        if PAYMENTS in links:
            column, match = links[PAYMENTS].column, links[PAYMENTS].match
            names = _hashes(snapshot, JOBS, months, match)
            keep(PAYMENTS, set(snapshot.find(PAYMENTS, REF, names)) - set(parts[PAYMENTS]), [column], names)
            if PAYMENTS in found:  # these may name yet other jobs, by a name that counts first
                asked.append(_values(pl.scan_parquet(found[PAYMENTS], glob=False), [column]))
        if links:
            names = pl.concat(asked).unique()
            columns = list(dict.fromkeys(c for link in links.values() for c in link.match))
            where = {p for c in columns for p in snapshot.find(JOBS, by_name(c), names)} - set(parts[JOBS])
            for name in (JOBS, FACTS) if facts else (JOBS,):
                keep(name, where, columns, names)
        yield found


def _hashes(snapshot: Snapshot, name: str, parts: Collection[dt.date], columns: Collection[str]) -> pl.Series:
    """The hashes of all values in some columns of some parts."""
    snapshot.verify_parts(name, parts)
    return _values(snapshot.scan(name, parts), columns)


def _values(rows: pl.LazyFrame, columns: Collection[str]) -> pl.Series:
    """The hashes of all values in some columns."""
    frames = [rows.select(c).drop_nulls().select(hashed(pl.col(c)).alias("hash")) for c in columns]
    return pl.concat(frames).select(pl.col("hash").unique()).collect()["hash"]


__all__ = ["MOST", "Part", "of_growth", "of_months"]
