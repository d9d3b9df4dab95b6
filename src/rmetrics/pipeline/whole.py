"""Everything computed from the typed rows of all exports: streamed, and as many rows in memory as may be."""

import datetime as dt
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl

from rmetrics.lake import Lake, TypedFile, writing
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import JOB_ID, dated_jobs, feed_part, job_facts, linked, own_names, spellings
from rmetrics.metrics.newest import COUNTED, TypedExport, every_row, put_together
from rmetrics.metrics.rollup import daily_of, monthly_metrics
from rmetrics.metrics.tallies import Tallies, revenue, tally
from rmetrics.pipeline.memory import batches
from rmetrics.pipeline.parts import (
    FACTS,
    FACTS_PART,
    JOB,
    KEY,
    LINES,
    ONE_PART,
    SPELLINGS,
    TALLIES,
    by_name,
    finders,
    key_hash,
    order,
)
from rmetrics.pipeline.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.model import JobLink
from rmetrics.rules.validate import JOBS, PAYMENTS
from rmetrics.snapshot import Part, Snapshot, hashed, hashes_of, write_table
from rmetrics.tables import DAILY, MONTHLY

Tables = dict[str, Mapping[dt.date, Part]]
Typed = Mapping[str, list[tuple[TypedFile, int]]]


def compute_whole(
    lake: Lake, rules: Rules, typed: Typed, progress: Progress, *, most: int, newest: dt.date | None = None
) -> Tables:
    """Writes every table.

    Args:
        lake: where to.
        rules: in force.
        typed: typed files by feed, each with the rank of its export.
        progress: is told how far it is.
        most: how many rows may be joined, or sorted into parts, at a time.
        newest: the day of the newest export.

    Raises:
        LakeError: a file cannot be written.
    """
    return _Whole(lake, rules, typed, most, newest).run(progress)


def write_feed(
    lake: Lake, rules: Rules, name: str, files: list[tuple[TypedFile, int]], made: Snapshot, *, most: int
) -> dict[dt.date, Part]:
    """Writes the newest rows of a feed.

    Args:
        lake: where to.
        rules: in force.
        name: the feed.
        files: its typed files, each with the rank of its export.
        made: holds the jobs already, where the feed names them.
        most: how many rows may be taken at a time.
    """
    feed, part, found_by = rules.feeds[name], feed_part(rules, name), finders(rules, name)
    exports = [TypedExport(lake.scan_typed(f), f.columns, rank) for f, rank in files]
    stage = lake.current / f"{name}.repeated.part"
    with writing(stage):
        shutil.rmtree(stage, ignore_errors=True)
        lake.folder(stage)
        newest = _newest(exports, rules, name, stage, most)
        rows = kept_rows(newest, rules, name)
        written: dict[dt.date, Part] = {}
        for some in _some(rows, part, most):
            linked_rows = some if feed.job is None else _linked(some, made, feed.job, most)
            _add(written, write_table(lake, lake.current / name, linked_rows, part, found_by, lines=LINES))
        shutil.rmtree(stage, ignore_errors=True)
    return written


