"""Explains figures: gathers the rows behind each, asks both engines and PostgreSQL, and compares the answers."""

import contextlib
import copy
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from functools import lru_cache
from typing import Any

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.explain.asked import MEASURES, SCALES, Query, RowOutcome
from rmetrics.explain.call_steps import call_steps
from rmetrics.explain.differences import (
    differing,
    figures_of,
    funnel_months_differing,
    months_differing,
    rows_differing,
)
from rmetrics.explain.evidence import Evidence, Frames, evidence, rule_text
from rmetrics.explain.evidence_rows import EvidenceRows, evidence_rows
from rmetrics.explain.explanation import Explained, Explanation, ListedRow, ListedRows, Part, Split, Step
from rmetrics.explain.funnel import touch_evidence
from rmetrics.explain.funnel_figures import computed_days, followed_days, published_days, with_funnel
from rmetrics.explain.monthly import amounts_by_month, by_month
from rmetrics.explain.near_misses import NearMiss, near_rows, nearly_counted
from rmetrics.explain.own_measures import own_evidence, own_scales, with_own_columns
from rmetrics.explain.second_engine import known_months, needed_inputs, recomputed, touch_file
from rmetrics.explain.withdrawn import withdrawn_rows
from rmetrics.memory import duckdb_limit
from rmetrics.pipeline.asked import MonthRange, month_named, months_named, source_named
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.workspace import Workspace, opened
from rmetrics.positions import FILE, LINE, PARTS
from rmetrics.postgres.compare import RowDifference, published_session
from rmetrics.postgres.connection import Session
from rmetrics.progress import Progress, silent
from rmetrics.rules import ALL, Rules
from rmetrics.rules.funnel import FUNNEL, funnel_names
from rmetrics.rules.measure_words import measure_in_words
from rmetrics.rules.measures import declared
from rmetrics.sandbox.connection import duckdb_errors
from rmetrics.sandbox.query import rows as fetched
from rmetrics.tables import DAILY, MEASURE_DAILY

_DIFFERENCES = 20


@contextlib.contextmanager
def explainer(
    project: Project,
    *,
    month: dt.date | None = None,
    newest: bool = False,
    months: MonthRange | None = None,
    offline: bool = False,
    progress: Progress = silent,
) -> Iterator["Explainer"]:
    """Opens everything that explanations need: lake, second engine, database.

    Args:
        project: the project, or one of its companies.
        month: the only month to be explained, so that only the files it needs are read; None: any month.
        newest: without ``month``, only the newest month will be explained.
        months: the only months to be explained, instead of one.
        offline: does not connect to the database.
        progress: receives the progress.

    Raises:
        SettingsError: the month has no data.
        LakeError: no month has any data.
    """
    with (
        opened(project, progress) as lake,
        explainer_of(lake, project.memory, month=month, newest=newest, months=months, progress=progress) as one,
    ):
        if offline:
            yield one
            return
        with published_session(project.database) as last:
            yield one.against(last.session, last.run_id) if last else one


@contextlib.contextmanager
def explainer_of(
    lake: Workspace,
    memory: int,
    *,
    month: dt.date | None = None,
    newest: bool = False,
    months: MonthRange | None = None,
    progress: Progress = silent,
) -> Iterator["Explainer"]:
    """Opens the parts of ``explainer`` that come from the lake, without the database.

    Args:
        lake: the lake.
        memory: the memory in bytes, of which the second engine gets a share.
        month: the only month to be explained; None: any month.
        newest: without ``month``, only the newest month will be explained.
        months: the only months to be explained, instead of one.
        progress: receives the progress.

    Raises:
        SettingsError: the month has no data.
        LakeError: no month has any data.
    """
    with contextlib.ExitStack() as stack:
        only = months or (MonthRange(last=month, one=True) if month or newest else None)
        part = None
        if only is not None and not lake.problems:
            part = stack.enter_context(needed_inputs(lake, only))
        progress("recomputing with the second engine", 0, 1)
        # Runs while the database is opened and the rows behind the figures are read.
        pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="rmetrics"))
        touches = stack.enter_context(touch_file(lake))
        engine = pool.submit(recomputed, lake, part, duckdb_limit(memory) if part else None, touches)
        stack.callback(lambda: engine.exception() or engine.result().close())
        yield Explainer(lake, engine, stack.enter_context(evidence_rows(lake, part)), duckdb_limit(memory))
        progress("recomputing with the second engine", 1, 1)


