"""The second engine's inputs for recomputing some months and nothing else.

A month's figures come from the jobs of the month, all payments of these jobs, the payments of the month and the jobs
they name, and the other feeds' rows of the month. Beyond these they depend on the month's place in history: the last
day of the data, the first day of a source, the spend of a month.
"""

import contextlib
import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.checks.recompute import Scope, TypedInput
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Snapshot
from rmetrics.metrics.call_classes import call_rows
from rmetrics.metrics.costs import spend_feeds
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import JOB_ID, may_be_placed, own_names, placing_day
from rmetrics.periods import next_month
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.names import SPELLINGS, TALLIES
from rmetrics.pipeline.compute.returns import same_customers
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.typed_inputs import inputs_of
from rmetrics.pipeline.verify.second_inputs import StagedRows, distinct, payments_naming, rows_holding, stage
from rmetrics.positions import POSITION
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.tables import DAILY

MAX_SHARE = 0.5  # share of all months; beyond it everything is checked


@dataclass(frozen=True, slots=True)
class MonthInputs:
    """Some months, and the files from which they can be recomputed.

    Attributes:
        inputs: by feed: one file of rows in force, and the typed rows of new exports.
        positions: by feed, the positions of the rows in force.
        classes: whether the inputs suffice to reclassify the calls of the increment.
    """

    scope: Scope
    inputs: Mapping[str, list[TypedInput]]
    positions: Mapping[str, pl.Series]
    classes: bool = False


@contextlib.contextmanager
def of_increment(lake: Lake, rules: Rules, computed: Computed) -> Iterator[MonthInputs | None]:
    """Yields the inputs for the months that new exports changed, from the rows before them and from the exports.

    Yields:
        None if everything is to be checked.
    """
    made, before = computed.increment, computed.before
    months = _months(computed.snapshot)
    if made is None or before is None or len(made.months) > max(3, MAX_SHARE * months):
        yield None
        return
    new_inputs = {
        name: inputs_of(lake, ((f, rank) for f, rank in files if rank in made.fresh.get(name, ())))
        for name, files in computed.typed.items()
    }
    also, keys = {n: f[POSITION] for n, f in made.was.items()}, None
    if made.reclassed is not None:
        also[CALLS] = pl.concat([made.reclassed.removed, made.reclassed.made[POSITION]]).unique()
        keys = made.reclassed.keys
    with _written(lake, before, made.months, also, made.now, keys) as (old, at):
        inputs = {name: [*old[name], *new_inputs.get(name, [])] for name in rules.feeds}
        yield MonthInputs(_scope(computed.snapshot, made.months), inputs, at, classes=keys is not None)


@contextlib.contextmanager
def of_months(lake: Lake, rows: Rows, months: frozenset[dt.date]) -> Iterator[MonthInputs]:
    """Yields the inputs for some months from the rows in force, with the neighbouring months."""
    near = frozenset(d for m in months for d in ((m - dt.timedelta(days=1)).replace(day=1), m, next_month(m)))
    with _written(lake, rows, near, {}, {}) as (inputs, positions):
        yield MonthInputs(_scope(rows.snapshot, months), inputs, positions)


def _months(snapshot: Snapshot) -> int:
    """Returns the number of months that have rows."""
    days = snapshot.scan(TALLIES["days"]).select(pl.col("date").dt.month_start().drop_nulls().n_unique())
    return int(days.collect().item())


def _scope(snapshot: Snapshot, months: frozenset[dt.date]) -> Scope:
    return Scope(months, snapshot.path(DAILY), own_spellings(snapshot), snapshot.path(TALLIES["members"]))


def own_spellings(snapshot: Snapshot) -> dict[str, str]:
    """Returns the names of undeclared sources, in the form of ``Scope.names``."""
    return dict(own_names(snapshot.scan(SPELLINGS)).select("_fold", "_own").collect().iter_rows())


@contextlib.contextmanager
def _written(
    lake: Lake,
    rows: Rows,
    months: frozenset[dt.date],
    also: Mapping[str, pl.Series],
    named: Mapping[str, pl.DataFrame],
    keys: pl.Series | None = None,
) -> Iterator[tuple[dict[str, list[TypedInput]], dict[str, pl.Series]]]:
    """Yields files of the rows in force that the months need, and the positions of these rows.

    Selects them by their own values, not by the links that the first engine made, so that the check is independent.

    Args:
        lake: for temporary files.
        rows: the rows in force.
        months: the months to recompute.
        also: by feed, positions of more rows.
        named: by feed, rows that name jobs, or are named.
        keys: numbers of customers whose calls and jobs are needed whatever their dates.

    Raises:
        CorruptError: a file of the lake fails its checksum.
    """
    rows.verify()
    with stage(lake) as folder:
        needed = StagedRows(folder)
        _add_needed(needed, rows, months, also, named, keys)
        yield needed.inputs(rows.rules), {name: needed.positions(name) for name in rows.rules.feeds}


