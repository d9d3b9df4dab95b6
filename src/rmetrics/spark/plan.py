"""The computation as steps over buckets, for an engine that moves rows between machines.

The plan knows no engine: it says which rows must meet, and what is done with them (``steps``). Rows meet by a hash of
their key, of the name of a job, or of the job; whichever engine hashes, the outcome is that of ``compute.local``. Only
what is small comes to the machine that runs the plan: spellings of undeclared sources, sums, and notes of files.
"""

import datetime as dt
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import polars as pl

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Snapshot, write_layer
from rmetrics.metrics.call_classes import CLASSED
from rmetrics.metrics.jobs import JOB_ID, earliest, own_names
from rmetrics.metrics.measures import together as together_sums
from rmetrics.metrics.tallies import added
from rmetrics.pipeline.compute.local import (
    Tables,
    classes_of,
    measured_alone,
    measured_of_jobs,
    published_rows,
    write_journeys,
    write_measures,
    write_metrics,
    written,
)
from rmetrics.pipeline.compute.names import (
    CLASSES,
    CONTENTS,
    FACTS,
    SPELLINGS,
    TALLIES,
    links,
    order,
    replaced,
    together,
)
from rmetrics.pipeline.compute.returns import write_returns
from rmetrics.pipeline.compute.rows import Rows, Typed
from rmetrics.pipeline.compute.stages import LINKS, REPLACED, standing_schema
from rmetrics.positions import POSITION
from rmetrics.postgres.publish.digests import month_sums
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.spark import steps
from rmetrics.spark.steps import Piece, Schema, Work
from rmetrics.tables import published_tables

PIECE = 500_000  # rows that one task reads
D = TypeVar("D")
Frames = Iterator[pl.DataFrame]


class Engine(Protocol[D]):
    """What moves rows. ``D`` are rows that are somewhere else, or are yet to be made."""

    def made(self, items: Sequence[Piece], step: Callable[[Piece], Frames], schema: Schema) -> D:
        """The frames that a step makes of each item."""

    def mapped(self, rows: D, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema) -> D:
        """A step over any cut of the rows."""

    def grouped(
        self, rows: D, by: Sequence[str], buckets: int, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema
    ) -> D:
        """A step over buckets; rows that are the same in all columns of ``by`` are in one. A blank is a value."""

    def paired(
        self,
        left: tuple[D, Sequence[str]],
        right: tuple[D, Sequence[str]],
        buckets: int,
        step: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame],
        schema: Schema,
    ) -> D:
        """A step over buckets of two sets of rows, cut alike; the first filled column of its ``by`` places a row."""

    def chosen(self, rows: D, columns: Sequence[str], *, notes: bool) -> D:
        """Some columns of the rows, or of the notes among them."""

    def together(self, rows: Sequence[D]) -> D:
        """All of them; they have the same columns."""

    def summed(self, rows: D, keys: Sequence[str], sums: Sequence[str], schema: Schema) -> pl.DataFrame:
        """The sums of the rows by key, here; a blank key is a value."""

    def collected(self, rows: D, schema: Schema) -> pl.DataFrame:
        """The rows, here."""

    def held(self, rows: D) -> D:
        """The rows, which are looked at several times: they need not be made each time."""

    def released(self) -> None:
        """Nothing of what is held is needed any more."""


def compute_on(
    engine: Engine[D],
    lake: Lake,
    rules: Rules,
    typed: Typed,
    progress: Progress,
    *,
    buckets: int,
    newest_day: dt.date | None = None,
) -> Tables:
    """Computes every table, as ``local.compute_all`` does.

    Args:
        engine: moves the rows.
        lake: where to; the machines of the engine see it under the same name.
        rules: in force.
        typed: typed files by feed, oldest first, each with the rank of its export.
        progress: is told how far it is.
        buckets: how many to cut rows into.
        newest_day: the day of the newest export.

    Raises:
        LakeError: a file cannot be written.
    """
    try:
        return _Plan(engine, lake, rules, typed, buckets).run(progress, newest_day)
    finally:
        engine.released()


