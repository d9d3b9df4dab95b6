"""Rows of a computation: typed rows in force, with the jobs they name and the facts of jobs.

Typed rows stay in their files. Small tables record, by position, which of them are in force, the jobs they name, and
the facts of jobs; this module joins them for every reader.
"""

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import polars as pl

from rmetrics.lake import EXPORT, Lake, Store, TypedFile
from rmetrics.lake.snapshot import CorruptError, Layer, Snapshot
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.lookup import MANY, holding, near
from rmetrics.metrics.newest import TypedExport
from rmetrics.periods import part_of
from rmetrics.pipeline.compute.names import CLASSES, FACTS, MATCHES, RETURNS, links, replaced, together
from rmetrics.pipeline.compute.stages import rows_at, rows_in_force, with_facts
from rmetrics.positions import FILE, LINE, LINES, POSITION
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS

_FIRST = 2  # the line after the header
PIECE = 1_000_000  # rows: joining them takes a hundred megabytes or two

Typed = Mapping[str, Sequence[tuple[TypedFile, int]]]


def typed_exports(lake: Lake, files: Sequence[tuple[TypedFile, int]]) -> list[TypedExport]:
    """Returns the typed rows of exports; exports that share a file form one entry."""
    found, packs = list[TypedExport](), dict[str, tuple[TypedFile, dict[int, int]]]()
    for file, rank in files:
        if file.packed:
            packs.setdefault(file.name, (file, {}))[1][file.number] = rank
        else:
            found.append(TypedExport(lake.scan_typed(file), file.columns, (rank,)))
    for file, ranks in packs.values():
        numbers, places = list(ranks), list(ranks.values())
        own = pl.col(EXPORT).replace_strict(numbers, places, default=None, return_dtype=pl.UInt32)
        rows = lake.scan_pack(file).with_columns(own.alias(FILE)).filter(pl.col(FILE).is_not_null())
        found.append(TypedExport(rows, file.columns, tuple(places)))
    return found


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a computation, as lazy frames.

    Attributes:
        lake: holds the files.
        rules: the rules of the computation.
        typed: typed files by feed, oldest first, with their ranks.
        snapshot: the computation.
        between: only rows from this position up to, but without, that one; None for all. Does not apply to rows that
            are asked for by their positions, or to tables that are published as they are stored.
    """

    lake: Lake
    rules: Rules
    typed: Typed
    snapshot: Snapshot
    between: tuple[int, int] | None = None

    def pieces(self, table: str, most: int = PIECE) -> Iterator["Rows"]:
        """Yields these rows in pieces by position, so that the joins of a table's rows fit into memory.

        Args:
            table: a feed, or the facts of jobs; any other table is one piece.
            most: how many typed rows of the feed a piece may have, or a few more: blank lines count like rows.
        """
        name = JOBS if table == FACTS else table
        cuts = _cuts(self.in_force(name), most) if name in self.rules.feeds else []
        if len(cuts) < 3:
            yield self
        else:
            yield from (replace(self, between=ends) for ends in itertools.pairwise(cuts))

    def exports(self, name: str) -> list[TypedExport]:
        """Returns the typed rows of each export of a feed, oldest first."""
        return typed_exports(self.lake, self.typed.get(name, ()))

    def scan(self, table: str) -> pl.LazyFrame:
        """Returns the rows of a feed, the facts of jobs, or any other table of the computation."""
        if table in self.rules.feeds:
            return self.feed(table).drop(POSITION)
        return self.facts().drop(POSITION) if table == FACTS else self.snapshot.scan(table)

    def has(self, table: str) -> bool:
        """Tests whether the table was computed."""
        return self.snapshot.has(replaced(table) if table in self.rules.feeds else table)

    def feed(self, name: str) -> pl.LazyFrame:
        """Returns the rows of a feed: one per key, with the columns of ``feeds.kept_rows``.

        Includes ``job_id`` if the feed names jobs; calls also have ``class`` and ``answered_within_s``.
        """
        return self._classed(name, self.linked(name))

    def linked(self, name: str) -> pl.LazyFrame:
        """Returns the rows of a feed with the jobs they name, but without the classes of calls."""
        return self._linked(name, self.kept(name))

    def of_jobs(self, name: str, inside: pl.Expr) -> pl.LazyFrame:
        """Returns the rows of a feed that name a job for which a condition on job_id holds.

        Filters before joining: a filter on the rows of ``feed`` would join all of them first.
        """
        if self.rules.feeds[name].job is None:
            return self.feed(name).filter(inside)
        wanted = self._table_at(links(name), None).filter(inside)
        return self._classed(name, self.kept(name).drop(JOB_ID, strict=False).join(wanted, on=POSITION))

    def without_job(self, name: str, inside: pl.Expr) -> pl.LazyFrame:
        """Returns the rows of a feed that name no job and for whose position a condition holds."""
        if self.rules.feeds[name].job is None:
            return self.feed(name).filter(pl.col(JOB_ID).is_null() & inside)
        named = self._table_at(links(name), None).select(POSITION).filter(inside)
        rows = self.kept(name).filter(inside).drop(JOB_ID, strict=False).join(named, on=POSITION, how="anti")
        return self._classed(name, rows.with_columns(pl.lit(None, dtype=pl.String).alias(JOB_ID)))

    def kept(self, name: str) -> pl.LazyFrame:
        """Returns the rows of a feed without the jobs they name."""
        return kept_rows(self.newest(name), self.rules, name)

    def newest(self, name: str) -> pl.LazyFrame:
        """Returns the rows in force with their mapped columns; see ``stages.standing``."""
        replaced_rows, made = (self._stored(t) for t in (replaced(name), together(name)))
        exports = typed_exports(self.lake, self.in_force(name))
        if self.between is not None:
            exports = [_inside(e, *self.between) for e in exports if _reaches(e, *self.between)]
        return self._cut(rows_in_force(exports, self.rules.feeds[name], replaced_rows, made))

    def newest_at(self, name: str, positions: pl.Series) -> pl.LazyFrame:
        """Returns the rows in force at some positions, typed or merged."""
        replaced_rows, made = (self._stored(t) for t in (replaced(name), together(name)))
        ranks = set((positions // LINES).unique().to_list())
        exports = typed_exports(self.lake, [(f, rank) for f, rank in self.typed.get(name, ()) if rank in ranks])
        rows = rows_at(exports, self.rules.feeds[name], positions)
        of_these = pl.col(POSITION).is_in(positions.implode())
        if replaced_rows is not None:
            rows = rows.join(replaced_rows.select(POSITION).filter(of_these), on=POSITION, how="anti")
        if made is not None:
            made = made.filter(of_these)
            rows = rows.join(made.select(POSITION), on=POSITION, how="anti")
            rows = pl.concat([rows, made.select(rows.collect_schema().names())])
        return rows

    def facts(self) -> pl.LazyFrame:
        """Returns one row per job that counts: the columns of its feed, its facts, its touch, its returns."""
        return self.returning(self.matched(with_facts(self.feed(JOBS), self._table_at(FACTS, None))))

    def matched(self, jobs: pl.LazyFrame, positions: pl.Series | None = None) -> pl.LazyFrame:
        """Adds the touch each job came from: its id, the kind of match, and its source; NULL if there is none.

        Args:
            jobs: some jobs.
            positions: their positions; None if unknown.
        """
        return jobs.join(self._table_at(MATCHES, positions).drop(JOB_ID), on=POSITION, how="left")

    def returning(self, jobs: pl.LazyFrame, positions: pl.Series | None = None) -> pl.LazyFrame:
        """Adds the columns that ``[returns]`` declares: days to the customer's nearest other job.

        Args:
            jobs: some jobs.
            positions: their positions; None if unknown.
        """
        if not self.rules.returns:
            return jobs
        return jobs.join(self._table_at(RETURNS, positions), on=POSITION, how="left")

    def at(self, name: str, positions: pl.Series) -> pl.LazyFrame:
        """Returns the rows of ``feed`` at some positions; a position that is not in force has no row."""
        return self._classed(name, self.linked_at(name, positions), positions)

    def linked_at(self, name: str, positions: pl.Series) -> pl.LazyFrame:
        """Returns the rows of ``linked`` at some positions."""
        return self._linked(name, kept_rows(self.newest_at(name, positions), self.rules, name), positions)

    def facts_at(self, positions: pl.Series) -> pl.LazyFrame:
        """Returns the rows of ``facts`` at some positions."""
        return self.returning(self.matched(self.jobs_at(positions), positions), positions)

    def jobs_at(self, positions: pl.Series) -> pl.LazyFrame:
        """Returns the rows of ``facts`` at some positions, but without their touches and returns."""
        return with_facts(self.at(JOBS, positions), self._table_at(FACTS, positions))

    def of_months(self, table: str, months: Collection[dt.date], day: str | None) -> pl.LazyFrame:
        """Returns the rows of a table whose day is in some months; ``NO_PART`` selects the rows without a day.

        Args:
            table: a feed, or the facts of jobs.
            months: their first days.
            day: the column of the day; None for every row.
        """
        if day is None:
            return self.scan(table)
        inside = part_of(pl.col(day)).is_in(sorted(months))
        if table != FACTS:
            return self.scan(table).filter(inside)
        found = self._table_at(FACTS, None).filter(inside).collect(engine="streaming")
        positions = found[POSITION] if found.height < MANY else None
        jobs = with_facts(self.feed(JOBS) if positions is None else self.at(JOBS, positions), found.lazy())
        return self.returning(self.matched(jobs, positions), positions).drop(POSITION)

    def verify(self) -> None:
        """Reads every file to check it before its rows are used.

        Raises:
            CorruptError: a file fails its checksum.
        """
        self.snapshot.verify(*self.snapshot.tables)
        files = [file for of_feed in self.typed.values() for file, _ in of_feed]
        intact = self.lake.typed_are_intact(files, used=True)
        for file in files:
            if file.name not in intact:
                raise CorruptError(self.lake.store, f"{self.lake.typed.name}/{file.name}")

    def _stored(self, table: str) -> pl.LazyFrame | None:
        return self._cut(self.snapshot.scan(table)) if self.snapshot.rows(table) else None

    def _cut(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows if self.between is None else rows.filter(pl.col(POSITION).is_between(*self.between, closed="left"))

    def in_force(self, name: str) -> Sequence[tuple[TypedFile, int]]:
        """Returns the typed files of a feed without exports whose every row a newer version replaced.

        Someone who exports a whole list every day has one file in force, and hundreds that need not be opened.
        """
        files, table = self.typed.get(name, ()), replaced(name)
        if self.snapshot.rows(table) < min((_height(f) for f, _ in files), default=0):
            return files
        replaced_rows = _replaced_by_export(self.lake.store, tuple(self.snapshot.layers(table)))
        return [(f, rank) for f, rank in files if replaced_rows.get(rank, 0) < _height(f)]

    def _table_at(self, table: str, positions: pl.Series | None) -> pl.LazyFrame:
        """Returns the rows of a table at some positions; None for all."""
        stored = self.snapshot.scan(table)
        if positions is None:
            return self._cut(stored)
        return holding(stored.filter(near(POSITION, positions)), [POSITION], positions)

    def _classed(self, name: str, rows: pl.LazyFrame, positions: pl.Series | None = None) -> pl.LazyFrame:
        return rows.join(self._table_at(CLASSES, positions), on=POSITION, how="left") if name == CALLS else rows

    def _linked(self, name: str, rows: pl.LazyFrame, positions: pl.Series | None = None) -> pl.LazyFrame:
        if self.rules.feeds[name].job is None:
            return rows
        return rows.drop(JOB_ID, strict=False).join(self._table_at(links(name), positions), on=POSITION, how="left")


def _cuts(files: Sequence[tuple[TypedFile, int]], most: int) -> list[int]:
    """Returns the positions at which to cut the rows of some files into pieces, with the ends."""
    if not files:
        return []
    cuts, held = [0], 0
    for file, rank in sorted(files, key=lambda f: f[1]):
        rows = _height(file)
        if held and held + rows > most:
            cuts.append(rank * LINES)
            held = 0
        parts = max(1, -(-rows // most))
        cuts += [rank * LINES + _FIRST + rows * part // parts for part in range(1, parts)]
        held += rows // parts
    return [*cuts, (max(rank for _, rank in files) + 1) * LINES]


def _reaches(export: TypedExport, first: int, end: int) -> bool:
    """Tests whether an export may have rows between two positions."""
    return any(rank * LINES < end and (rank + 1) * LINES > first for rank in export.ranks)


def _inside(export: TypedExport, first: int, end: int) -> TypedExport:
    """Leaves out lines of a single export that are not between two positions; its file is then read in part."""
    if len(export.ranks) > 1:
        return export
    start = export.ranks[0] * LINES
    lines = pl.col(LINE).is_between(max(first - start, 0), min(end - start, LINES), closed="left")
    return TypedExport(export.rows.filter(lines), export.columns, export.ranks)


def _height(file: TypedFile) -> int:
    """Returns the number of an export's typed rows; for an export whose rows were summed, at least that number."""
    return file.height if file.packed else file.rows


@lru_cache(maxsize=16)
def _replaced_by_export(store: Store, layers: tuple[Layer, ...]) -> Mapping[int, int]:
    """Returns how many rows of each export were replaced, by rank. Layers never change, so they are read once."""
    positions = Snapshot(store, tables={"": layers}).scan("").select(POSITION).unique()
    by_rank = positions.group_by((pl.col(POSITION) // LINES).alias(FILE)).len()
    return dict(by_rank.collect(engine="streaming").iter_rows())


__all__ = ["PIECE", "Rows", "Typed", "typed_exports"]