def _add_needed(
    found: StagedRows,
    rows: Rows,
    months: frozenset[dt.date],
    also: Mapping[str, pl.Series],
    named: Mapping[str, pl.DataFrame],
    keys: pl.Series | None,
) -> None:
    """Adds the rows in force that the months need, by feed, with their mapped columns."""
    rules = rows.rules
    undivided = {*spend_feeds(rules), TARGETS}
    reached, near_days = _last_days(rows.snapshot), _spans(months)
    for name in rules.feeds:
        newest = rows.newest(name)
        if name in undivided:
            found.add(name, newest)
            continue
        day, spans = placing_day(rules, name), list(near_days)
        near = day.is_null() | day.dt.month_start().is_in(sorted(months))
        if name in reached:
            near |= day == pl.lit(reached[name])
            spans.append((reached[name], reached[name]))
        columns = newest.collect_schema().names()
        dated = kept_rows(newest.filter(may_be_placed(rules, name, spans)), rules, name).filter(near)
        found.add(name, dated.select(columns))
        if name in also:
            found.add(name, rows.newest_at(name, also[name]))
    if keys is not None:
        theirs = call_rows(rows.linked(CALLS), rows.feed(JOBS), rules).of(keys)
        calls, jobs = theirs.calls.select(POSITION).collect()[POSITION], theirs.jobs.select(JOB_ID).collect()[JOB_ID]
        found.add(CALLS, rows.newest_at(CALLS, calls))
        found.add(JOBS, rows_holding(rows, JOBS, [JOB_ID], jobs, besides=found.scan(JOBS)))
    _add_customers(found, rows, named)
    _add_payments(found, rows, named)
    linking = {name: feed.job for name, feed in rules.feeds.items() if feed.job is not None}
    if linking:
        asked = [
            distinct([found.scan(name), *([named[name].lazy()] if name in named else [])], [link.column])
            for name, link in linking.items()
        ]
        names = pl.concat(asked).unique()
        columns = list(dict.fromkeys(c for link in linking.values() for c in link.match))
        found.add(JOBS, rows_holding(rows, JOBS, columns, names, besides=found.scan(JOBS)))
    if rules.returns:  # rows of the months may get their members from jobs of other months
        _add_customers(found, rows, named)
        _add_payments(found, rows, named)


def _add_customers(found: StagedRows, rows: Rows, named: Mapping[str, pl.DataFrame]) -> None:
    """Adds all jobs of the customers whose jobs are there, if the rules declare returns."""
    if rows.rules.returns:
        found_jobs = [rows.at(JOBS, found.positions(JOBS)).collect(), *([named[JOBS]] if JOBS in named else [])]
        found.add(JOBS, rows.newest_at(JOBS, same_customers(rows, found_jobs)))


def _add_payments(found: StagedRows, rows: Rows, named: Mapping[str, pl.DataFrame]) -> None:
    """Adds all payments that name the jobs that are there."""
    jobs = [found.scan(JOBS), *([named[JOBS].lazy()] if JOBS in named else [])]
    there = found.scan(PAYMENTS) if PAYMENTS in rows.rules.feeds else None
    for name, more in payments_naming(rows, jobs, besides=there).items():
        found.add(name, more)


def _spans(months: Collection[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Returns the spans of first and last days of months; consecutive months form one span."""
    spans: list[tuple[dt.date, dt.date]] = []
    for month in sorted(months):
        last = next_month(month) - dt.timedelta(days=1)
        if spans and spans[-1][1] + dt.timedelta(days=1) == month:
            spans[-1] = spans[-1][0], last
        else:
            spans.append((month, last))
    return spans


def _last_days(snapshot: Snapshot) -> dict[str, dt.date]:
    """Returns the last day on which rows of each feed count."""
    days = snapshot.scan(TALLIES["days"]).filter(pl.col("counted") > 0)
    return dict(days.group_by("feed").agg(pl.col("date").max()).drop_nulls().collect().iter_rows())


__all__ = ["MAX_SHARE", "MonthInputs", "of_increment", "of_months", "own_spellings"]
