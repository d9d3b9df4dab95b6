"""Publishing a computation: the desired tables, written in the transaction that makes them visible."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.errors import PostgresError
from rmetrics.findings import Finding
from rmetrics.lake import Lake
from rmetrics.pipeline.changes.causes import find_causes, overall_cause
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.desired import table_contents
from rmetrics.pipeline.compute.last import old_rules
from rmetrics.pipeline.compute.names import TALLIES
from rmetrics.pipeline.compute.runner import Runner
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.forecasts import month_estimates, steps
from rmetrics.pipeline.landing.inbox import InboxFile
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.unchanged import NOT_NEEDED
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.pipeline.verify.cross_check import agree
from rmetrics.pipeline.verify.quality import remembered_findings
from rmetrics.pipeline.verify.run_findings import merged, outside_write_findings
from rmetrics.postgres.connection import Server, connect
from rmetrics.postgres.ddl import apply_schema, fit_tables, has_columns, is_complete, require_writable, schema_digest
from rmetrics.postgres.publish import FeedState, FinerCauses, ForecastRow, Published, Run, publish, published
from rmetrics.postgres.run_log import Attempt, note_recovery
from rmetrics.progress import Progress, timed
from rmetrics.rules import Rules
from rmetrics.sandbox.connection import Opened
from rmetrics.shipped import schema_script
from rmetrics.tables import MONTHLY, PgTable, published_tables
from rmetrics.version import __version__

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a publish.

    Attributes:
        written: rows written by table.
        agreed: the result of comparing both engines, in words.
        findings: those of the run so far and those of the publish.
    """

    status: Literal["published", "unchanged", "dry-run"]
    written: Mapping[str, int]
    agreed: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Publication:
    """A computation to publish, and the way to publish it.

    Attributes:
        project: its rules, and the lake that holds the computation.
        started: waits for the server and returns it.
        computed: the computation.
        run: the entry for the run log.
        findings: those known so far.
        progress: receives progress reports.
        timings: seconds by step; receives those of this one.
        why: keeps explanations from stopping the publish.
        full: write every row again.
        force: publish although published exports are lost.
        runner: also recomputes the figures in a full check; None for DuckDB only.
        verdict: the result of comparing both engines, if already done; None to let ``agreed`` compare them.
    """

    project: Project
    started: Callable[[], Server]
    computed: Computed
    run: Run
    findings: tuple[Finding, ...]
    progress: Progress
    timings: dict[str, float]
    why: Explanations
    full: bool = False
    force: bool = False
    runner: Runner | None = None
    verdict: tuple[str, tuple[Finding, ...]] | None = None

    def agreed(self) -> tuple[str, tuple[Finding, ...]]:
        """Returns the result of comparing both engines, in words, and all findings with those of the check.

        Raises:
            CheckError: they disagree; nothing may be published.
        """
        if self.verdict is not None:
            return self.verdict[0], merged(self.findings, self.verdict[1])
        with timed(self.timings, "check"):
            verdict, quality = agree(self.project, self.computed, self.progress, self.why, self.runner)
        return verdict, merged(self.findings, quality)


def publish_computed(of: Publication) -> Outcome:
    """Brings PostgreSQL up to date with the computation if it is not already; both engines must agree first.

    Raises:
        CheckError: the engines disagree, or a sum does not fit its column.
        LakeError: a file of the lake fails its checksum.
        PostgresError: nothing was published; also if the lake has lost published exports, unless ``force`` is given.
    """
    rules, lake, computed, run, why = of.project.rules, of.project.lake, of.computed, of.run, of.why
    script = schema_script()
    digest = schema_digest(script)
    tables = published_tables(rules)
    schema = of.project.database.schema
    target = of.started()
    before = _prepared(target, schema, script, digest, tables)
    _refuse_older_lake(before, computed, target, force=of.force)
    if before.inputs == run.inputs and before.intact and before.schema == digest and not of.full:
        remembered = why.of("the findings of the last check", lambda: remembered_findings(lake, run.inputs), ())
        now = Attempt(run.run_id, run.started_at, run.rules_hash, run)
        why.of("the note that all is well again", lambda: note_recovery(target, schema, now), None)
        return Outcome("unchanged", {}, NOT_NEEDED, merged(of.findings, remembered))
    refuse_large_sums(rules, computed, tables, published=before.inputs)
    of.progress("publishing", 0, 1)
    with _meanwhile(of.agreed) as checking:
        return _published(of, target, _with_withheld(tables, before, lake, rules), before, digest, checking)


def _published(
    of: Publication,
    target: Server,
    tables: list[PgTable],
    before: Published,
    digest: str,
    checking: "Future[tuple[str, tuple[Finding, ...]]]",
) -> Outcome:
    """Publishes while the engines are compared; commits only if they agree."""
    rules, lake, computed, run, why = of.project.rules, of.project.lake, of.computed, of.run, of.why
    cause = overall_cause(before.exports, before.rules_hash, before.version, computed, rules)
    causes = why.of("the causes of changes", lambda: _causes_of_figures(lake, computed, rules, before, cause), None)
    estimates = why.of("the forecast", lambda: _forecasts(computed, rules), ())

    def settled() -> Run:
        with timed(of.timings, "waited"):
            _, findings = checking.result()
        recorded = [asdict(f) for f in (*findings, *why.failed)]
        return replace(run, forecasts=estimates, detail={**run.detail, "findings": recorded})

    written = publish(
        target,
        of.project.database.schema,
        table_contents(computed.rows, tables, computed.increment.changes if computed.increment else None),
        run,
        schema_digest=digest,
        cause=cause,
        causes=causes,
        full=of.full,
        after=before.run_id,
        settled=settled,
    )
    agreed, findings = checking.result()
    findings = (*findings, *outside_write_findings(written.outside_writes))
    of.progress("publishing", 1, 1)
    return Outcome("published", dict(written.rows), agreed, findings)


