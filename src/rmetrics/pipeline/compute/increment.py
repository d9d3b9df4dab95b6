"""The effect of new exports: the stages applied only to the rows that came and to those they replaced.

Rows come in by key. Every row that came, went or changed job has two versions: as it was and as it is. The new tally is
the old tally, less that of the rows as they were, plus that of the rows as they are. Rows and figures are the same as
those of ``local.compute_all``. Only exports newer than all earlier ones can come in this way.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Snapshot, stack, write_layer
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import (
    JOB_ID,
    METRIC_DATE,
    SEGMENT,
    SOURCE,
    dated_jobs,
    earliest,
    fold,
    own_names,
    spellings,
)
from rmetrics.metrics.journeys import changed_tally
from rmetrics.metrics.measures import MeasureSums, measure_sums, needed_feeds, nothing, of_jobs_columns
from rmetrics.metrics.newest import all_versions
from rmetrics.metrics.tallies import SUMS, added, negative, revenue, tally
from rmetrics.metrics.touches import row_of_place
from rmetrics.pipeline.compute.classed import Reclassed, reclassed
from rmetrics.pipeline.compute.journeys import lead_feeds, make_journeys, tied
from rmetrics.pipeline.compute.local import (
    Tables,
    published_rows,
    write_journey_metrics,
    write_measures,
    write_metrics,
)
from rmetrics.pipeline.compute.names import (
    CLASSES,
    CONTENTS,
    FACTS,
    FIGURES,
    MATCHES,
    RETURNS,
    SPELLINGS,
    TALLIES,
    links,
    order,
    replaced,
    together,
)
from rmetrics.pipeline.compute.returns import recounted
from rmetrics.pipeline.compute.rows import Rows, Typed, typed_exports
from rmetrics.pipeline.compute.stages import facts, key_hash, linked_jobs, newest, with_facts
from rmetrics.positions import COUNTED, POSITION, position
from rmetrics.postgres.publish import Change
from rmetrics.postgres.publish.digests import Digest, digests, month_sums, sums_after
from rmetrics.rules import Rules
from rmetrics.rules.measures import links_to_jobs
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.tables import (
    DAILY,
    DIMENSION_MONTHLY,
    JOURNEY_METRICS,
    JOURNEYS,
    MEASURE_DAILY,
    PgTable,
    published_tables,
)

MAX_NEW_ROWS = 1_000_000  # with more new rows than this, everything is computed
MAX_NEW_SHARE = 0.2  # likewise with more than this share of all rows


@dataclass(frozen=True, slots=True)
class Increment:
    """A computation derived from an earlier one.

    Attributes:
        tables: all tables.
        months: the months whose figures may differ from the earlier computation.
        was, now: by feed, the rows that came, went or changed job, as they were and as they are.
        fresh: by feed, the ranks of the new exports.
        changes: the changes of each published table.
        reached: positions of the jobs, leads and calls whose journeys the change may affect.
        touch_months: the months of these touches, as they were and as they are.
        returning: positions of the jobs whose days to the customer's other jobs were recounted, before and now.
        reclassed: the calls whose classes were determined again.
    """

    tables: Tables
    months: frozenset[dt.date]
    was: Mapping[str, pl.DataFrame]
    now: Mapping[str, pl.DataFrame]
    fresh: Mapping[str, frozenset[int]]
    changes: Mapping[str, Change]
    reached: pl.Series
    touch_months: frozenset[dt.date]
    returning: pl.Series
    reclassed: Reclassed | None = None


def is_small(old: Rows, fresh: Typed) -> bool:
    """Tests whether few enough rows are new that computing only their effect is worthwhile."""
    new = sum(f.rows for name, files in fresh.items() if name != TARGETS for f, _ in files)
    existing = sum(f.rows for files in old.typed.values() for f, _ in files)
    return new <= min(MAX_NEW_ROWS, MAX_NEW_SHARE * existing)


def increment(lake: Lake, old: Rows, fresh: Typed, typed: Typed, *, newest_day: dt.date | None = None) -> Increment:
    """Computes the effect of new exports.

    Args:
        lake: receives the tables.
        old: the rows of the earlier computation, with the same rules.
        fresh: the typed files of the new exports by feed, each with the rank of its export; newer than all others.
        typed: those of all exports.
        newest_day: the day of the newest export.

    Raises:
        CorruptError: a file of the earlier computation fails its checksum.
        LakeError: a file cannot be written.
    """
    return _Increment(lake, old, fresh, typed, newest_day).run()


class _Increment:
    def __init__(self, lake: Lake, old: Rows, fresh: Typed, typed: Typed, newest_day: dt.date | None) -> None:
        self.lake, self.old, self.fresh, self.newest_day = lake, old, fresh, newest_day
        self.rules: Rules = old.rules
        self.tables: Tables = dict(old.snapshot.tables)
        self.rows = Rows(lake, old.rules, typed, Snapshot(lake.store, tables=self.tables))
        self.was: dict[str, pl.DataFrame] = {}
        self.now: dict[str, pl.DataFrame] = {}
        self.reached = pl.Series(POSITION, [], dtype=pl.Int64)
        self.touches = pl.DataFrame(), pl.DataFrame()
        self.reclassed: Reclassed | None = None
        self.returning = pl.Series(POSITION, [], dtype=pl.Int64)

    def run(self) -> Increment:
        """Computes every table that changes."""
        self.old.snapshot.verify(*self.tables)
        for name in order(self.rules):
            if name == TARGETS:  # few, and not tracked row by row: two spellings of a source share a target
                self._newest(name)
                self.was[name], self.now[name] = (r.feed(name).collect() for r in (self.old, self.rows))
            else:
                self._feed(name)
        if CALLS in self.rules.feeds:
            self._classes()
        spelled = self._spellings()
        before, now = self._facts(spelled)
        tallies = self._tallies(before, now, self._returns(before, now))
        changed = {n: self.rows.snapshot.scan(t).collect() for n, t in TALLIES.items()}
        summed = {n: added(n, [changed[n].lazy(), tallies[n].lazy()]).collect() for n in TALLIES}
        self.tables |= write_metrics(self.lake, self.rules, summed, self.newest_day)
        shown = self._journeys(before, now)
        self.tables |= write_measures(self.lake, self.rows)
        changes = self._contents(*shown)
        fresh = {name: frozenset(rank for _, rank in files) for name, files in self.fresh.items() if files}
        touched = frozenset(m for side in self.touches for m in side["month"].unique())
        return Increment(
            self.tables,
            self._months(tallies),
            self.was,
            self.now,
            fresh,
            changes,
            self.reached,
            touched,
            self.returning,
            self.reclassed,
        )

    def _put(self, table: str, rows: pl.DataFrame, removed: pl.Series | None = None) -> None:
        """Adds a layer to a table."""
        if rows.height or (removed is not None and removed.len()):
            layers = (*self.tables[table], write_layer(self.lake, table, rows, removed))
            self.tables[table] = stack(self.lake, table, layers)

    # -- feeds

    def _newest(self, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Merges new rows into a feed; returns the rows of their keys that were in force, and those that now are."""
        feed, key = self.rules.feeds[name], list(self.rules.feeds[name].key_columns)
        fresh = typed_exports(self.lake, self.fresh.get(name, ()))
        fresh_rows = all_versions(fresh, feed).with_columns(position()).collect()
        hashes = fresh_rows.select(key_hash(feed).alias("h"))["h"].unique()
        was = self.old.newest(name).filter(key_hash(feed).is_in(hashes.implode())).collect()
        was = was.join(fresh_rows, on=key, how="semi", nulls_equal=True).select(fresh_rows.columns)
        made_before = self.old.snapshot.scan(together(name)).select(POSITION).collect()
        base = was.join(made_before, on=POSITION, how="semi")[POSITION]
        versions = pl.concat([was, fresh_rows])
        found = newest(versions.lazy(), self.rows.exports(name), feed, on_top=fresh, base=base)
        self._put(replaced(name), found.replaced)
        self._put(together(name), found.together, base)
        plain = versions.join(found.replaced, on=POSITION, how="anti").join(found.together, on=POSITION, how="anti")
        return was, pl.concat([plain, found.together.select(plain.columns)])

    def _feed(self, name: str) -> None:
        """Merges new rows into a feed, and links its rows to jobs again."""
        feed, rules = self.rules.feeds[name], self.rules
        older, newer = self._newest(name)
        was, now = (kept_rows(rows.lazy(), rules, name).collect() for rows in (older, newer))
        if feed.job is not None:
            column = feed.job.column
            was = self._linked_before(name, was)
            names = self._new_names(feed.job.match)
            linked = self.old.linked(name).filter(pl.col(column).is_in(names.implode())).collect()
            linked = linked.join(was, on=POSITION, how="anti").select(was.columns)
            was = pl.concat([was, linked])
            now = pl.concat([now.drop(JOB_ID, strict=False), linked.drop(JOB_ID)], how="diagonal")
            asked = now[column].drop_nulls().unique()
            called = pl.any_horizontal(pl.col(c).is_in(asked.implode()) for c in feed.job.match)
            columns = list(dict.fromkeys([JOB_ID, *feed.job.match]))
            jobs = self.rows.feed(JOBS).filter(pl.col(COUNTED) & called).select(columns).collect()
            found = linked_jobs(now.lazy(), jobs.lazy(), feed.job).collect()
            self._put(links(name), found, was[POSITION])
            now = now.join(found, on=POSITION, how="left").select(was.columns)
        self.was[name], self.now[name] = was, now.select(was.columns)

    def _linked_before(self, name: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Returns rows with the jobs they were linked to."""
        stored = self.old.snapshot.scan(links(name)).filter(pl.col(POSITION).is_in(rows[POSITION].implode())).collect()
        return rows.drop(JOB_ID, strict=False).join(stored, on=POSITION, how="left")

    def _new_names(self, match: Collection[str]) -> pl.Series:
        """Returns the names of jobs that came, went, or changed one of their names."""
        columns = list(dict.fromkeys([JOB_ID, *match]))
        was, now = (f[JOBS].filter(pl.col(COUNTED)).select(columns) for f in (self.was, self.now))
        changed = differing(was, now, columns)
        return pl.concat([changed[c] for c in columns]).drop_nulls().unique()

    def _classes(self) -> None:
        """Reclassifies the calls that share a number or a job with a changed row."""
        found = reclassed(self.old, self.rows, self.was, self.now)
        self._put(CLASSES, found.made, found.removed)
        self.was[CALLS], self.now[CALLS] = found.was, found.now
        self.reclassed = found

    # -- facts

    def _spellings(self) -> pl.DataFrame:
        """Returns the spellings of undeclared sources."""
        stored = self.old.snapshot.scan(SPELLINGS).collect()
        now = spellings(dated_jobs(self.now[JOBS].lazy(), self.rules), self.rules).collect()
        # If the first job of a name has changed, another job may be first: examine all jobs of that name.
        lost = stored.join(self.was[JOBS], on=JOB_ID, how="semi")["_fold"]
        cuts = [stored.filter(~pl.col("_fold").is_in(lost.implode())), now.select(stored.columns)]
        if lost.len():
            jobs = self.rows.feed(JOBS).filter(fold().is_in(lost.implode()))
            cuts.append(spellings(dated_jobs(jobs, self.rules), self.rules).select(stored.columns).collect())
        made = earliest(pl.concat(cuts).lazy()).select(stored.columns).collect()
        if not made.sort("_fold").equals(stored.sort("_fold")):
            self.tables[SPELLINGS] = (write_layer(self.lake, SPELLINGS, made),)
        return made

    def _facts(self, spelled: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Recomputes the facts of jobs that changed, were paid or renamed; returns the jobs as they were and are.

        Returns:
            Published rows of these jobs: the columns of their feed, position, and facts.
        """
        key = list(self.rules.feeds[PAYMENTS].key_columns)
        pay = [*key, JOB_ID, "amount", COUNTED]
        paid = differing(self.was[PAYMENTS].select(pay), self.now[PAYMENTS].select(pay), pay)
        changed = [f[JOB_ID] for f in (self.was[JOBS], self.now[JOBS], paid, self._renamed(spelled))]
        ids = pl.concat(changed).drop_nulls().unique()
        others = ids.filter(~ids.is_in(pl.concat([self.was[JOBS][JOB_ID], self.now[JOBS][JOB_ID]]).implode()))
        same = self.rows.feed(JOBS).filter(pl.col(JOB_ID).is_in(others.implode())).collect()
        was, now = (pl.concat([f[JOBS], same.select(f[JOBS].columns)]) for f in (self.was, self.now))
        made = facts(now.lazy(), self._payments_of(ids).lazy(), self.rules, own_names(spelled.lazy())).collect()
        stored = (
            self.old.snapshot.scan(FACTS).filter(pl.col(JOB_ID).is_in(ids.implode())).select(made.columns).collect()
        )
        self._put(FACTS, made, stored[POSITION])
        before, after = pl.collect_all([with_facts(was.lazy(), stored.lazy()), with_facts(now.lazy(), made.lazy())])
        return before, after

    def _renamed(self, spelled: pl.DataFrame) -> pl.DataFrame:
        """Returns the jobs whose undeclared source now has another spelling as its name."""
        before = own_names(self.old.snapshot.scan(SPELLINGS)).collect()
        now = own_names(spelled.lazy()).collect()
        changed = now.join(before, on=["_fold", "_own"], how="anti").join(before, on="_fold", how="semi")
        if changed.is_empty():
            return pl.DataFrame(schema={JOB_ID: pl.String})
        return self.rows.feed(JOBS).filter(fold().is_in(changed["_fold"].implode())).select(JOB_ID).collect()

    def _payments_of(self, jobs: pl.Series) -> pl.DataFrame:
        """Returns all payments linked to one of the jobs."""
        return self._rows_of(PAYMENTS, jobs)

    def _rows_of(self, name: str, jobs: pl.Series) -> pl.DataFrame:
        """Returns all rows of a feed linked to one of the jobs."""
        stored = self.rows.snapshot.scan(links(name)).filter(pl.col(JOB_ID).is_in(jobs.implode())).collect()
        return self.rows.at(name, stored[POSITION]).collect()

    def _returns(self, before: pl.DataFrame, now: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Recounts the days between jobs of the customers whose jobs changed.

        Returns:
            The jobs that changed, or whose days did, as they were and as they are, with the columns of their days.
        """
        if not self.rules.returns:
            return before, now
        looked, made = recounted(self.rows, [before, now])
        stored = self.old.snapshot.scan(RETURNS).filter(pl.col(POSITION).is_in(looked.implode())).collect()
        moved = self._differ(RETURNS, stored, made)
        self.returning = looked
        same = self._others(moved, before, now)
        sides = ((self.old, before), (self.rows, now))
        was, is_now = pl.collect_all([rows.returning(pl.concat([jobs, same]).lazy()) for rows, jobs in sides])
        return was, is_now

    def _others(self, moved: pl.Series, before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
        """Returns those of the jobs at some positions that did not change themselves, with the columns of ``now``."""
        others = moved.filter(~moved.is_in(pl.concat([before[POSITION], now[POSITION]]).implode())).unique()
        return self.rows.jobs_at(others).select(now.columns).collect()

    # -- journeys

    def _journeys(self, before: pl.DataFrame, now: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Recomputes the journeys that the changed rows are tied to.

        Returns:
            Published rows of the jobs that changed, or whose touch did, as they were and as they are.
        """
        versions = [(JOBS, before), (JOBS, now)]
        versions += [(n, side[n]) for n in lead_feeds(self.rules) for side in (self.was, self.now)]
        self.reached = tied(self.rows, versions)
        found = make_journeys(self.rows, self.reached)
        of_these = pl.col(POSITION).is_in(self.reached.implode())
        stored = self.old.snapshot.scan(MATCHES).filter(of_these).collect()
        of_rows = row_of_place().is_in(self.reached.implode())
        previous = self.old.snapshot.scan(JOURNEYS).filter(of_rows).collect()
        moved = self._differ(MATCHES, stored, found.matches)
        self.touches = previous, found.journeys
        self._differ(JOURNEYS, *self.touches)
        tally = changed_tally(self.old.snapshot.scan(JOURNEY_METRICS), previous.lazy(), found.journeys.lazy())
        self.tables[JOURNEY_METRICS] = (write_journey_metrics(self.lake, self.rows, tally),)
        same = self._others(moved, before, now)
        sides = ((self.old, before), (self.rows, now))
        was, is_now = pl.collect_all([rows.matched(pl.concat([jobs, same]).lazy()) for rows, jobs in sides])
        return was, is_now

    def _differ(self, table: str, was: pl.DataFrame, now: pl.DataFrame) -> pl.Series:
        """Adds rows found only in ``now`` to a table, removes those found only in ``was``; returns all positions."""
        now = now.select(was.columns)
        new_rows, removed = (
            a.join(b, on=was.columns, how="anti", nulls_equal=True) for a, b in ((now, was), (was, now))
        )
        self._put(table, new_rows, removed[POSITION])
        return pl.concat([new_rows[POSITION], removed[POSITION]])

    # -- sums

    def _tallies(
        self, before: pl.DataFrame, now: pl.DataFrame, returning: tuple[pl.DataFrame, pl.DataFrame]
    ) -> dict[str, pl.DataFrame]:
        """Returns the change of each tally: that of the rows as they are, less that of the rows as they were."""
        decides = [JOB_ID, SOURCE, SEGMENT, METRIC_DATE]
        moved = differing(before.select(decides), now.select(decides), decides)[JOB_ID].unique()
        paid = pl.concat([self.was[PAYMENTS], self.now[PAYMENTS]])[POSITION]
        same = self._payments_of(moved).filter(~pl.col(POSITION).is_in(paid.implode()))
        sides = []
        for feeds, joined, snapshot in ((self.was, before, self.old.snapshot), (self.now, now, self.rows.snapshot)):
            payments = pl.concat([feeds[PAYMENTS], same.select(feeds[PAYMENTS].columns)])
            jobs = payments[JOB_ID].drop_nulls().unique()
            of_jobs = snapshot.scan(FACTS).filter(pl.col(JOB_ID).is_in(jobs.implode())).collect()
            sums = revenue(payments.lazy(), of_jobs.lazy(), self.rules)
            sides.append((joined, {n: f.lazy() for n, f in feeds.items()}, sums))
        own = self._measured(*returning)
        was_sums, now_sums = (tally(h.lazy(), f, s, self.rules, o) for (h, f, s), o in zip(sides, own, strict=True))
        return {n: added(n, [getattr(now_sums, n), negative(n, getattr(was_sums, n))]).collect() for n in SUMS}

    def _measured(self, before: pl.DataFrame, now: pl.DataFrame) -> list[MeasureSums]:
        """Returns the sums of own measures and members over the changed rows, as they were and as they are.

        If a job's date, source, segment or a column of a dimension changes, its rows in every feed move with it.
        """
        needed = needed_feeds(self.rules)
        if not needed:
            return [nothing(), nothing()]
        linked = [n for n in needed if n != JOBS and links_to_jobs(self.rules, n)]
        decides = of_jobs_columns(self.rules)
        moved = differing(before.select(decides), now.select(decides), decides)[JOB_ID].unique()
        same = dict[str, pl.DataFrame]()
        for name in linked:
            positions = pl.concat([self.was[name], self.now[name]])[POSITION]
            same[name] = self._rows_of(name, moved).filter(~pl.col(POSITION).is_in(positions.implode()))
        sides = []
        for feeds, joined, rows in ((self.was, before, self.old), (self.now, now, self.rows)):
            inputs = {n: feeds[n] for n in needed if n != JOBS}
            inputs |= {n: pl.concat([inputs[n], f.select(inputs[n].columns)]) for n, f in same.items()}
            of_jobs = None
            if linked:
                ids = pl.concat([inputs[n][JOB_ID] for n in linked]).drop_nulls().unique()
                facts = rows.snapshot.scan(FACTS).filter(pl.col(JOB_ID).is_in(ids.implode())).collect()
                of_jobs = rows.facts_at(facts[POSITION]).select(decides).collect().lazy()
            jobs = joined.lazy() if JOBS in needed else None
            sides.append(measure_sums(jobs, {n: f.lazy() for n, f in inputs.items()}, of_jobs, self.rules))
        return sides

    def _months(self, tallies: Mapping[str, pl.DataFrame]) -> frozenset[dt.date]:
        """Returns the months whose figures may differ: those of changed tallies and of changed days."""
        days = [f["date"] for n, f in tallies.items() if n != "days"]
        for table, day in ((DAILY, "date"), (MEASURE_DAILY, "date"), (DIMENSION_MONTHLY, "month")):
            was, now = (s.scan(table).collect() for s in (self.old.snapshot, self.rows.snapshot))
            days.append(differing(was, now, was.columns)[day])
        return frozenset(m for d in days for m in d.drop_nulls().dt.month_start().unique())

    def _contents(self, before: pl.DataFrame, now: pl.DataFrame) -> dict[str, Change]:
        """Writes the sums of published tables after the change; returns the change of each."""
        stored = self.old.snapshot.scan(CONTENTS).collect()
        sums, changes = [], dict[str, Change]()
        shown = {JOBS: (before, now), JOURNEYS: self.touches}
        for table in published_tables(self.rules):
            of_table = stored.filter(pl.col("table") == table.name)
            if table.sums or table.name in (TARGETS, *FIGURES):
                if table.name in FIGURES or self.fresh.get(table.name):
                    of_table = month_sums(table, published_rows(self.rows, table))
                sums.append(of_table)
                continue
            was, is_now = shown.get(table.name) or (self.was[table.name], self.now[table.name])
            sums.append(sums_after(of_table, month_sums(table, is_now.lazy()), month_sums(table, was.lazy())))
            changes[table.name] = _change(table, digests(stored, table), was, is_now)
        self.tables[CONTENTS] = (write_layer(self.lake, CONTENTS, pl.concat(sums)),)
        return changes


def differing(was: pl.DataFrame, now: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Returns the rows found on only one side."""
    removed = was.join(now, on=columns, how="anti", nulls_equal=True)
    new_rows = now.join(was, on=columns, how="anti", nulls_equal=True)
    return pl.concat([removed, new_rows.select(removed.columns)])


def _change(table: PgTable, before: Mapping[dt.date, Digest], was: pl.DataFrame, now: pl.DataFrame) -> Change:
    """Returns the changed and removed rows of a published table, given the rows the change may have reached."""
    key = list(table.key)
    new_rows = now.join(was, on=list(table.names), how="anti", nulls_equal=True)
    removed = was.select(key).join(now, on=key, how="anti", nulls_equal=True)
    return Change(before, new_rows.lazy(), removed.lazy())


__all__ = ["Increment", "increment", "is_small"]
