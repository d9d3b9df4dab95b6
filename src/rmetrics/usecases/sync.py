"""The main job: land, type, compute, check, publish."""

import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, Literal

import polars as pl

from rmetrics import __version__
from rmetrics.errors import PostgresError
from rmetrics.findings import FileResult, Finding, MonthLine, Severity, SyncResult, count
from rmetrics.lake import Lake
from rmetrics.lake.scratch import scratch_lake
from rmetrics.lake.snapshot import sweep
from rmetrics.pipeline.changes.causes import find_causes, whole_cause
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.names import TALLIES
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.standing import old_rules
from rmetrics.pipeline.explanations import CODE as FAILED
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import Seen, empty_inbox, land_inbox
from rmetrics.pipeline.landing.quarantine import taken_in
from rmetrics.pipeline.publication import table_contents
from rmetrics.pipeline.unchanged import NOT_NEEDED, fingerprint, new_run_id, remember
from rmetrics.pipeline.verify.agreement import disagreement_error
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.pipeline.verify.month_inputs import of_increment
from rmetrics.pipeline.verify.run_findings import by_others, run_findings, taken_in_findings
from rmetrics.postgres.connection import Server, connect
from rmetrics.postgres.ddl import apply_schema, fit_tables, is_complete, require_writable, schema_digest
from rmetrics.postgres.embedded import server_ahead
from rmetrics.postgres.failed_runs import Attempt, failure_noted, note_recovery
from rmetrics.postgres.ownership import own_relations
from rmetrics.postgres.publish import FeedState, Published, Run, publish, published
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.names import TARGETS
from rmetrics.settings import Settings, memory_of
from rmetrics.shipped import schema_script
from rmetrics.tables import MONTHLY, PgTable, published_tables
from rmetrics.usecases.check import quality_findings, remembered_findings, second_look


def sync(
    settings: Settings,
    *,
    full: bool = False,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = silent,
    before: tuple[Finding, ...] = (),
) -> SyncResult:
    """Brings lake and database up to date with the inbox and the rules.

    Args:
        settings: where things are.
        full: make and compare everything again, whatever the caches and the bookkeeping say.
        dry_run: compute in a scratch copy and publish nothing; nothing is written.
        force: publish although the database was last published from exports this lake does not have.
        progress: is told how far it is.
        before: findings of what came before the sync, such as pulls; they belong to the run.

    Raises:
        RulesError, SettingsError, LakeError, PostgresError, CheckError, BusyError: see ``errors``.
    """
    started = dt.datetime.now(dt.UTC)
    attempt = Attempt(new_run_id(started), started)
    read = fingerprint(settings)
    with contextlib.nullcontext() if dry_run else failure_noted(settings, attempt):
        result = _sync(settings, attempt, progress, before, full=full, dry_run=dry_run, force=force)
    if attempt.rest:
        with contextlib.suppress(OSError):  # a full disk, most likely: the next sync looks again
            remember(settings, read, attempt.rest[0], result)
    return result


def _sync(
    settings: Settings,
    attempt: Attempt,
    progress: Progress,
    before: tuple[Finding, ...],
    *,
    full: bool,
    dry_run: bool,
    force: bool,
) -> SyncResult:
    clock = time.monotonic()
    timings: dict[str, float] = {}
    os.umask(0o077)
    rules = load_rules(settings.rules_dir)
    attempt.rules_hash = rules.digest
    lake = Lake(settings.lake_dir)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(_workplace(lake, dry_run=dry_run))
        if not dry_run:
            ahead = server_ahead(settings.dsn, settings.server_dir, attempt.rest.append)
            target = stack.enter_context(ahead)
        with _timed(timings, "land"):
            seen = land_inbox(settings.inbox_dir, place, rules, progress, force=force, full=full)
        computed = compute(place, rules, progress, full=full, memory=memory_of(settings))
        timings |= computed.seconds
        why = Explanations()
        findings = (*before, *run_findings(place, rules, computed, seen, why), *_mended(computed))
        if not seen:
            findings = (empty_inbox(settings.inbox_dir, len(computed.placed)), *findings)
        if not dry_run:
            why.of("the note of sound files", place.remember_checked, None)
            findings += why.of(
                "the rows taken in again", lambda: taken_in_findings(taken_in(place, rules, computed.placed)), ()
            )
        refuse_large_sums(rules, computed, published_tables(rules))
        files = tuple(_file_result(s, computed) for s in seen)
        months = why.of("the summary of months", lambda: month_lines(computed.rows), ())
        if dry_run:
            with _timed(timings, "check"):
                agreed, quality = _agree(settings, place, rules, computed, progress, why)
            findings = _merged(findings, quality)
            status, written = "dry-run", dict[str, int]()
        else:
            attempt.run = run = _run(attempt, rules, computed, seen, why)
            with _timed(timings, "publish"):
                status, written, agreed, findings = _publish(
                    settings,
                    target,
                    rules,
                    place,
                    computed,
                    run,
                    findings,
                    progress,
                    timings,
                    why,
                    full=full,
                    force=force,
                )
            timings["publish"] -= timings.get("check", 0.0)
        findings = (*(f for f in findings if f.code != FAILED), *why.failed)
    return SyncResult(
        run_id=attempt.run_id,
        status=status,  # type: ignore[arg-type]
        files=files,
        published=written,
        findings=findings,
        months=months,
        seconds=time.monotonic() - clock,
        cross_check=agreed,
        timings=timings,
    )