class Explainer:
    """Explains any number of figures from one lake."""

    def __init__(self, lake: Workspace, engine: Future[Any], rows: EvidenceRows, memory_limit: str) -> None:
        self.lake, self.engine, self.memory_limit = lake, engine, memory_limit
        self.session: Session | None = None
        self.run_id: str | None = None
        self.rules: Rules = lake.rules
        self.frames, self.excluded = rows.frames, rows.excluded
        self.exports = {rank: raw.name for rank, raw in lake.exports.items()}
        self.own = own_scales(self.rules)
        self.funnel = funnel_names(self.rules)
        self.figures = (*MEASURES, *self.own, *self.funnel)
        self._recomputed = lru_cache(maxsize=64)(self._recomputed_of)
        self._followed = lru_cache(maxsize=64)(self._followed_of)

    def against(self, session: Session, run_id: str) -> "Explainer":
        """Returns a copy that also compares with the tables published by a run."""
        made = copy.copy(self)
        made.session, made.run_id = session, run_id
        return made

    # -- the questions

    def sources(self) -> list[str]:
        """Returns every source that has figures or a rule."""
        found = self.frames.daily.select(pl.col("source").unique()).collect()["source"].to_list()
        return sorted({*found, *self.rules.sources})

    def source(self, name: str) -> str:
        """Returns the named source, or ``ALL``; see ``asked.source_named``."""
        return source_named(name, self.rules, self.sources())

    def month(self, month: dt.date | None) -> dt.date:
        """Returns the named month, or the newest if none is named; see ``asked.month_named``."""
        return month_named(month, known_months(self.lake))

    def months(self, asked: MonthRange) -> tuple[dt.date, dt.date | None]:
        """Returns the first named month, and the last if there are several; see ``asked.months_named``.

        Months without data at either end are dropped.
        """
        known = known_months(self.lake)
        first, last = months_named(asked, known)
        found = [m for m in known if first <= m <= last]
        return min(found), max(found) if max(found) > min(found) else None

    def segment(self, name: str | None) -> str | None:
        """Returns the named segment.

        Raises:
            SettingsError: the rules have no segment of that name.
        """
        if name is None:
            return None
        known = {s.lower(): s for s in self.rules.segment_order}
        if name.lower() not in known:
            raise SettingsError(f"unknown segment: {name!r}", f"Segments: {', '.join(self.rules.segment_order)}.")
        return known[name.lower()]

    # -- the answer

    def evidence(self, metric: str, asked: Query, frames: Frames | None = None) -> tuple[Evidence, ...]:
        """Returns the rows behind a figure of any measure, from the lake's frames or from those given."""
        of = frames or self.frames
        if metric in self.own:
            return tuple(own_evidence(metric, asked, of, self.rules))
        if metric in self.funnel:
            return tuple(touch_evidence(self.funnel[metric], asked, of, self.rules))
        return evidence(metric, asked, of, self.rules)

    def explain(self, asked: Query, metrics: Sequence[str] = MEASURES) -> Explanation:
        """Explains the requested figures.

        Raises:
            SettingsError: a measure of journeys is requested by segment, but touches have none.
        """
        followed = {m: self.funnel[m] for m in metrics if m in self.funnel}
        if followed and asked.segment is not None:
            raise SettingsError(
                f"{next(iter(followed))} has no segments, because a touch has none", "Leave out --segment."
            )
        found = {m: self.evidence(m, asked) for m in metrics}
        computed, published = self.computed(asked), self._published(asked)
        parts = self.parts(found, asked)
        recomputed = self._of_second_engine(asked)  # last, as it may still be running
        if followed:
            computed = with_funnel(computed, computed_days(self.frames.journeys, asked), followed)
            days = self._followed(asked.source, asked.month, asked.end)
            recomputed = with_funnel(recomputed, days.filter(asked.on(pl.col("date"))), followed)
            if published is not None and self.session is not None:
                published = with_funnel(published, published_days(self.session, asked), followed)
        explained = {
            m: Explained(
                name=m,
                rule=self._rule(m, asked, parts[m])[0],
                where=self._rule(m, asked, parts[m])[1],
                value=_total(computed, m),
                parts=parts[m],
                listed=sum((p.value for p in parts[m]), Decimal(0)),
                recomputed=_total(recomputed, m),
                published=None if published is None else _total(published, m),
                months=by_month(m, asked, [p.by_month for p in parts[m]], computed, recomputed, published)
                if asked.several
                else (),
                scale=self._scale(m),
            )
            for m in metrics
        }
        wrong = [
            *differing("the second engine has", computed, recomputed, metrics),
            *([] if published is None else differing("PostgreSQL has", computed, published, metrics)),
            *months_differing(self.lake, self.session, asked, metrics),
            *funnel_months_differing(self.lake, self.session, asked, followed),
        ]
        rows = tuple(str(d) for d in self.rows_differing(found))
        return Explanation(
            asked,
            explained,
            tuple(wrong),
            rows,
            self.lake.problems,
            self.run_id,
            call_steps(asked, self.frames, self.rules),
        )

    def _scale(self, measure: str) -> int:
        if measure in self.funnel:
            return FUNNEL[self.funnel[measure]].decimals
        return self.own[measure] if measure in self.own else SCALES[measure]

    def _rule(self, measure: str, asked: Query, parts: Sequence[Part]) -> tuple[str, str]:
        if parts:
            return "; ".join(dict.fromkeys(p.rule for p in parts)), parts[0].where
        if measure in self.own:
            words = measure_in_words(declared(self.rules)[measure].rule.at(asked.month))
            return words, self.rules.place(f"measures.{measure}")
        if measure in self.funnel:
            message = f"{asked.source} has no touches: no rule declares a lead feed or calls for it"
            return message, self.rules.place(f"sources.{asked.source}")
        if asked.source in self.rules.sources:
            described = rule_text(self.rules, asked.source, measure, asked.month)
            return described.words, described.where
        message = f"no rule declares the source {asked.source}: its {measure} {'are' if measure == 'leads' else 'is'} 0"
        return message, self.rules.place("sources")

    def parts(self, found: Mapping[str, tuple[Evidence, ...]], asked: Query) -> dict[str, tuple[Part, ...]]:
        """Returns the parts of each measure's evidence with their values, steps, near misses and rows."""
        flat = [(m, e) for m, parts in found.items() for e in parts]
        queries = []
        for _, e in flat:
            queries.append(e.rows.group_by("_outcome").agg(pl.len().alias("n"), pl.col(PARTS).sum().alias("lines")))
            queries.append(e.rows.filter(pl.col("_outcome") == RowOutcome.COUNTED.value).sort("_day", "_key"))
            queries.append(near_rows(e, asked))
            queries.append(e.split if e.split is not None else pl.LazyFrame())
        frames = iter(pl.collect_all(queries))
        result: dict[str, list[Part]] = {m: [] for m in found}
        for m, e in flat:
            counts, counted, near, split = (next(frames) for _ in range(4))
            result[m].append(self._part(e, asked, counts, counted, near, split))
        return {m: tuple(parts) for m, parts in result.items()}

    def _part(
        self,
        e: Evidence,
        asked: Query,
        counts: pl.DataFrame,
        counted: pl.DataFrame,
        near: pl.DataFrame,
        split: pl.DataFrame,
    ) -> Part:
        feed = self.rules.feeds[e.feed] if e.feed else None
        return Part(
            rule=e.rule,
            where=e.where,
            since=e.since,
            feed=e.feed,
            value=Decimal(int(counted["_amount"].sum() or 0)).scaleb(-e.scale),
            steps=tuple(self._steps(e, counts)),
            nearly=(*nearly_counted(e, near, asked, feed), *self._withdrawn(e.feed, asked)),
            rows=ListedRows(counted.height, lambda: self._listed(e, counted)),
            split=_split(split, several=asked.several) if e.split is not None and split.height else None,
            by_month=amounts_by_month(counted, e.scale),
        )

    def _withdrawn(self, feed: str | None, asked: Query) -> list[NearMiss]:
        lake = self.lake
        return withdrawn_rows(lake.lake, self.rules, lake.computed.withdrawn, feed, asked) if feed else []

    def _steps(self, e: Evidence, counts: pl.DataFrame) -> Iterator[Step]:
        by_outcome = {o: (n, lines) for o, n, lines in counts.select("_outcome", "n", "lines").iter_rows()}
        for outcome, (rows, lines) in self.excluded.get(e.feed or "", {}).items():
            n, of = by_outcome.get(outcome, (0, 0))
            by_outcome[outcome] = n + rows, of + lines
        if e.feed is not None:
            files = [self.lake.computed.counts[f.sha256] for f, _ in self.lake.computed.typed[e.feed]]
            yield Step("read", sum(f.rows for f in files))
            yield Step("rejected", sum(f.rejected for f in files))
            yield Step("total lines", sum(f.totals for f in files))
            yield Step("superseded by a newer export", sum(f.superseded for f in files))
            merged = sum(lines - n for n, lines in by_outcome.values())
            yield Step("added to another line of the same key", merged)
        for outcome in RowOutcome:
            if outcome is not RowOutcome.COUNTED and (e.touches or outcome is not RowOutcome.OTHER_END):
                yield Step(outcome.value, by_outcome.get(outcome.value, (0, 0))[0])
        yield Step(RowOutcome.COUNTED.value, by_outcome.get(RowOutcome.COUNTED.value, (0, 0))[0])

    def _listed(self, e: Evidence, counted: pl.DataFrame) -> Iterator[ListedRow]:
        feed = self.rules.feeds[e.feed] if e.feed else None
        shown = [n for n, c in feed.columns.items() if c.publish and n not in feed.key_columns] if feed else []
        shown = [*e.detail, *(n for n in shown if n in counted.columns and n not in e.detail)]
        for row in counted.iter_rows(named=True):
            rank = row.get(FILE)
            yield ListedRow(
                key=row["_key"],
                file=None if rank is None else self.exports.get(rank),
                line=row.get(LINE),
                date=row["_day"],
                segment=row["_segment"],
                amount=Decimal(row["_amount"]).scaleb(-e.scale),
                detail={n: row[n] for n in shown if row[n] is not None},
            )

    # -- figures that must be equal

    def computed(self, asked: Query) -> pl.DataFrame:
        """Returns the daily figures of a question: the seven measures, and a column for each own measure."""
        rows = self.frames.daily.filter(asked.of(pl.col("source")))
        daily = _of_query(rows, asked).select("date", "source", "segment", *MEASURES).collect()
        own = self.lake.computed.rows.scan(MEASURE_DAILY).filter(asked.of(pl.col("source")))
        return with_own_columns(daily, _of_query(own, asked).collect(), self.rules, list(self.own))

    def _of_second_engine(self, asked: Query) -> pl.DataFrame:
        return _of_query(self._recomputed(asked.source, asked.month, asked.end).lazy(), asked).collect()

    def _recomputed_of(self, source: str, month: dt.date, end: dt.date) -> pl.DataFrame:
        connection = self.engine.result()
        with duckdb_errors("recompute the metrics"):
            columns = f"date, source, segment, {', '.join(MEASURES)}"
            connection.execute(
                f"SELECT {columns} FROM {DAILY} WHERE $1 IN (source, '{ALL}') AND date >= $2 AND date < $3",
                [source, month, end],
            )
            daily = figures_of(list(fetched(connection)))
            connection.execute(
                f"SELECT date, source, segment, measure, value FROM {MEASURE_DAILY} "
                f"WHERE $1 IN (source, '{ALL}') AND date >= $2 AND date < $3",
                [source, month, end],
            )
            return with_own_columns(daily, _own_frame(list(fetched(connection))), self.rules, list(self.own))

    def _followed_of(self, source: str, month: dt.date, end: dt.date) -> pl.DataFrame:
        return followed_days(self.lake, self.frames, source, month, end, self.memory_limit)

    def _published(self, asked: Query) -> pl.DataFrame | None:
        if self.session is None:
            return None
        cells = ", ".join(f"{m}::text" for m in MEASURES)
        rows = self.session.query(
            f"SELECT date, source, segment, {cells} FROM {DAILY} WHERE $1::text IN (source, '{ALL}') "
            "AND date >= $2::text::date AND date < $3::text::date",
            [asked.source, asked.month.isoformat(), asked.end.isoformat()],
        )
        own = (
            self.session.query(
                f"SELECT date, source, segment, measure, value::text FROM {MEASURE_DAILY} "
                f"WHERE $1::text IN (source, '{ALL}') AND date >= $2::text::date AND date < $3::text::date",
                [asked.source, asked.month.isoformat(), asked.end.isoformat()],
            )
            if self.own
            else []
        )
        daily = with_own_columns(figures_of(rows), _own_frame(own), self.rules, list(self.own))
        return _of_query(daily.lazy(), asked).collect()

    def rows_differing(self, found: Mapping[str, tuple[Evidence, ...]]) -> Iterator[RowDifference]:
        """Yields the counted rows that differ in their published tables."""
        return rows_differing(self.session, self.rules, self.frames, found)


