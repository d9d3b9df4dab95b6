"""Everything computed from the typed rows of all exports, as many rows in memory at a time as may be."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Layer, Snapshot, write_layer
from rmetrics.metrics.jobs import JOB_ID, dated_jobs, own_names, spellings
from rmetrics.metrics.journeys import journey_metrics
from rmetrics.metrics.newest import every_row
from rmetrics.metrics.rollup import daily_of, monthly_metrics
from rmetrics.metrics.tallies import Tallies, added, revenue, tally
from rmetrics.pipeline.compute.journeys import made
from rmetrics.pipeline.compute.names import (
    CONTENTS,
    FACTS,
    MATCHES,
    SPELLINGS,
    TALLIES,
    links,
    order,
    replaced,
    together,
)
from rmetrics.pipeline.compute.rows import Rows, Typed
from rmetrics.pipeline.compute.stages import (
    LINKS,
    REPLACED,
    bucket,
    facts,
    key_hash,
    linked_jobs,
    newest,
    standing_schema,
)
from rmetrics.positions import COUNTED, POSITION
from rmetrics.postgres.publish.digests import month_sums
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.tables import DAILY, JOURNEY_METRICS, JOURNEYS, MONTHLY, PgTable, published_tables

Tables = dict[str, Sequence[Layer]]


def compute_all(
    lake: Lake, rules: Rules, typed: Typed, progress: Progress, *, most: int, newest_day: dt.date | None = None
) -> Tables:
    """Computes every table.

    Args:
        lake: where to.
        rules: in force.
        typed: typed files by feed, oldest first, each with the rank of its export.
        progress: is told how far it is.
        most: how many rows may be joined at a time.
        newest_day: the day of the newest export.

    Raises:
        LakeError: a file cannot be written.
    """
    return _Local(lake, rules, typed, most, newest_day).run(progress)


class _Local:
    def __init__(self, lake: Lake, rules: Rules, typed: Typed, most: int, newest_day: dt.date | None) -> None:
        self.lake, self.rules, self.most, self.newest_day = lake, rules, most, newest_day
        self.tables: Tables = {}
        self.rows = Rows(lake, rules, typed, Snapshot(lake.store, tables=self.tables))
        largest = max((sum(f.rows for f, _ in typed.get(name, ())) for name in rules.feeds), default=0)
        self.buckets = max(1, -(-largest // most))

    def run(self, progress: Progress) -> Tables:
        names = order(self.rules)
        for i, name in enumerate(names):
            progress("keeping the newest rows", i, len(names))
            self._newest(name)
            if self.rules.feeds[name].job is not None:
                self._write(links(name), self._links(name), LINKS)
        progress("keeping the newest rows", len(names), len(names))
        progress("applying the rules", 0, 3)
        spelt = spellings(dated_jobs(self.rows.feed(JOBS), self.rules), self.rules).collect(engine="streaming")
        self.tables[SPELLINGS] = (write_layer(self.lake, SPELLINGS, spelt.lazy()),)
        paid = self._facts(own_names(spelt.lazy()).collect())
        progress("applying the rules", 1, 3)
        feeds = {name: self.rows.feed(name) for name in self.rules.feeds}
        tallies = tally(self.rows.snapshot.scan(FACTS), feeds, pl.concat(paid).lazy(), self.rules)
        summed = pl.collect_all([added(n, [getattr(tallies, n)]) for n in TALLIES], engine="streaming")
        progress("applying the rules", 2, 3)
        self.tables |= write_metrics(self.lake, self.rules, dict(zip(TALLIES, summed, strict=True)), self.newest_day)
        found = made(self.rows)
        self._write(MATCHES, iter([found.matches]), dict(found.matches.schema))
        self._write(JOURNEYS, iter([found.journeys]), dict(found.journeys.schema))
        self.tables[JOURNEY_METRICS] = (write_journey_metrics(self.lake, self.rows),)
        tables = published_tables(self.rules)
        sums = [month_sums(t, published_rows(self.rows, t)) for t in tables]
        self.tables[CONTENTS] = (write_layer(self.lake, CONTENTS, pl.concat(sums).lazy()),)
        progress("applying the rules", 3, 3)
        return self.tables

    def _write(self, table: str, frames: Iterator[pl.DataFrame], schema: Mapping[str, pl.DataType]) -> None:
        """Writes a table of positions, in their order, one layer for each frame."""
        made = [write_layer(self.lake, table, f.sort(POSITION).lazy()) for f in frames if f.height]
        self.tables[table] = made or (write_layer(self.lake, table, pl.LazyFrame(schema=schema)),)

    def _newest(self, name: str) -> None:
        """Which versions of rows are in force. Most keys occur once: only the others are looked at closer."""
        feed, exports = self.rules.feeds[name], self.rows.exports(name)
        every, key = every_row(exports, feed), key_hash(feed).alias("_key")
        hashes = every.select(key).collect(engine="streaming")["_key"].sort()
        repeated = hashes.filter(hashes == hashes.shift(1))
        del hashes
        # Two keys may share a hash: then both are settled, each by itself.
        count = -(-len(repeated) // self.most)
        found = [
            newest(every.filter(key.is_in(repeated.filter(repeated % count == i).unique().implode())), exports, feed)
            for i in range(count)
        ]
        self._write(replaced(name), iter([f.replaced for f in found]), REPLACED)
        self._write(together(name), iter([f.together for f in found]), standing_schema(feed))

    def _links(self, name: str) -> Iterator[pl.DataFrame]:
        feed = self.rules.feeds[name]
        link = feed.job
        assert link is not None  # noqa: S101 - asked for by the caller
        columns = list(dict.fromkeys([JOB_ID, *link.match]))
        rows = self.rows.kept(name).select(POSITION, link.column)
        jobs = self.rows.feed(JOBS).filter(pl.col(COUNTED)).select(columns)
        for number in range(self.buckets):
            some = rows.filter(bucket(pl.col(link.column), number, self.buckets))
            yield linked_jobs(some, jobs, link).collect(engine="streaming")

    def _facts(self, own: pl.DataFrame) -> list[pl.DataFrame]:
        """Writes the facts of jobs; returns what was paid."""
        paid, made = list[pl.DataFrame](), list[pl.DataFrame]()
        day = self.rules.feeds[PAYMENTS].business_date
        for number in range(self.buckets):
            inside = bucket(pl.col(JOB_ID), number, self.buckets)
            payments = self.rows.feed(PAYMENTS).filter(inside).select(JOB_ID, "amount", COUNTED, day)
            payments = payments.collect(engine="streaming").lazy()
            of_jobs = facts(self.rows.feed(JOBS).filter(inside), payments, self.rules, own.lazy())
            made.append(of_jobs.collect(engine="streaming"))
            paid.append(revenue(payments, made[-1].lazy(), self.rules).collect())
        self._write(FACTS, iter(made), dict(made[0].schema))
        return paid


def write_metrics(lake: Lake, rules: Rules, tallies: dict[str, pl.DataFrame], newest_day: dt.date | None) -> Tables:
    """Writes the tallies, and the metrics that they make; ``newest_day`` is the day of the newest export."""
    daily = daily_of(Tallies(**{n: t.lazy() for n, t in tallies.items()}), rules, newest_day).collect()
    frames = {TALLIES[n]: t for n, t in tallies.items()}
    frames |= {DAILY: daily, MONTHLY: monthly_metrics(daily.lazy(), rules).collect()}
    return {table: (write_layer(lake, table, frame.lazy()),) for table, frame in frames.items()}


def write_journey_metrics(lake: Lake, rows: Rows) -> Layer:
    """Writes what journeys and monthly metrics add up to by source and month."""
    snapshot, zone = rows.snapshot, rows.rules.business.timezone
    return write_layer(lake, JOURNEY_METRICS, journey_metrics(snapshot.scan(JOURNEYS), snapshot.scan(MONTHLY), zone))


def stored_tallies(snapshot: Snapshot) -> Tallies:
    """The tallies of a computation."""
    return Tallies(**{kind: snapshot.scan(table) for kind, table in TALLIES.items()})


def published_rows(rows: Rows, table: PgTable) -> pl.LazyFrame:
    """The rows that a published table must hold."""
    return rows.scan(FACTS if table.name == JOBS else table.name)


__all__ = ["Tables", "compute_all", "published_rows", "stored_tallies", "write_journey_metrics", "write_metrics"]
