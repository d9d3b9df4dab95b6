"""A full computation from the typed rows of all exports, in buckets that keep memory within a limit."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Layer, Snapshot, write_layer
from rmetrics.metrics.call_classes import CALLER, CLASSED, call_classes, call_rows, classes_for
from rmetrics.metrics.catalogue import catalogue
from rmetrics.metrics.costs import feed_costs
from rmetrics.metrics.dimensions import dimension_monthly, measure_daily
from rmetrics.metrics.jobs import JOB_ID, dated_jobs, own_names, spellings
from rmetrics.metrics.journeys import journey_metrics, journey_tally
from rmetrics.metrics.measures import (
    MeasureSums,
    journey_sums,
    measure_sums,
    needed_feeds,
    nothing,
    of_jobs_columns,
    together,
)
from rmetrics.metrics.newest import all_versions
from rmetrics.metrics.rollup import daily_of, monthly_metrics
from rmetrics.metrics.tallies import Tallies, added, revenue, tally
from rmetrics.pipeline.compute.journeys import make_in_buckets, repriced
from rmetrics.pipeline.compute.kept import KeptTables
from rmetrics.pipeline.compute.names import (
    CLASSES,
    CONTENTS,
    FACTS,
    MATCHES,
    RETURNS,
    SPELLINGS,
    TALLIES,
    links,
    order,
    replaced,
)
from rmetrics.pipeline.compute.names import together as put_together
from rmetrics.pipeline.compute.returns import write_returns
from rmetrics.pipeline.compute.rows import Rows, Typed
from rmetrics.pipeline.compute.stages import (
    LINKS,
    REPLACED,
    bucket,
    facts,
    in_force_schema,
    key_hash,
    linked_jobs,
    newest,
    with_facts,
)
from rmetrics.positions import COUNTED, POSITION
from rmetrics.postgres.publish.digests import month_sums, sums_together
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.measures import links_to_jobs
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS
from rmetrics.rules.projections import without_prices, without_prices_and_own_measures
from rmetrics.tables import (
    CATALOGUE,
    DAILY,
    DIMENSION_MONTHLY,
    JOURNEY_METRICS,
    JOURNEYS,
    MEASURE_DAILY,
    MONTHLY,
    PgTable,
    published_tables,
)

Tables = dict[str, Sequence[Layer]]
_NARROW = 2  # times as many rows of links, facts and classes fit into memory as of journeys, at some 250 bytes each


def compute_all(
    lake: Lake,
    rules: Rules,
    typed: Typed,
    progress: Progress,
    *,
    max_rows: int,
    newest_day: dt.date | None = None,
    kept: KeptTables | None = None,
) -> Tables:
    """Computes every table.

    Args:
        lake: receives the tables.
        rules: the rules in force.
        typed: typed files by feed, oldest first, each with the rank of its export.
        progress: receives progress reports.
        max_rows: maximum number of rows joined at a time.
        newest_day: the day of the newest export.
        kept: the tables to keep from an earlier computation.

    Raises:
        LakeError: a file cannot be written.
    """
    nothing_kept = KeptTables(Snapshot(lake.store), frozenset())
    return _Local(lake, rules, typed, max_rows, newest_day, kept or nothing_kept).run(progress)


class _Local:
    """A full computation.

    Attributes:
        rows: for stages that use all rules.
        unpriced: the same rows, for stages that use no prices.
        plain: the same rows, for stages that use neither prices nor own measures.
        kept: the tables that are not recomputed.
        buckets, narrow_buckets: the number of buckets of a stage, and of one whose rows have few columns.
    """

    def __init__(
        self, lake: Lake, rules: Rules, typed: Typed, max_rows: int, newest_day: dt.date | None, kept: KeptTables
    ) -> None:
        self.lake, self.rules, self.max_rows, self.newest_day, self.kept = lake, rules, max_rows, newest_day, kept
        self.tables: Tables = {name: kept.before.layers(name) for name in kept.tables}
        snapshot = Snapshot(lake.store, tables=self.tables)
        self.rows = Rows(lake, rules, typed, snapshot)
        self.unpriced = Rows(lake, without_prices(rules), typed, snapshot)
        self.plain = Rows(lake, without_prices_and_own_measures(rules), typed, snapshot)
        largest = max((sum(f.rows for f, _ in typed.get(name, ())) for name in rules.feeds), default=0)
        self.buckets = max(1, -(-largest // max_rows))
        self.narrow_buckets = max(1, -(-largest // (_NARROW * max_rows)))

    def run(self, progress: Progress) -> Tables:
        names = order(self.rules)
        for i, name in enumerate(names):
            progress("keeping the newest rows", i, len(names))
            self._newest(name)
            if self.rules.feeds[name].job is not None:
                self._write(links(name), self._links(name), LINKS)
        if CALLS in self.rules.feeds:
            self._write(CLASSES, classes_of(self.plain, self.narrow_buckets), CLASSED)
        progress("keeping the newest rows", len(names), len(names))
        progress("applying the rules", 0, 3)
        own = self._spellings()
        paid = self._facts(own)
        if RETURNS not in self.kept:
            write_returns(self.lake, self.unpriced, self.tables, self.buckets)
        sums = self._measured()
        progress("applying the rules", 1, 3)
        self.tables |= write_metrics(self.lake, self.rules, self._tallies(paid, sums), self.newest_day)
        progress("applying the rules", 2, 3)
        if MATCHES not in self.kept:
            write_journeys(self.lake, self.rows, self.tables, self.buckets)
        else:
            if JOURNEYS not in self.kept:
                self.tables[JOURNEYS] = (write_layer(self.lake, JOURNEYS, repriced(self.rows, self.kept.before)),)
            _add_up_journeys(self.lake, self.rows, self.tables)
        self.tables |= write_measures(self.lake, self.rows)
        self._contents()
        progress("applying the rules", 3, 3)
        return self.tables

    def _spellings(self) -> pl.DataFrame:
        """Writes the spellings of undeclared sources unless they are kept; returns the sources' names."""
        if SPELLINGS not in self.kept:
            rules = self.plain.rules
            spelled = spellings(dated_jobs(self.plain.feed(JOBS), rules), rules).collect(engine="streaming")
            self.tables[SPELLINGS] = (write_layer(self.lake, SPELLINGS, spelled),)
        return own_names(self.rows.snapshot.scan(SPELLINGS)).collect()

    def _tallies(self, paid: pl.LazyFrame, own: MeasureSums) -> dict[str, pl.DataFrame]:
        """Returns every tally, computed or kept."""
        facts, rules = self.rows.snapshot.scan(FACTS), self.plain.rules
        made = tally(facts, {name: self.plain.kept(name) for name in rules.feeds}, paid, rules, own)
        spent = feed_costs({name: self.rows.kept(name) for name in self.rules.feeds}, self.rules)
        every = {name: spent if name == "spent" else getattr(made, name) for name in TALLIES}
        unchanged = {name: self.rows.snapshot.scan(table) for name, table in TALLIES.items() if table in self.kept}
        summed = [unchanged[name] if name in unchanged else added(name, [every[name]]) for name in TALLIES]
        return dict(zip(TALLIES, pl.collect_all(summed, engine="streaming"), strict=True))

    def _contents(self) -> None:
        """Writes the sums of the published tables."""
        sums = []
        of_rows = {JOURNEYS: JOURNEYS} | dict.fromkeys(self.rules.feeds, MATCHES)
        for table in published_tables(self.rules):
            if of_rows.get(table.name, "") in self.kept:
                before = self.kept.before.scan(CONTENTS)
                sums.append(before.filter(pl.col("table") == table.name).collect())
            else:
                sums += [month_sums(table, rows) for rows in published_pieces(self.rows, table)]
        self.tables[CONTENTS] = (write_layer(self.lake, CONTENTS, sums_together(sums)),)

    def _write(self, table: str, frames: Iterator[pl.DataFrame], schema: Mapping[str, pl.DataType]) -> None:
        """Writes a table sorted by position, one layer per frame; does not consume the frames of a kept table."""
        if table not in self.kept:
            self.tables[table] = written(self.lake, table, frames, schema)

    def _newest(self, name: str) -> None:
        """Writes which versions of rows are in force. Most keys occur once; only the others need a closer look."""
        feed, exports = self.rules.feeds[name], self.plain.exports(name)
        if replaced(name) in self.kept:
            return
        if not exports:
            self._write(replaced(name), iter(()), REPLACED)
            self._write(put_together(name), iter(()), in_force_schema(feed))
            return
        every, key = all_versions(exports, feed), key_hash(feed).alias("_key")
        # Sorting hashes of 8 bytes finds the repeated keys; grouping by the keys would hold all of them in memory.
        hashes = every.select(key).collect(engine="streaming")["_key"].sort()
        repeated = hashes.filter(hashes == hashes.shift(1))
        del hashes
        # Different keys may share a hash; ``newest`` groups by the key itself, so each is settled on its own.
        count = -(-len(repeated) // self.max_rows)
        found = [
            newest(every.filter(key.is_in(repeated.filter(repeated % count == i).unique().implode())), exports, feed)
            for i in range(count)
        ]
        self._write(replaced(name), iter([f.replaced for f in found]), REPLACED)
        self._write(put_together(name), iter([f.together for f in found]), in_force_schema(feed))

    def _links(self, name: str) -> Iterator[pl.DataFrame]:
        feed = self.rules.feeds[name]
        link = feed.job
        assert link is not None  # noqa: S101 - asked for by the caller
        if not self.plain.exports(name):
            return
        columns = list(dict.fromkeys([JOB_ID, *link.match]))
        rows = self.plain.kept(name).select(POSITION, link.column)
        jobs = self.plain.feed(JOBS).filter(pl.col(COUNTED)).select(columns)
        for number in range(self.narrow_buckets):
            part = rows.filter(bucket(pl.col(link.column), number, self.narrow_buckets))
            named = pl.any_horizontal(bucket(pl.col(c), number, self.narrow_buckets) for c in link.match)
            yield linked_jobs(part, jobs.filter(named), link).collect(engine="streaming")

    def _facts(self, own: pl.DataFrame) -> pl.LazyFrame:
        """Writes the facts of jobs; returns the amounts paid, or an empty frame if the facts are kept."""
        if FACTS in self.kept:
            return pl.LazyFrame()
        paid, layers, rules = list[pl.DataFrame](), list[Layer](), self.plain.rules
        day = rules.feeds[PAYMENTS].business_date
        for number in range(self.narrow_buckets):
            inside = bucket(pl.col(JOB_ID), number, self.narrow_buckets)
            payments = self.plain.feed(PAYMENTS) if self.narrow_buckets == 1 else self.plain.of_jobs(PAYMENTS, inside)
            payments = payments.select(JOB_ID, "amount", COUNTED, day).collect(engine="streaming").lazy()
            made = facts(self.plain.feed(JOBS).filter(inside), payments, rules, own.lazy()).collect(engine="streaming")
            _put(self.lake, FACTS, layers, made)
            paid.append(revenue(payments, made.lazy(), rules).collect())
        self.tables[FACTS] = layers
        if self.narrow_buckets > 1:  # in one bucket, payments without a job are among the others
            nothing_known = self.rows.snapshot.scan(FACTS).head(0)
            for number in range(self.narrow_buckets):
                jobless = self.plain.without_job(PAYMENTS, bucket(pl.col(POSITION), number, self.narrow_buckets))
                paid.append(revenue(jobless, nothing_known, rules).collect(engine="streaming"))
        return pl.concat(paid).lazy()

    def _measured(self) -> MeasureSums:
        """Returns the sums of own measures and members over all rows; empty if they are kept."""
        if TALLIES["measures"] in self.kept:
            return nothing()
        bucket_filters = [bucket(pl.col(JOB_ID), number, self.buckets) for number in range(self.buckets)]
        made = self.rows.snapshot.scan(FACTS)
        of_jobs = [measured_of_jobs(self.unpriced, made.filter(inside), inside) for inside in bucket_filters]
        return together([*of_jobs, measured_without_job(self.unpriced)])


def measured_of_jobs(rows: Rows, made: pl.LazyFrame, inside: pl.Expr) -> MeasureSums:
    """Returns the sums of own measures and members over some jobs and the rows that belong to them.

    Args:
        rows: the rows in force.
        made: the facts of these jobs.
        inside: selects the rows of these jobs, by job_id.
    """
    needed = [n for n in needed_feeds(rows.rules) if links_to_jobs(rows.rules, n)]
    if not needed:
        return nothing()
    jobs = rows.returning(with_facts(rows.feed(JOBS).filter(inside), made))
    feeds = {n: rows.feed(n).filter(inside) for n in needed if n != JOBS}
    of_jobs = jobs.select(of_jobs_columns(rows.rules))
    return _collected(measure_sums(jobs if JOBS in needed else None, feeds, of_jobs, rows.rules))


def measured_without_job(rows: Rows) -> MeasureSums:
    """Returns the sums of own measures and members over rows that belong to no job."""
    jobless = {n: rows.feed(n) for n in needed_feeds(rows.rules) if not links_to_jobs(rows.rules, n)}
    return _collected(measure_sums(None, jobless, None, rows.rules))


def written(
    lake: Lake, table: str, frames: Iterator[pl.DataFrame], schema: Mapping[str, pl.DataType]
) -> Sequence[Layer]:
    """Writes a table sorted by position, one layer per frame; one empty layer if there are no frames."""
    layers = list[Layer]()
    for frame in frames:
        _put(lake, table, layers, frame)
    return layers or (write_layer(lake, table, pl.DataFrame(schema=schema)),)


def _put(lake: Lake, table: str, layers: list[Layer], frame: pl.DataFrame) -> None:
    """Adds a frame to a table as one more layer, sorted by position; an empty frame only as the first layer.

    A table without rows thus still has a layer, which records its columns.
    """
    if frame.height or not layers:
        layers.append(write_layer(lake, table, frame.sort(POSITION)))


def classes_of(rows: Rows, buckets: int = 1) -> Iterator[pl.DataFrame]:
    """Yields the class of every call, bucket by bucket; needs the jobs that calls name."""
    found = call_rows(rows.linked(CALLS), rows.feed(JOBS), rows.rules)
    if buckets == 1:
        yield call_classes(found.collected(), rows.rules).collect()
        return
    for number in range(buckets):
        part = found.calls.filter(bucket(pl.col(CALLER), number, buckets)).collect(engine="streaming")
        yield classes_for(found, part, rows.rules)


def write_journeys(lake: Lake, rows: Rows, tables: Tables, buckets: int = 1) -> None:
    """Adds the tables of journeys to ``tables``, those of ``rows``; needs facts, classes and monthly metrics."""
    layers: dict[str, list[Layer]] = {MATCHES: [], JOURNEYS: []}
    for found in make_in_buckets(rows, buckets):
        for table, frame in ((MATCHES, found.matches), (JOURNEYS, found.journeys)):
            _put(lake, table, layers[table], frame)
    tables |= layers
    _add_up_journeys(lake, rows, tables)


def _add_up_journeys(lake: Lake, rows: Rows, tables: Tables) -> None:
    summed = journey_tally(rows.snapshot.scan(JOURNEYS))
    tables[JOURNEY_METRICS] = (write_journey_metrics(lake, rows, summed),)


def write_metrics(lake: Lake, rules: Rules, tallies: dict[str, pl.DataFrame], newest_day: dt.date | None) -> Tables:
    """Writes the tallies, and the metrics derived from them; ``newest_day`` is the day of the newest export."""
    daily = daily_of(Tallies(**{n: t.lazy() for n, t in tallies.items()}), rules, newest_day).collect()
    monthly = monthly_metrics(daily.lazy(), rules).collect()
    frames = {TALLIES[n]: t for n, t in tallies.items()}
    frames |= {DAILY: daily, MONTHLY: monthly, CATALOGUE: catalogue(rules)}
    return {table: (write_layer(lake, table, frame),) for table, frame in frames.items()}


def write_measures(lake: Lake, rows: Rows) -> Tables:
    """Writes the figures of declared measures; needs the tallies, the monthly metrics and the journeys."""
    measures, rules = measure_tally(rows).collect().lazy(), rows.rules
    members, monthly = (rows.snapshot.scan(name).collect().lazy() for name in (TALLIES["members"], MONTHLY))
    frames = {
        MEASURE_DAILY: measure_daily(measures, rules),
        DIMENSION_MONTHLY: dimension_monthly(members, monthly, measures, rules),
    }
    return {table: (write_layer(lake, table, frame.collect()),) for table, frame in frames.items()}


def measure_tally(rows: Rows) -> pl.LazyFrame:
    """Returns the daily sums of own measures: the tally of rows, and the sums over touches."""
    return pl.concat([stored_tallies(rows.snapshot).measures, journey_sums(rows.snapshot.scan(JOURNEYS), rows.rules)])


def write_journey_metrics(lake: Lake, rows: Rows, tally: pl.LazyFrame) -> Layer:
    """Writes the journey metrics by source and month from monthly metrics and ``tally``, that of all touches."""
    zone = rows.rules.business.timezone
    return write_layer(lake, JOURNEY_METRICS, journey_metrics(tally, rows.snapshot.scan(MONTHLY), zone))


def _collected(sums: MeasureSums) -> MeasureSums:
    daily, members = pl.collect_all([sums.daily, sums.members], engine="streaming")
    return MeasureSums(daily.lazy(), members.lazy())


def stored_tallies(snapshot: Snapshot) -> Tallies:
    """Returns the tallies of a computation."""
    return Tallies(**{kind: snapshot.scan(table) for kind, table in TALLIES.items()})


def published_rows(rows: Rows, table: PgTable) -> pl.LazyFrame:
    """Returns the rows that a published table must hold."""
    return rows.scan(stored_as(table))


def published_pieces(rows: Rows, table: PgTable) -> Iterator[pl.LazyFrame]:
    """Yields ``published_rows`` in pieces whose joins fit into memory, to be read one after the other."""
    yield from (piece.scan(stored_as(table)) for piece in pieces_of(rows, table))


def pieces_of(rows: Rows, table: PgTable) -> Iterator[Rows]:
    """Yields the pieces of ``rows`` for a published table; a table whose rows are added up is one piece."""
    return iter((rows,)) if table.sums else rows.pieces(stored_as(table))


def stored_as(table: PgTable) -> str:
    """Returns the name of a published table's rows in a computation."""
    return FACTS if table.name == JOBS else table.name


__all__ = [
    "Tables",
    "classes_of",
    "compute_all",
    "measure_tally",
    "measured_of_jobs",
    "measured_without_job",
    "pieces_of",
    "published_pieces",
    "published_rows",
    "stored_as",
    "stored_tallies",
    "write_journey_metrics",
    "write_journeys",
    "write_measures",
    "write_metrics",
    "written",
]  # fmt: skip