def _own_frame(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    schema = {"date": pl.Date, "source": pl.String, "segment": pl.String, "measure": pl.String, "value": pl.String}
    frame = pl.DataFrame([[*r[:4], str(r[4])] for r in rows], schema=schema, orient="row")
    return frame.with_columns(pl.col("value").cast(pl.Decimal(38, 6)))


def _of_query(daily: pl.LazyFrame, asked: Query) -> pl.LazyFrame:
    rows = daily.filter(asked.within(pl.col("date")))
    if asked.segment is not None:
        rows = rows.filter(pl.col("segment") == asked.segment)
    if asked.day is not None:
        rows = rows.filter(asked.on(pl.col("date")))
    return rows


def _total(rows: pl.DataFrame, measure: str) -> Decimal:
    total = rows[measure].sum()
    return Decimal(str(total if total is not None else 0))


def _split(parts: pl.DataFrame, *, several: bool) -> Split:
    days = parts.group_by("date").agg(pl.col("cost_cents").sum()).sort("date")
    amounts = days["cost_cents"].to_list()
    total, base = sum(amounts), amounts[-1]
    segments = parts.group_by("segment").agg(pl.col("cost_cents").sum()).sort("segment")
    return Split(
        total=Decimal(total).scaleb(-2),
        days=len(amounts),
        per_day=None if several else Decimal(base).scaleb(-2),
        extra=0 if several else sum(1 for a in amounts if a != base),
        segments={s: Decimal(c).scaleb(-2) for s, c in segments.iter_rows()},
    )
