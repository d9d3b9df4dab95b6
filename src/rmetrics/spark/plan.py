"""The computation as steps over buckets, for an engine that moves rows between machines.

The plan knows no engine: it defines which rows must meet and which step they go through (``steps``). Rows meet by a
hash of their key, of a job's name, or of the job; the result equals that of ``compute.local`` whatever the engine's
hash. Only small results reach the machine that runs the plan: spellings of undeclared sources, sums, and notes of
files.
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
    measured_of_jobs,
    measured_without_job,
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
from rmetrics.pipeline.compute.stages import LINKS, REPLACED, in_force_schema
from rmetrics.positions import POSITION
from rmetrics.postgres.publish.digests import month_sums
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.spark import steps
from rmetrics.spark.steps import Piece, Schema, Work
from rmetrics.tables import published_tables

PIECE = 500_000  # maximum rows that one task reads
D = TypeVar("D")
Frames = Iterator[pl.DataFrame]


class Engine(Protocol[D]):
    """Moves rows between machines. ``D`` are rows that are elsewhere, or not yet computed."""

    def made(self, items: Sequence[Piece], step: Callable[[Piece], Frames], schema: Schema) -> D:
        """Returns the frames that a step makes of each item."""

    def mapped(self, rows: D, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema) -> D:
        """Applies a step to any split of the rows."""

    def grouped(
        self, rows: D, by: Sequence[str], buckets: int, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema
    ) -> D:
        """Applies a step to buckets; rows with equal values in all columns of ``by`` share one. A null is a value."""

    def paired(
        self,
        left: tuple[D, Sequence[str]],
        right: tuple[D, Sequence[str]],
        buckets: int,
        step: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame],
        schema: Schema,
    ) -> D:
        """Applies a step to matching buckets of two sets of rows; the first non-null column of ``by`` places a row."""

    def chosen(self, rows: D, columns: Sequence[str], *, notes: bool) -> D:
        """Selects some columns of the rows, or of the notes among them."""

    def together(self, rows: Sequence[D]) -> D:
        """Returns the union of rows with the same columns."""

    def summed(self, rows: D, keys: Sequence[str], sums: Sequence[str], schema: Schema) -> pl.DataFrame:
        """Returns the sums of the rows by key, on this machine; a null key is a value."""

    def collected(self, rows: D, schema: Schema) -> pl.DataFrame:
        """Returns the rows on this machine."""

    def persisted(self, rows: D) -> D:
        """Returns the same rows, kept for repeated use, so that they need not be computed each time."""

    def released(self) -> None:
        """Frees all held rows."""


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
    """Computes every table, like ``local.compute_all``.

    Args:
        engine: moves the rows.
        lake: the target; the engine's machines see it under the same name.
        rules: in force.
        typed: typed files by feed, oldest first, each with the rank of its export.
        progress: receives progress reports.
        buckets: number of buckets.
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
        kept = {name: engine.persisted(self._kept(name)) for name in order(rules)}
        jobs, jobs_schema = kept[JOBS], steps.kept_schema(rules, JOBS)
        first = engine.collected(
            engine.mapped(jobs, functools.partial(steps.spellings_of, work=work), steps.SPELLED), steps.SPELLED
        )
        spelled = earliest(first.lazy()).collect()
        progress("keeping the newest rows", 1, 1)
        progress("applying the rules", 0, 3)
        feeds, parts = {JOBS: jobs}, []
        for name in order(rules):
            if name != JOBS:
                feeds[name] = self._linked(name, jobs, kept[name])
            tallied = functools.partial(steps.tallied, name=name, work=work)
            parts.append(engine.mapped(feeds[name], tallied, steps.FACTS_SCHEMA))
            if rules.feeds[name].job is not None:  # their state before linking has notes, too
                parts.append(engine.mapped(kept[name], steps.notes_only, steps.FACTS_SCHEMA))
        paid = steps.paid_schema(rules)
        facts_of = functools.partial(steps.facts_of, work=work, own=own_names(spelled.lazy()).collect())
        payments = engine.chosen(feeds[PAYMENTS], list(paid), notes=False)
        plain = [c for c in jobs_schema if c not in steps.NOTES]
        counted = engine.chosen(jobs, plain, notes=False)
        parts.append(
            engine.paired(
                (counted, [JOB_ID]), (payments, [JOB_ID, POSITION]), self.buckets, facts_of, steps.FACTS_SCHEMA
            )
        )
        everything = engine.persisted(engine.together(parts))
        progress("applying the rules", 1, 3)
        long = engine.summed(
            engine.chosen(everything, list(steps.TALLY), notes=False),
            list(steps.TALLY_KEYS),
            list(steps.TALLY_SUMS),
            steps.TALLY,
        )
        notes = engine.chosen(everything, [*steps.TALLY, *steps.NOTES], notes=True)
        # Added up within each task first, so that the single bucket after it stays small.
        fewer = engine.mapped(notes, steps.added_notes, steps.FACTS_SCHEMA)
        merged = engine.grouped(fewer, ["feed"], 1, steps.added_notes, steps.FACTS_SCHEMA)
        job_notes = engine.collected(merged, steps.FACTS_SCHEMA)
        progress("applying the rules", 2, 3)
        tables = self._tables(job_notes, spelled, steps.tallies(long), newest_day)
        progress("applying the rules", 3, 3)
        return tables

    def _kept(self, name: str) -> D:
        """Returns a feed's rows in force. Targets share one bucket, as two spellings of a source share one row."""
        schema = steps.every_schema(self.rules, name)
        rows = self.engine.made(
            steps.pieces(name, self.typed.get(name, ()), PIECE), functools.partial(steps.read, work=self.work), schema
        )
        key = list(self.rules.feeds[name].key_columns)
        buckets = 1 if name == TARGETS else self.buckets
        keep = functools.partial(steps.keep, name=name, work=self.work)
        return self.engine.grouped(rows, key, buckets, keep, steps.kept_schema(self.rules, name))

    def _linked(self, name: str, jobs: D, rows: D) -> D:
        """Returns the rows of a feed with the jobs they name, if the feed names jobs."""
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
        # A row that names no job matches nothing: its position spreads such rows evenly over the buckets.
        made = engine.paired((asked, [link.column, POSITION]), (called, [steps.NAME]), self.buckets, linked, schema)
        return engine.persisted(made)

    def _tables(
        self,
        job_notes: pl.DataFrame,
        spelled: pl.DataFrame,
        tallies: dict[str, pl.LazyFrame],
        newest_day: dt.date | None,
    ) -> Tables:
        """Returns every table: those written by the steps, and those computed from sums."""
        lake, rules = self.lake, self.rules
        layers = steps.layers(job_notes)
        tables: Tables = {}
        for name in order(rules):
            schemas: dict[str, Schema] = {
                replaced(name): dict(REPLACED),
                together(name): in_force_schema(rules.feeds[name]),
            }
            if rules.feeds[name].job is not None:
                schemas[links(name)] = dict(LINKS)
            for table, schema in schemas.items():
                empty = pl.LazyFrame(schema=schema)
                tables[table] = tuple(layers.get(table, ())) or (write_layer(lake, table, empty),)
        tables[SPELLINGS] = (write_layer(lake, SPELLINGS, spelled),)
        tables[FACTS] = tuple(layers.get(FACTS, ())) or (write_layer(lake, FACTS, steps.no_facts(rules)),)
        rows = Rows(lake, rules, self.typed, Snapshot(lake.store, tables=tables))
        if CALLS in rules.feeds:  # following phone numbers across feeds cannot be cut into buckets
            tables[CLASSES] = written(lake, CLASSES, classes_of(rows), CLASSED)
        write_returns(lake, rows, tables)
        every = rows.snapshot.scan(FACTS)
        own = together_sums([measured_of_jobs(rows, every, pl.lit(value=True)), measured_without_job(rows)])
        tallies = {**tallies, "measures": own.daily, "members": own.members}
        summed = {n: added(n, [tallies[n]]).collect() for n in TALLIES}
        tables |= write_metrics(lake, rules, summed, newest_day)
        write_journeys(lake, rows, tables)
        tables |= write_measures(lake, rows)
        known = steps.contents(job_notes)
        sums = [
            known.filter(pl.col("table") == t.name)
            if steps.by_row(rules, t)
            else month_sums(t, published_rows(rows, t))
            for t in published_tables(rules)
        ]
        tables[CONTENTS] = (write_layer(lake, CONTENTS, pl.concat(sums)),)
        return tables


__all__ = ["Engine", "compute_on"]