def _newest(exports: list[TypedExport], rules: Rules, name: str, stage: Path, most: int) -> pl.LazyFrame:
    """The newest version of every row, as ``newest.newest_rows`` gives it.

    Most keys occur once: their rows pass. Those of the others are put together first, and stand in the stage.
    """
    feed = rules.feeds[name]
    every, key = every_row(exports, feed), key_hash(feed).alias(KEY)
    hashes = every.select(key).collect(engine="streaming")[KEY].sort()
    repeated = hashes.filter(hashes == hashes.shift(1))
    del hashes
    if repeated.is_empty():
        return every
    # Two keys may share a hash: then both are put together, each by itself.
    count, paths = -(-len(repeated) // most), list[Path]()
    for i in range(count):
        of_these = repeated.filter(repeated % count == i).unique()
        versions = every.filter(key.is_in(of_these.implode()))
        paths.append(stage / f"{i}.parquet")
        put_together(versions, exports, feed).sink_parquet(paths[-1])
    single = every.filter(~key.is_in(repeated.unique().implode()))
    return pl.concat([single, pl.scan_parquet(paths, glob=False)])


def _some(rows: pl.LazyFrame, part: pl.Expr, most: int) -> Iterator[pl.LazyFrame]:
    """The rows, a few parts after the others."""
    sizes = rows.group_by(part.alias("_part")).len().sort("_part").collect(engine="streaming")
    taken = list(batches(dict(sizes.iter_rows()), most))
    if len(taken) < 2:
        yield rows
        return
    for parts in taken:
        yield rows.filter(part.is_in(parts))


def _linked(rows: pl.LazyFrame, made: Snapshot, link: JobLink, most: int) -> pl.LazyFrame:
    """Rows with the jobs they name; where the jobs are too many, only the parts that have such names are looked at."""
    if sum(p.rows for p in made.parts(JOBS).values()) <= most:
        return linked(rows, made.scan(JOBS).filter(pl.col(COUNTED)), link)
    names = rows.select(pl.col(link.column).unique()).collect(engine="streaming")[link.column].drop_nulls()
    parts = {p for column in link.match for p in made.find(JOBS, by_name(column), hashes_of(names))}
    return linked(rows, made.scan(JOBS, parts).filter(pl.col(COUNTED)), link)


def _add(written: dict[dt.date, Part], more: Mapping[dt.date, Part]) -> None:
    """Adds the parts of a batch; each has an empty one without a day."""
    written |= {p: part for p, part in more.items() if part.rows or p not in written}


class _Whole:
    def __init__(self, lake: Lake, rules: Rules, typed: Typed, most: int, newest: dt.date | None) -> None:
        self.lake, self.rules, self.typed, self.most, self.newest = lake, rules, typed, most, newest
        self.tables: Tables = {}
        self.made = Snapshot(lake.root, tables=self.tables)

    def run(self, progress: Progress) -> Tables:
        names = order(self.rules)
        for i, name in enumerate(names):
            progress("keeping the newest rows", i, len(names))
            self.tables[name] = write_feed(self.lake, self.rules, name, self.typed[name], self.made, most=self.most)
        progress("keeping the newest rows", len(names), len(names))
        progress("applying the rules", 0, 3)
        spelt = spellings(dated_jobs(self.made.scan(JOBS), self.rules), self.rules)
        self.tables[SPELLINGS] = write_table(self.lake, self.lake.metrics / SPELLINGS, spelt, ONE_PART)
        self.tables[FACTS] = self._facts()
        progress("applying the rules", 1, 3)
        tallies = self._tallies()
        progress("applying the rules", 2, 3)
        self.tables |= write_metrics(self.lake, self.rules, tallies, self.newest)
        progress("applying the rules", 3, 3)
        return self.tables

    def _facts(self) -> dict[dt.date, Part]:
        own = own_names(self.made.scan(SPELLINGS)).collect().lazy()
        written: dict[dt.date, Part] = {}
        for parts in self._batches(JOBS):
            jobs = self.made.scan(JOBS, parts)
            payments = self.made.scan(PAYMENTS, self._parts_of(jobs, PAYMENTS, JOB))
            payments = payments.select(JOB_ID, "amount", COUNTED)
            facts = job_facts(jobs, payments, self.rules, own)
            _add(written, write_table(self.lake, self.lake.metrics / FACTS, facts, FACTS_PART, lines=LINES))
        return written

    def _tallies(self) -> Tallies:
        feeds, facts = {name: self.made.scan(name) for name in self.rules.feeds}, self.made.scan(FACTS)
        paid = []
        for parts in self._batches(PAYMENTS):
            payments = self.made.scan(PAYMENTS, parts)
            jobs = self.made.scan(FACTS, self._parts_of(payments, JOBS, KEY))
            paid.append(revenue(payments, jobs, self.rules).collect(engine="streaming"))
        return tally(facts, feeds, pl.concat(paid).lazy(), self.rules)

    def _batches(self, table: str) -> Iterator[list[dt.date]]:
        """The parts of a table, as many at a time as may be."""
        return batches({p: part.rows for p, part in sorted(self.made.parts(table).items())}, self.most)

    def _parts_of(self, rows: pl.LazyFrame, table: str, column: str) -> Collection[dt.date] | None:
        """The parts of another table that have rows of the same jobs; all of them where everything fits."""
        sizes = [sum(p.rows for p in self.made.parts(t).values()) for t in (JOBS, PAYMENTS)]
        if sum(sizes) <= self.most:
            return None
        jobs = rows.select(hashed(pl.col(JOB_ID)).unique()).collect(engine="streaming")[JOB_ID]
        return self.made.find(table, column, jobs)


def write_metrics(lake: Lake, rules: Rules, tallies: Tallies, newest: dt.date | None) -> Tables:
    """Writes the tallies, and the metrics that they make; ``newest`` is the day of the newest export."""
    tables: Tables = {}
    made = Snapshot(lake.root, tables=tables)
    for kind, table in TALLIES.items():
        tables[table] = write_table(lake, lake.metrics / table, getattr(tallies, kind), ONE_PART)
    tables[DAILY] = write_table(lake, lake.metrics / DAILY, daily_of(stored_tallies(made), rules, newest), ONE_PART)
    tables[MONTHLY] = write_table(lake, lake.metrics / MONTHLY, monthly_metrics(made.scan(DAILY), rules), ONE_PART)
    return tables


def stored_tallies(snapshot: Snapshot) -> Tallies:
    """The tallies of a computation."""
    return Tallies(**{kind: snapshot.scan(table) for kind, table in TALLIES.items()})


__all__ = ["Tables", "Typed", "compute_whole", "stored_tallies", "write_feed", "write_metrics"]