@contextlib.contextmanager
def _timed(timings: dict[str, float], step: str) -> Iterator[None]:
    clock = time.monotonic()
    yield
    timings[step] = time.monotonic() - clock


@contextlib.contextmanager
def _workplace(lake: Lake, *, dry_run: bool) -> Iterator[Lake]:
    """The lake under its lock; for a dry run a scratch lake that sees the landed exports and is thrown away."""
    if not dry_run:
        with lake.locked():
            lake.sweep()
            sweep(lake)
            yield lake
        return
    with scratch_lake(lake, results=False) as scratch:
        yield scratch


def _file_result(seen: Seen, computed: Computed) -> FileResult:
    if seen.refused:
        return FileResult(seen.name, seen.feed, "refused", reason=seen.refused)
    counts = computed.counts.get(seen.sha256)
    status: Literal["landed", "unchanged"] = "landed" if seen.landed else "unchanged"
    if counts is None:
        return FileResult(seen.name, seen.feed, status, reason=seen.note)
    return FileResult(
        seen.name,
        seen.feed,
        status,
        counts.rows,
        counts.accepted,
        counts.rejected,
        counts.superseded,
        counts.totals,
        seen.note,
    )


def _mended(computed: Computed) -> Iterator[Finding]:
    """Says which files of the lake had to be made again."""
    if computed.mended:
        count, first = len(computed.mended), computed.mended[0]
        more = f" and {count - 1} more" if count > 1 else ""
        told = (
            f"{first}{more} in the lake was not what was written; made again from the exports, no figure came from it"
        )
        yield Finding("damaged-cache", Severity.WARNING, told, count)


# -- publishing


def _publish(
    settings: Settings,
    started: Callable[[], Server],
    rules: Rules,
    lake: Lake,
    computed: Computed,
    run: Run,
    findings: tuple[Finding, ...],
    progress: Progress,
    timings: dict[str, float],
    why: Explanations,
    *,
    full: bool,
    force: bool,
) -> tuple[str, dict[str, int], str, tuple[Finding, ...]]:
    script = schema_script()
    digest = schema_digest(script)
    tables = published_tables(rules)
    schema = settings.pg_schema
    target = started()
    before = _prepared(target, schema, script, digest, tables, rules.digest)
    _refuse_older_lake(before, computed, target, force=force)
    if before.inputs == run.inputs and before.intact and before.schema == digest and not full:
        remembered = why.of("the findings of the last check", lambda: remembered_findings(lake, run.inputs), ())
        findings = _merged(findings, remembered)
        now = Attempt(run.run_id, run.started_at, run.rules_hash, run)
        why.of("the note that all is well again", lambda: note_recovery(target, schema, now), None)
        return "unchanged", {}, NOT_NEEDED, findings
    with _timed(timings, "check"):
        agreed, quality = _agree(settings, lake, rules, computed, progress, why)
    findings = _merged(findings, quality)
    progress("publishing", 0, 1)
    cause = whole_cause(before.exports, before.rules_hash, before.version, computed, rules)
    causes = why.of("the causes of changes", lambda: _causes_of_figures(lake, computed, rules, before, cause), None)
    run = replace(run, detail={**run.detail, "findings": [asdict(f) for f in (*findings, *why.failed)]})
    written = publish(
        target,
        schema,
        table_contents(computed.rows, tables, computed.increment.changes if computed.increment else None),
        run,
        schema_digest=digest,
        cause=cause,
        causes=causes,
        full=full,
        after=before.run_id,
    )
    findings = (*findings, *by_others(written.by_others))
    progress("publishing", 1, 1)
    return "published", dict(written.rows), agreed, findings


def _causes_of_figures(
    lake: Lake, computed: Computed, rules: Rules, before: Published, cause: str
) -> pl.DataFrame | None:
    """The cause of every figure there can be; None on a first publish, which changes none."""
    if not before.run_id:
        return None
    old = old_rules(lake, before.rules_hash, rules)
    causes = find_causes(computed, rules, old, before.exports, cause)
    monthly = computed.snapshot.scan(MONTHLY).select("month", "source").collect()
    months = {*monthly["month"].to_list(), *(a.month for a in causes.arrivals if a.month)}
    gone = causes.old.sources if causes.old else {}
    return causes.frame(sorted(months), sorted({*monthly["source"].to_list(), *causes.new.sources, *gone}))


