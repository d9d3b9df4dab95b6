"""What new exports change, computed in the parts they touch; everything else stays as it was.

Rows come in by their keys. A key's older version is found in the keys beside each part, and the parts of both versions
are made again: their rows, the links of payments and calls to jobs that came or changed their names, the facts of jobs
whose rows or payments changed, and the tallies of all these parts. Days and months are then made from all tallies. The
outcome is that of ``whole.compute_whole``, rows and figures; only exports that count as newer than all earlier ones
come in this way.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.lake import Lake
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import (
    JOB_ID,
    METRIC_DATE,
    SEGMENT,
    SOURCE,
    dated_jobs,
    feed_part,
    fold,
    job_facts,
    linked,
    own_names,
)
from rmetrics.metrics.jobs import spellings as spellings_of
from rmetrics.metrics.newest import COUNTED, FILE, LINE, PARTS, TypedExport, newest_rows, typed_columns
from rmetrics.metrics.tallies import Tallies, revenue, tally
from rmetrics.periods import NO_PART, PART
from rmetrics.pipeline.parts import (
    FACTS,
    FACTS_PART,
    JOB,
    KEY,
    LINES,
    ONE_PART,
    REF,
    SPELLINGS,
    TALLIES,
    by_name,
    finders,
    key_hash,
    order,
)
from rmetrics.pipeline.whole import Tables, Typed, write_feed, write_metrics
from rmetrics.rules import Rules
from rmetrics.rules.validate import JOBS, PAYMENTS, TARGETS
from rmetrics.snapshot import Part, Snapshot, hashed, hashes_of, write_table
from rmetrics.tables import DAILY

MOST_ROWS = 1_000_000  # more new rows than this are streamed with everything else
MOST_SHARE = 0.2  # and so are more than this share of all rows
_PART = "_part"


@dataclass(frozen=True, slots=True)
class Grown:
    """A computation that grew out of an earlier one.

    Attributes:
        tables: all tables, with the parts that stayed.
        touched: the parts of each feed, and of job facts, that were made again.
        months: in which figures may differ from the earlier computation.
        replaced: by feed, the rows that new exports or new links of jobs replaced, as they were.
    """

    tables: Tables
    touched: Mapping[str, frozenset[dt.date]]
    months: frozenset[dt.date]
    replaced: Mapping[str, pl.DataFrame]


def is_small(old: Snapshot, fresh: Typed) -> bool:
    """Whether so few rows are new that only the parts they touch are worth making again."""
    new = sum(f.rows for name, files in fresh.items() if name != TARGETS for f, _ in files)
    there = sum(p.rows for name in fresh if old.has(name) for p in old.parts(name).values())
    return new <= min(MOST_ROWS, MOST_SHARE * there)


def grow(
    lake: Lake, rules: Rules, old: Snapshot, fresh: Typed, typed: Typed, *, most: int, newest: dt.date | None = None
) -> Grown:
    """Computes what new exports change.

    Args:
        lake: where to.
        rules: in force, and those of the earlier computation.
        old: the earlier computation.
        fresh: the typed files of the new exports by feed, each with the rank of its export; newer than all others.
        typed: those of all exports.
        most: how many rows may be taken at a time, where a feed must be made whole.
        newest: the day of the newest export.

    Raises:
        SpoiledError: a file of the earlier computation is not what was written.
        LakeError: a file cannot be written.
    """
    return _Growth(lake, rules, old, fresh, typed, most, newest).run()


class _Growth:
    def __init__(
        self,
        lake: Lake,
        rules: Rules,
        old: Snapshot,
        fresh: Typed,
        typed: Typed,
        most: int,
        newest: dt.date | None,
    ) -> None:
        self.lake, self.rules, self.old, self.fresh, self.typed = lake, rules, old, fresh, typed
        self.most, self.newest = most, newest
        self.made: dict[str, dict[dt.date, pl.DataFrame]] = {}  # the parts that are made again, whole
        self.was: dict[str, pl.DataFrame] = {}  # the rows that are replaced, as they were
        self.now: dict[str, pl.DataFrame] = {}  # and as they are now
        self.read: dict[tuple[str, dt.date], pl.DataFrame] = {}
        self.paid_parts: frozenset[dt.date] = frozenset()  # parts of payments whose revenue is tallied anew

    def run(self) -> Grown:
        """Makes every table that changes."""
        tables: Tables = dict(self.old.tables)
        for name in order(self.rules):
            if name == TARGETS:
                if self.fresh.get(TARGETS):
                    tables[name] = write_feed(self.lake, self.rules, name, self.typed[name], self.old, most=self.most)
                continue
            self._feed(name)
            tables[name] = self._stored(name)
        spelt = self._spellings()
        tables[SPELLINGS] = write_table(self.lake, self.lake.metrics / SPELLINGS, spelt.lazy(), ONE_PART)
        changed, tallies = self._tallies(*self._facts(spelt))
        tables[FACTS] = self._stored(FACTS)
        tables |= write_metrics(self.lake, self.rules, tallies, self.newest)
        touched = {name: frozenset(parts) for name, parts in self.made.items()}
        return Grown(tables, touched, self._months(changed, tables), self.was)

    # -- rows

    def _rows(self, table: str, parts: Iterable[dt.date]) -> pl.DataFrame:
        """The rows of some parts as they are now."""
        made = self.made.get(table, {})
        frames = [made[p] if p in made else self._before(table, p) for p in sorted(set(parts))]
        return pl.concat(frames) if frames else self._before(table, NO_PART).clear()

    def _some(
        self, table: str, parts: Iterable[dt.date], keep: pl.Expr, columns: Collection[str] | None = None
    ) -> pl.DataFrame:
        """The rows that are to be kept, or some columns of them, of some parts as they are now."""
        made = self.made.get(table, {})
        stay = [p for p in parts if p not in made]
        self.old.verify_parts(table, stay)
        frames = [*(made[p].lazy() for p in parts if p in made), self.old.scan(table, stay)]
        return pl.concat([f.filter(keep).select(columns or pl.all()) for f in frames]).collect()

    def _before(self, table: str, part: dt.date) -> pl.DataFrame:
        """The rows of a part as they were; none where it was not there."""
        if part not in self.old.parts(table):
            return self._before(table, NO_PART).clear()
        if (table, part) not in self.read:
            self.old.verify_parts(table, [part])
            self.read[table, part] = self.old.scan(table, [part]).collect()
        return self.read[table, part]

    def _found(self, table: str, column: str, values: pl.Series) -> list[dt.date]:
        """The parts in which rows are found by one of the values, those made again included."""
        return sorted({*self.old.find(table, column, hashes_of(values)), *self.made.get(table, {})})

    def _stored(self, table: str) -> Mapping[dt.date, Part]:
        """The parts of a table, those made again written."""
        if not self.made.get(table):
            return self.old.parts(table)
        rows = pl.concat(list(self.made[table].values())).lazy()
        if table == FACTS:
            written = write_table(self.lake, self.lake.metrics / table, rows, FACTS_PART, lines=LINES)
        else:
            part, found_by = feed_part(self.rules, table), finders(self.rules, table)
            written = write_table(self.lake, self.lake.current / table, rows, part, found_by, lines=LINES)
        kept = {p: made for p, made in self.old.parts(table).items() if p not in self.made[table]}
        empty = {NO_PART: written[NO_PART]} if NO_PART not in kept else {}
        return {**empty, **{p: made for p, made in written.items() if made.rows}, **kept}

    # -- feeds

    def _feed(self, name: str) -> None:
        """Takes the new rows of a feed in, and finds the jobs anew that its rows name."""
        feed, rules = self.rules.feeds[name], self.rules
        nothing = self._before(name, NO_PART).clear()
        was, now, key = nothing, nothing, list(feed.key_columns)
        if self.fresh.get(name):
            exports = [TypedExport(self.lake.scan_typed(f), f.columns, rank) for f, rank in self.fresh[name]]
            keys = newest_rows(exports, feed).select(key).collect()
            hits = self.old.find(name, KEY, keys.select(key_hash(feed).alias(KEY))[KEY])
            was = self._rows(name, hits).join(keys, on=key, how="semi", nulls_equal=True)
            base = was.lazy().select(*typed_columns(feed), LINE, PARTS, FILE)
            merged = newest_rows(exports, feed, base)
            now = kept_rows(merged, rules, name).collect()
        if feed.job is not None:
            now = now.drop(JOB_ID, strict=False)
            names = self._new_names(feed.job.match)
            there = self._rows(name, self.old.find(name, REF, hashes_of(names)))
            there = there.filter(pl.col(feed.job.column).is_in(names.implode()))
            there = there.join(now, on=key, how="anti", nulls_equal=True)
            was = pl.concat([was, there])
            now = pl.concat([now, there.select(now.columns)])
            jobs = self._named(now[feed.job.column].drop_nulls(), feed.job.match)
            now = linked(now.lazy(), jobs.lazy(), feed.job).collect()
        now = now.select(nothing.columns)
        self.was[name], self.now[name] = was, now
        part = feed_part(rules, name).alias(_PART)
        touched = sorted({*was.select(part)[_PART], *now.select(part)[_PART]})
        rest = self._rows(name, touched).join(now, on=key, how="anti", nulls_equal=True)
        self.made[name] = _by_part(pl.concat([rest, now]), part, touched)

    def _new_names(self, match: Collection[str]) -> pl.Series:
        """The names of jobs that came, went, or changed one of their names."""
        columns = [JOB_ID, *(c for c in match if c != JOB_ID)]
        was, now = (f[JOBS].filter(pl.col(COUNTED)).select(columns) for f in (self.was, self.now))
        changed = _differing(was, now, columns)
        return pl.concat([changed[c] for c in columns]).drop_nulls().unique()

    def _named(self, names: pl.Series, match: Collection[str]) -> pl.DataFrame:
        """The names of all jobs that count and have one of the names, and of others."""
        parts = {p for c in match for p in self._found(JOBS, by_name(c), names)}
        hashes = hashes_of(names).unique()
        called = pl.any_horizontal(hashed(pl.col(c)).is_in(hashes.implode()) for c in match)
        return self._some(JOBS, parts, pl.col(COUNTED) & called, list(dict.fromkeys([JOB_ID, *match])))

    # -- facts

    def _spellings(self) -> pl.DataFrame:
        """How undeclared sources are spelt, all parts."""
        self.old.verify_parts(SPELLINGS, [NO_PART])
        before = self.old.scan(SPELLINGS).collect()
        touched = list(self.made[JOBS])
        jobs = dated_jobs(self._rows(JOBS, touched).lazy(), self.rules)
        now = spellings_of(jobs, self.rules).collect().select(before.columns)
        return pl.concat([before.filter(~pl.col(PART).is_in(touched)), now])

    def _facts(self, spelt: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Makes the facts of jobs anew that changed, were paid or are called something else; as they were and are."""
        key = list(self.rules.feeds[PAYMENTS].key_columns)
        pay = [*key, JOB_ID, "amount", COUNTED]
        paid = _differing(self.was[PAYMENTS].select(pay), self.now[PAYMENTS].select(pay), pay)
        changed = [f[JOB_ID] for f in (self.was[JOBS], self.now[JOBS], paid, self._renamed(spelt))]
        ids = pl.concat(changed).drop_nulls().unique()
        of_these = pl.col(JOB_ID).is_in(ids.implode())
        touched = self._found(JOBS, KEY, ids)
        jobs = self._some(JOBS, touched, of_these)
        columns = self._before(FACTS, NO_PART).columns
        facts = job_facts(jobs.lazy(), self._payments_of(ids).lazy(), self.rules, own_names(spelt.lazy()))
        now = facts.select(columns).collect()
        before = pl.concat([self._before(FACTS, p) for p in touched]) if touched else now.clear()
        self.made[FACTS] = _by_part(pl.concat([before.filter(~of_these), now]), FACTS_PART.alias(_PART), touched)
        return before.filter(of_these), now

    def _renamed(self, spelt: pl.DataFrame) -> pl.DataFrame:
        """The jobs with an undeclared source whose name is now another spelling."""
        before = own_names(self.old.scan(SPELLINGS)).collect()
        now = own_names(spelt.lazy()).collect()
        changed = now.join(before, on=["_fold", "_own"], how="anti").join(before, on="_fold", how="semi")
        parts = spelt.join(changed, on="_fold", how="semi")[PART].unique()
        return self._some(JOBS, parts.sort(), fold().is_in(changed["_fold"].implode()), [JOB_ID])

    def _payments_of(self, jobs: pl.Series) -> pl.DataFrame:
        """All payments that are linked to one of the jobs."""
        parts = self._found(PAYMENTS, JOB, jobs)
        return self._some(PAYMENTS, parts, pl.col(JOB_ID).is_in(jobs.implode()), [JOB_ID, "amount", COUNTED])

    # -- tallies

    def _tallies(self, before: pl.DataFrame, now: pl.DataFrame) -> tuple[list[pl.DataFrame], Tallies]:
        """The tallies of everything, those of touched parts made anew; and those that went or came.

        Args:
            before: the facts of the jobs whose facts were made anew, as they were.
            now: as they are now.
        """
        payments, of_payments = self._repaid(before, now)
        facts = pl.concat([now.clear(), *self.made[FACTS].values()])
        feeds = {n: pl.concat(list(f.values())).lazy() for n, f in self.made.items() if f and n in self.rules.feeds}
        paid = revenue(payments.lazy(), of_payments.lazy(), self.rules)
        made = tally(facts.lazy(), feeds, paid, self.rules)
        of_rows = _listed(self.made)
        anew = {
            "activity": pl.DataFrame({PART: sorted(self.made[FACTS])}, schema={PART: pl.Date}),
            "revenue": pl.DataFrame({PART: sorted(self.paid_parts)}, schema={PART: pl.Date}),
            "leads": of_rows,
            "spent": of_rows,
            "latest": _listed({**self.made, JOBS: self.made[FACTS]}),  # a job counts on its metric date
        }
        kept, changed = dict[str, pl.LazyFrame](), list[pl.DataFrame]()
        for kind, table in TALLIES.items():
            self.old.verify_parts(table, [NO_PART])
            old, new = self.old.scan(table).collect(), getattr(made, kind).collect()
            which = anew[kind]
            changed.append(_differing(old.join(which, on=which.columns, how="semi"), new, old.columns))
            kept[kind] = pl.concat([old.join(which, on=which.columns, how="anti"), new.select(old.columns)]).lazy()
        return changed, Tallies(**kept)

    def _repaid(self, before: pl.DataFrame, now: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The payments whose parts are tallied anew, and the facts of their jobs."""
        decides = [JOB_ID, SOURCE, SEGMENT, METRIC_DATE]
        moved = _differing(before.select(decides), now.select(decides), decides)[JOB_ID]
        self.paid_parts = frozenset(self._found(PAYMENTS, JOB, moved))
        payments = self._rows(PAYMENTS, self.paid_parts)
        jobs = payments[JOB_ID].drop_nulls().unique()
        where = [p for p in self._found(JOBS, KEY, jobs) if p in self.made[FACTS] or p in self.old.parts(FACTS)]
        return payments, self._some(FACTS, where, pl.col(JOB_ID).is_in(jobs.implode()), decides)

    def _months(self, tallies: Iterable[pl.DataFrame], tables: Tables) -> frozenset[dt.date]:
        """The months whose figures may differ: those of tallies that went or came, and of days that do."""
        self.old.verify_parts(DAILY, [NO_PART])
        was, now = self.old.scan(DAILY).collect(), Snapshot(self.lake.root, tables=tables).scan(DAILY).collect()
        days = [*(f for f in tallies if "date" in f.columns), _differing(was, now, was.columns)]
        return frozenset(m for f in days for m in f["date"].drop_nulls().dt.month_start().unique())


def _listed(parts: Mapping[str, Mapping[dt.date, pl.DataFrame]]) -> pl.DataFrame:
    rows = [(name, part) for name, frames in parts.items() for part in frames]
    return pl.DataFrame(rows, schema={"feed": pl.String, PART: pl.Date}, orient="row")


def _differing(was: pl.DataFrame, now: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """The rows that only one side has."""
    gone = was.join(now, on=columns, how="anti", nulls_equal=True)
    come = now.join(was, on=columns, how="anti", nulls_equal=True)
    return pl.concat([gone, come.select(gone.columns)])


def _by_part(rows: pl.DataFrame, part: pl.Expr, touched: Collection[dt.date]) -> dict[dt.date, pl.DataFrame]:
    """The rows of each part; parts that have none left are empty, not missing."""
    found = rows.with_columns(part).partition_by(_PART, as_dict=True, include_key=False)
    frames = {when: frame for (when,), frame in found.items() if isinstance(when, dt.date)}
    return {when: frames.get(when, rows.clear()) for when in {*touched, *frames}}


__all__ = ["Grown", "grow", "is_small"]