class _Plan(Generic[D]):
    def __init__(self, engine: Engine[D], lake: Lake, rules: Rules, typed: Typed, buckets: int) -> None:
        self.engine, self.lake, self.rules, self.typed, self.buckets = engine, lake, rules, typed, buckets
        exports = {
            name: [(e.columns, e.ranks) for e in Rows(lake, rules, typed, Snapshot(lake.store)).exports(name)]
            for name in rules.feeds
        }
        self.work = Work(lake.at, rules, exports)

    def run(self, progress: Progress, newest_day: dt.date | None) -> Tables:
        engine, work, rules = self.engine, self.work, self.rules
        progress("keeping the newest rows", 0, 1)
        kept = {name: engine.held(self._kept(name)) for name in order(rules)}
        jobs, jobs_schema = kept[JOBS], steps.kept_schema(rules, JOBS)
        first = engine.collected(
            engine.mapped(jobs, functools.partial(steps.spelt, work=work), steps.SPELT), steps.SPELT
        )
        spelt = earliest(first.lazy()).collect()
        progress("keeping the newest rows", 1, 1)
        progress("applying the rules", 0, 3)
        feeds, parts = {JOBS: jobs}, []
        for name in order(rules):
            if name != JOBS:
                feeds[name] = self._linked(name, jobs, kept[name])
            tallied = functools.partial(steps.tallied, name=name, work=work)
            parts.append(engine.mapped(feeds[name], tallied, steps.FACTS_SCHEMA))
            if rules.feeds[name].job is not None:  # what the rows were before they were linked has notes, too
                parts.append(engine.mapped(kept[name], steps.notes_only, steps.FACTS_SCHEMA))
        paid = steps.paid_schema(rules)
        judged = functools.partial(steps.judged, work=work, own=own_names(spelt.lazy()).collect())
        payments = engine.chosen(feeds[PAYMENTS], list(paid), notes=False)
        plain = [c for c in jobs_schema if c not in steps.NOTES]
        counted = engine.chosen(jobs, plain, notes=False)
        parts.append(
            engine.paired((counted, [JOB_ID]), (payments, [JOB_ID, POSITION]), self.buckets, judged, steps.FACTS_SCHEMA)
        )
        everything = engine.held(engine.together(parts))
        progress("applying the rules", 1, 3)
        long = engine.summed(
            engine.chosen(everything, list(steps.TALLY), notes=False),
            list(steps.TALLY_KEYS),
            list(steps.TALLY_SUMS),
            steps.TALLY,
        )
        notes = engine.chosen(everything, [*steps.TALLY, *steps.NOTES], notes=True)
        fewer = engine.mapped(notes, steps.added_notes, steps.FACTS_SCHEMA)
        merged = engine.grouped(fewer, ["feed"], 1, steps.added_notes, steps.FACTS_SCHEMA)
        told = engine.collected(merged, steps.FACTS_SCHEMA)
        progress("applying the rules", 2, 3)
        tables = self._tables(told, spelt, steps.tallies(long), newest_day)
        progress("applying the rules", 3, 3)
        return tables

    def _kept(self, name: str) -> D:
        """The rows of a feed in force. Targets need all others: two spellings of a source share one."""
        schema = steps.every_schema(self.rules, name)
        rows = self.engine.made(
            steps.pieces(name, self.typed.get(name, ()), PIECE), functools.partial(steps.read, work=self.work), schema
        )
        key = list(self.rules.feeds[name].key_columns)
        buckets = 1 if name == TARGETS else self.buckets
        keep = functools.partial(steps.keep, name=name, work=self.work)
        return self.engine.grouped(rows, key, buckets, keep, steps.kept_schema(self.rules, name))

    def _linked(self, name: str, jobs: D, rows: D) -> D:
        """The rows of a feed with the jobs they name, where they name some."""
        engine, link = self.engine, self.rules.feeds[name].job
        if link is None:
            return rows
        match = tuple(dict.fromkeys(link.match))
        plain = [c for c in steps.kept_schema(self.rules, JOBS) if c not in steps.NOTES]
        called = engine.mapped(
            engine.chosen(jobs, plain, notes=False), functools.partial(steps.names_of, match=match), steps.NAMES
        )
        linked = functools.partial(steps.link, name=name, work=self.work)
        own = [c for c in steps.kept_schema(self.rules, name) if c not in steps.NOTES]
        asked = engine.chosen(rows, own, notes=False)
        schema = steps.linked_schema(self.rules, name)
        # A row that names no job meets nobody: its position spreads such rows over the buckets.
        made = engine.paired((asked, [link.column, POSITION]), (called, [steps.NAME]), self.buckets, linked, schema)
        return engine.held(made)

    def _tables(
        self, told: pl.DataFrame, spelt: pl.DataFrame, tallies: dict[str, pl.LazyFrame], newest_day: dt.date | None
    ) -> Tables:
        """Every table: those that the steps wrote, and what is made of sums."""
        lake, rules = self.lake, self.rules
        layers = steps.layers(told)
        tables: Tables = {}
        for name in order(rules):
            schemas: dict[str, Schema] = {
                replaced(name): dict(REPLACED),
                together(name): standing_schema(rules.feeds[name]),
            }
            if rules.feeds[name].job is not None:
                schemas[links(name)] = dict(LINKS)
            for table, schema in schemas.items():
                empty = pl.LazyFrame(schema=schema)
                tables[table] = tuple(layers.get(table, ())) or (write_layer(lake, table, empty),)
        tables[SPELLINGS] = (write_layer(lake, SPELLINGS, spelt),)
        tables[FACTS] = tuple(layers.get(FACTS, ())) or (write_layer(lake, FACTS, steps.no_facts(rules)),)
        rows = Rows(lake, rules, self.typed, Snapshot(lake.store, tables=tables))
        if CALLS in rules.feeds:  # what follows a telephone number over all feeds is not cut into buckets
            tables[CLASSES] = written(lake, CLASSES, classes_of(rows), CLASSED)
        write_returns(lake, rows, tables)
        every = rows.snapshot.scan(FACTS)
        own = together_sums([measured_of_jobs(rows, every, pl.lit(value=True)), measured_alone(rows)])
        tallies = {**tallies, "measures": own.daily, "members": own.members}
        summed = {n: added(n, [tallies[n]]).collect() for n in TALLIES}
        tables |= write_metrics(lake, rules, summed, newest_day)
        write_journeys(lake, rows, tables)
        tables |= write_measures(lake, rows)
        known = steps.contents(told)
        sums = [
            known.filter(pl.col("table") == t.name)
            if steps.by_row(rules, t)
            else month_sums(t, published_rows(rows, t))
            for t in published_tables(rules)
        ]
        tables[CONTENTS] = (write_layer(lake, CONTENTS, pl.concat(sums)),)
        return tables


__all__ = ["Engine", "compute_on"]