def _prepared(
    target: Server, schema: str, script: str, digest: str, tables: list[PgTable], rules_hash: str
) -> Published:
    """Brings the schema up to date, where it is not, and says what is published."""
    with connect(target, schema=schema) as session:
        require_writable(session)
        ready = is_complete(session, script)
        before = published(session, tables) if ready else Published()
        if not ready or before.schema != digest:
            apply_schema(session, script, schema)
        if before.rules_hash != rules_hash or not before.intact or not _same_shape(session, tables):
            fit_tables(session, tables)
        if not ready:
            before = published(session, tables)
        session.commit()
    return before


def _same_shape(session: Any, tables: list[PgTable]) -> bool:
    from rmetrics.postgres.connection import catalog

    own = own_relations(session)
    return all(t.name in own and set(t.names) <= set(catalog(session, t.name)) for t in tables)


def _refuse_older_lake(before: Published, computed: Computed, target: Server, *, force: bool) -> None:
    """Refuses to publish from a lake that has lost exports; those that the rules leave out are still there."""
    held = (*(p.raw for p in computed.placed), *computed.unplaced, *computed.withdrawn)
    missing = before.exports - {r.sha256[:16] for r in held}
    if missing and not force:
        raise PostgresError(
            f"{target.label} was published from exports that this lake does not have ({len(missing)} of them): "
            "publishing would take their rows away",
            "Sync from the newer lake, put those exports into this inbox, or say --force if they are meant to go.",
        )


def _run(
    attempt: Attempt,
    rules: Rules,
    computed: Computed,
    seen: list[Seen],
    why: Explanations,
) -> Run:
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
    """How fresh each feed is."""
    days = computed.snapshot.scan(TALLIES["days"]).group_by("feed").agg(pl.col("date").max(), pl.col("rows").sum())
    held = {feed: (last, rows) for feed, last, rows in days.collect().iter_rows()}
    states = []
    for name in rules.feeds:
        last, rows = held.get(name, (None, 0))
        raws = [p.raw for p in computed.placed if p.feed == name]
        exported = max((r.exported_at for r in raws), default=None)
        states.append(FeedState(name, name, rows, last, exported, len(raws)))
    return states


# -- the second engine


def _agree(
    settings: Settings, lake: Lake, rules: Rules, computed: Computed, progress: Progress, why: Explanations
) -> tuple[str, tuple[Finding, ...]]:
    """Has DuckDB recompute what changed; returns what to say, and what it found in the data.

    Everything is recomputed from the typed rows, unless only new exports came on top: then the months they touch are,
    from the rows before and the new exports'.

    Raises:
        CheckError: the engines differ; nothing may be published.
    """
    progress("checking with the second engine", 0, 1)
    with of_increment(lake, rules, computed) as part:
        result, answers = second_look(lake, rules, computed, part, memory_of(settings), why)
    progress("checking with the second engine", 1, 1)
    if result.count:
        first = result.mismatches[0]
        told = (
            f"the two engines disagree on {count(result.count, 'figure')}, first {first.table} {first.period} "
            f"{first.source} {first.segment} {first.measure}: {first.computed} against {first.recomputed}; nothing "
            "was published"
        )
        raise disagreement_error(rules, computed.rows, {p.rank: p.raw.name for p in computed.placed}, told)
    if part is None:
        quality = why.of(
            "the findings about the data", lambda: quality_findings(lake, rules, computed.inputs, answers), ()
        )
        return "the two engines agree on every figure", quality
    months = len(part.scope.months)
    told = f"the two engines agree on every figure of the {count(months, 'month')} that new rows touch"
    return told, why.of("the findings of the last check", lambda: remembered_findings(lake, computed.inputs), ())


def _merged(findings: tuple[Finding, ...], quality: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Both, gravest first; what a run tells of itself is not told again by the second engine."""
    order, told = list(Severity), {f.code for f in findings}
    both = (*findings, *(f for f in quality if f.code not in told))
    return tuple(sorted(both, key=lambda f: order.index(f.severity)))


# -- the summary


def month_lines(rows: Rows) -> tuple[MonthLine, ...]:
    """Each month by source and in all, against target."""
    monthly = rows.scan(MONTHLY).collect()
    measures = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
    by_source = monthly.group_by("month", "source").agg(pl.col(m).sum() for m in measures)
    whole = monthly.group_by("month").agg(pl.col(m).sum() for m in measures).with_columns(pl.lit("ALL").alias("source"))
    lines = pl.concat([by_source, whole.select(by_source.columns)])
    columns = ("target_repairs", "target_revenue40", "target_conv_l2r", "target_cpl_max")
    if TARGETS in rows.rules.feeds:
        targets = rows.scan(TARGETS).filter(pl.col("segment") == "ALL").collect()
        lines = lines.join(
            targets.select("month", "source", *(c for c in columns if c in targets.columns)),
            on=["month", "source"],
            how="left",
        )
    lines = lines.sort("month", pl.col("source") != "ALL", "source")
    return tuple(
        MonthLine(**{k: v for k, v in row.items() if k in MonthLine.__slots__}) for row in lines.iter_rows(named=True)
    )