@contextlib.contextmanager
def _meanwhile(work: Callable[[], T]) -> Iterator["Future[T]"]:
    """Runs work in a thread of its own; if the caller ends in an error, interrupts the work, too."""
    opened = Opened()

    def run() -> T:
        with opened.noted():
            return work()

    with ThreadPoolExecutor(1, thread_name_prefix="check") as pool:
        future = pool.submit(run)
        try:
            yield future
        except BaseException:
            opened.interrupt()
            raise


def _forecasts(computed: Computed, rules: Rules) -> tuple[ForecastRow, ...]:
    """Returns the rows of ``forecasts``: from the last whole day, if it is in the month, to the month's last."""
    zone = ZoneInfo(rules.business.timezone)
    rows = list[ForecastRow]()
    for e in month_estimates(computed, rules):
        path = steps(e.month, e.as_of, e.reached, e.path)
        for day, value in path:
            noon = dt.datetime.combine(day, dt.time(12), zone).astimezone(dt.UTC)
            ends = day == path[-1][0]
            low, high = (e.low, e.high) if ends else (None, None)
            rows.append(ForecastRow(day, e.source, e.measure, noon, e.month, e.as_of, value, low, high, e.past))
    return tuple(rows)


def _causes_of_figures(
    lake: Lake, computed: Computed, rules: Rules, before: Published, cause: str
) -> FinerCauses | None:
    """Returns the cause of every possible figure; None on a first publish, which changes none."""
    if not before.run_id:
        return None
    old = old_rules(lake, before.rules_hash, rules)
    causes = find_causes(computed, rules, old, before.exports, cause)
    monthly = computed.snapshot.scan(MONTHLY).select("month", "source").collect()
    months = {*monthly["month"].to_list(), *(a.month for a in causes.arrivals if a.month)}
    old_sources = causes.old.sources if causes.old else {}
    sources = sorted({*monthly["source"].to_list(), *causes.new.sources, *old_sources})
    return FinerCauses(causes.frame(sorted(months), sources), causes.member_frame(sorted(months)))


def _prepared(target: Server, schema: str, script: str, digest: str, tables: list[PgTable]) -> Published:
    """Brings the schema up to date if necessary, and returns the state of what is published."""
    with connect(target, schema=schema) as session:
        require_writable(session)
        ready = is_complete(session, script)
        before = published(session, tables) if ready else Published()
        if not ready or before.schema != digest:
            apply_schema(session, script, schema)
        fits = has_columns(session, tables)
        if not fits:
            fit_tables(session, tables)
        if not ready or not fits:
            before = published(session, tables)
        session.commit()
    return before


def _with_withheld(tables: list[PgTable], before: Published, lake: Lake, rules: Rules) -> list[PgTable]:
    """Returns the tables with the columns to clear as withheld: none if these rules published last.

    Columns that only the earlier rules published are among them: they would look current.
    """
    if before.rules_hash == rules.digest and before.intact:
        return [replace(t, withheld=()) for t in tables]
    old = old_rules(lake, before.rules_hash, rules) if before.rules_hash else None
    were = {t.name: [n for n in t.names if n not in t.key] for t in published_tables(old)} if old else {}
    abandoned = {t.name: [n for n in were.get(t.name, ()) if n not in t.names] for t in tables}
    return [replace(t, withheld=tuple(dict.fromkeys([*t.withheld, *abandoned[t.name]]))) for t in tables]


def _refuse_older_lake(before: Published, computed: Computed, target: Server, *, force: bool) -> None:
    """Raises an error if the lake has lost published exports; those that the rules leave out do not count as lost."""
    known = (*(p.raw for p in computed.placed), *computed.unplaced, *computed.withdrawn)
    missing = before.exports - {r.sha256[:16] for r in known}
    if missing and not force:
        raise PostgresError(
            f"{target.label} was published from exports that this lake does not have ({len(missing)} of them): "
            "publishing would remove their rows",
            "Sync from the newer lake, put these exports into this inbox, or pass --force to remove their rows.",
        )


def run_of(
    attempt: Attempt,
    rules: Rules,
    computed: Computed,
    seen: list[InboxFile],
    why: Explanations,
) -> Run:
    """Returns this run's entry for the run log."""
    counts = computed.counts.values()
    return Run(
        run_id=attempt.run_id,
        started_at=attempt.started_at,
        rules_hash=rules.digest,
        version=__version__,
        files=len(computed.placed),
        rows_read=sum(c.rows for c in counts),
        rows_rejected=sum(c.rejected for c in counts),
        exports=[p.raw.sha256[:16] for p in computed.placed],
        inputs=computed.inputs,
        timezone=rules.business.timezone,
        currency=rules.business.currency,
        feeds=why.of("how fresh feeds are", lambda: feed_states(rules, computed), None),
        detail={"refused": {s.name: s.refused for s in seen if s.refused}},
    )


def feed_states(rules: Rules, computed: Computed) -> list[FeedState]:
    """Returns how fresh each feed is."""
    days = computed.snapshot.scan(TALLIES["days"]).group_by("feed").agg(pl.col("date").max(), pl.col("rows").sum())
    last_rows = {feed: (last, rows) for feed, last, rows in days.collect().iter_rows()}
    states = []
    for name in rules.feeds:
        last, rows = last_rows.get(name, (None, 0))
        raws = [p.raw for p in computed.placed if p.feed == name]
        exported = max((r.exported_at for r in raws), default=None)
        states.append(FeedState(name, name, rows, last, exported, len(raws)))
    return states
