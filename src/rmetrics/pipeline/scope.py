"""What the second engine needs to recompute some months and nothing else.

A month's figures come from the jobs of the month, from all payments of these jobs and those of the month, from the jobs
that payments of the month name, and from the other feeds' rows of the month; beyond it from the month's place in
history: how far the data reach, when a source began, what a month's spend was.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.checks.recompute import Scope, TypedInput
from rmetrics.lake import Lake
from rmetrics.metrics.costs import spends
from rmetrics.metrics.jobs import JOB_ID, own_names
from rmetrics.periods import NO_PART, PART, next_month
from rmetrics.pipeline.compute import Computed
from rmetrics.pipeline.parts import JOB, SPELLINGS, TALLIES, by_name
from rmetrics.rules import Rules
from rmetrics.rules.model import JobLink
from rmetrics.rules.validate import JOBS, PAYMENTS, TARGETS
from rmetrics.snapshot import Snapshot, hashes_of
from rmetrics.tables import DAILY

MOST = 0.5  # of all months; beyond it everything is looked at


@dataclass(frozen=True, slots=True)
class Part:
    """Some months, and the files from which they can be recomputed.

    Attributes:
        inputs: by feed: rows put together before, and the typed rows of new exports.
        parts: of each feed, those that the months need.
    """

    scope: Scope
    inputs: Mapping[str, list[TypedInput]]
    parts: Mapping[str, Collection[dt.date]]


def of_growth(lake: Lake, rules: Rules, computed: Computed) -> Part | None:
    """What the new exports of a computation changed: from the rows before it, and from the exports.

    Returns:
        None where everything is to be looked at.

    Raises:
        LakeError: a file of the lake is not what was written.
    """
    grown, before = computed.grown, computed.before
    months = len(computed.snapshot.parts(JOBS))
    if grown is None or len(grown.months) > max(3, MOST * months):
        return None
    known = {sha256 for sha256, _, _ in before.exports}
    needed = _needed(computed.snapshot, rules, grown.months)
    inputs: dict[str, list[TypedInput]] = {}
    for name in rules.feeds:
        parts = needed[name] | grown.touched.get(name, frozenset())
        inputs[name] = _together(before, rules, name, parts)
        for file, rank in computed.typed[name]:
            if file.sha256 not in known:
                path = lake.typed_path(file.feed, file.sha256, file.digest)
                inputs[name].append(TypedInput(path, file.columns, rank))
    return Part(_scope(computed.snapshot, grown.months), inputs, needed)


def of_month(rules: Rules, snapshot: Snapshot, month: dt.date) -> Part:
    """One month of a computation, from the newest rows, with what its neighbours need for rows that are near it.

    Raises:
        LakeError: a file of the lake is not what was written.
    """
    before = (month - dt.timedelta(days=1)).replace(day=1)
    needed = _needed(snapshot, rules, frozenset({before, month, next_month(month)}))
    for parts in needed.values():
        parts.add(NO_PART)
    inputs = {name: _together(snapshot, rules, name, needed[name]) for name in rules.feeds}
    return Part(_scope(snapshot, frozenset({month})), inputs, needed)


def _scope(snapshot: Snapshot, months: frozenset[dt.date]) -> Scope:
    (daily,) = snapshot.paths(DAILY)
    names = own_names(snapshot.scan(SPELLINGS)).select("_fold", "_own").collect()
    return Scope(months, daily, dict(names.iter_rows()))


def _together(snapshot: Snapshot, rules: Rules, name: str, parts: Collection[dt.date]) -> list[TypedInput]:
    snapshot.verify_parts(name, parts)
    columns = tuple(rules.feeds[name].mapped)
    return [TypedInput(path, columns, None) for path in snapshot.paths(name, parts)]


def _needed(snapshot: Snapshot, rules: Rules, months: frozenset[dt.date]) -> dict[str, set[dt.date]]:
    """The parts of each feed that the months need."""
    needed = {name: set(months) for name in rules.feeds}
    for name in {*spends(rules), TARGETS}:
        needed[name] = set(snapshot.parts(name))
    reached = snapshot.scan(TALLIES["latest"]).sort("latest").group_by("feed").agg(pl.col(PART).last()).collect()
    for name, part in reached.iter_rows():
        needed[name].add(part)
    jobs = snapshot.scan(JOBS, needed[JOBS]).select(JOB_ID).collect()[JOB_ID]
    feed = rules.feeds[PAYMENTS]
    of_months = snapshot.scan(PAYMENTS, months).select(JOB_ID).collect()[JOB_ID].drop_nulls()
    needed[PAYMENTS] |= set(snapshot.find(PAYMENTS, JOB, hashes_of(pl.concat([jobs, of_months]))))
    if feed.job is not None:
        needed[JOBS] |= _named(snapshot, needed[PAYMENTS], feed.job)
    return needed


def _named(snapshot: Snapshot, parts: Collection[dt.date], link: JobLink) -> set[dt.date]:
    """The parts of the jobs that some payments name."""
    names = snapshot.scan(PAYMENTS, parts).select(link.column).collect()[link.column].drop_nulls()
    return {part for c in link.match for part in snapshot.find(JOBS, by_name(c), hashes_of(names))}


__all__ = ["Part", "of_growth", "of_month"]
