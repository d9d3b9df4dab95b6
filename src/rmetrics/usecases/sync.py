"""``rmetrics sync``: lands, types, computes, checks and publishes."""

import contextlib
import datetime as dt
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

from rmetrics.errors import PostgresError, RmetricsError
from rmetrics.findings import COMPANY_FAILED, COMPANY_REMOVED, Finding, Severity
from rmetrics.lake import Lake
from rmetrics.lake.scratch import scratch_lake
from rmetrics.lake.snapshot import sweep
from rmetrics.opening import database_of, open_project, open_runner, places_of, sync_places
from rmetrics.pipeline.companies import ComputedCompany
from rmetrics.pipeline.explanations import CODE as FAILED
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.failed_runs import failure_noted
from rmetrics.pipeline.group import publish_company, publish_made, state_of
from rmetrics.pipeline.prepared import prepare
from rmetrics.pipeline.project import Places, Project
from rmetrics.pipeline.publication import Outcome, Publication, publish_computed, run_of
from rmetrics.pipeline.summary import CompanyResult, SyncResult
from rmetrics.pipeline.unchanged import fingerprint, new_run_id, remember
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.pipeline.verify.cross_check import agree
from rmetrics.pipeline.verify.run_findings import merged
from rmetrics.postgres.connection import Server, Session, connect, redacted
from rmetrics.postgres.embedded import server_in_background
from rmetrics.postgres.publish.group import (
    all_published_inputs,
    confirm_companies,
    note_failed,
    prepare_group,
    remove_undeclared,
)
from rmetrics.postgres.run_log import Attempt, note_run
from rmetrics.postgres.server import Database
from rmetrics.progress import Progress, silent, timed
from rmetrics.rules import Rules
from rmetrics.settings import Settings
from rmetrics.shipped import schema_script
from rmetrics.tables import published_tables


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
        settings: of the project.
        full: redo and compare everything, ignoring caches and bookkeeping.
        dry_run: compute in a scratch copy; nothing is published or written.
        force: publish even if the database was last published from exports that this lake does not have.
        progress: receives progress reports.
        before: findings of steps before the sync, such as pulls; they belong to the run.

    Raises:
        RulesError, SettingsError, LakeError, PostgresError, CheckError, BusyError: see ``errors``.
    """
    started = dt.datetime.now(dt.UTC)
    attempt = Attempt(new_run_id(started), started)
    places = sync_places(settings)
    read = fingerprint(places)
    with contextlib.nullcontext() if dry_run else failure_noted(database_of(settings), attempt):
        result = _sync(settings, attempt, progress, before, full=full, dry_run=dry_run, force=force)
    if attempt.run is not None:
        with contextlib.suppress(OSError):  # most likely a full disk: the next sync then examines everything again
            remember(places, read, attempt.rest[0] if attempt.rest else "", attempt.run.inputs, result)
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
    # Every file of this process is private to its user.
    os.umask(0o077)
    project = open_project(settings)
    rules, database = project.rules, project.database
    attempt.rules_hash = rules.digest
    if rules.companies and rules.company is None:
        return _sync_companies(settings, project, attempt, progress, before, full=full, dry_run=dry_run, force=force)
    with contextlib.ExitStack() as stack:
        project = project.over(stack.enter_context(_workplace(project.lake, dry_run=dry_run)))
        # A trial in a scratch lake stays on this machine: executors cannot see its folder.
        runner = None if dry_run else stack.enter_context(open_runner(settings))
        if not dry_run:
            starting = server_in_background(database.dsn, database.folder, attempt.rest.append)
            target = stack.enter_context(starting)
        why = Explanations()
        prepared = prepare(
            project, progress, timings, why, before=before, full=full, force=force, trial=dry_run, runner=runner
        )
        computed, findings = prepared.computed, prepared.findings
        if dry_run:
            refuse_large_sums(rules, computed, published_tables(rules))
            with timed(timings, "check"):
                agreed, quality = agree(project, computed, progress, why)
            outcome = Outcome("dry-run", {}, agreed, merged(findings, quality))
        else:
            attempt.run = run = run_of(attempt, rules, computed, prepared.seen, why)
            ready = Publication(
                project, target, computed, run, findings, progress, timings, why, full=full, force=force, runner=runner
            )
            with timed(timings, "publish"):
                outcome = (publish_company if rules.company else publish_computed)(ready)
            # The check ran during the publish, which waited for it at the end; a company's figures wait at the start.
            timings["publish"] -= timings.pop("waited", timings.get("check", 0.0))
        findings = (*(f for f in outcome.findings if f.code != FAILED), *why.failed)
    return SyncResult(
        run_id=attempt.run_id,
        status=outcome.status,
        files=prepared.files,
        published=outcome.written,
        findings=findings,
        months=prepared.months,
        seconds=time.monotonic() - clock,
        cross_check=outcome.agreed,
        timings=timings,
        measures=prepared.measures,
    )


# -- a group


def _sync_companies(
    settings: Settings,
    group: Project,
    attempt: Attempt,
    progress: Progress,
    before: tuple[Finding, ...],
    *,
    full: bool,
    dry_run: bool,
    force: bool,
) -> SyncResult:
    """Syncs each company by itself: a failure of one stops no other, and leaves its figures as of the run before."""
    clock = time.monotonic()
    rules, database, names = group.rules, group.database, list(group.rules.companies)
    with contextlib.ExitStack() as stack:
        started = stack.enter_context(server_in_background(database.dsn, database.folder))
        if not dry_run:
            stack.enter_context(group.lake.locked())
            prepare_group(started(), database.schema, schema_script())
        if settings.engine == "spark" and not dry_run:
            done = _companies_on_spark(settings, group, started, progress, full=full, force=force)
        else:
            done = [
                _one_company(settings, rules, name, started, progress, full=full, dry_run=dry_run, force=force)
                for name in names
            ]
        removed = [] if dry_run else remove_undeclared(started(), database.schema, names)
        companies = (*(c for c, _ in done), *(CompanyResult(name, "removed") for name in removed))
        findings = (*before, *_of_companies(done, companies))
        if not dry_run:
            failed = [c for c in companies if c.status == "failed"]
            status = "failed" if len(failed) == len(names) else "ok"
            detail = {"findings": [asdict(f) for f in findings], "companies": [asdict(c) for c in companies]}
            note_run(started(), database.schema, attempt, status, json.dumps(detail, default=str))
    results = {c.company: r for c, r in done if r is not None}
    written: dict[str, int] = {}
    for table, count_ in (item for r in results.values() for item in r.published.items()):
        written[table] = written.get(table, 0) + count_
    changed = any(c.status in {"published", "removed"} for c in companies)
    return SyncResult(
        run_id=attempt.run_id,
        status="dry-run" if dry_run else "published" if changed else "unchanged",
        files=tuple(replace(f, file=f"{name}/{f.file}") for name, r in results.items() for f in r.files),
        published=written,
        findings=findings,
        months=(),
        seconds=time.monotonic() - clock,
        cross_check=f"the two engines agree on every figure of {len(results)} of {len(names)} companies",
        companies=companies,
    )


def _one_company(
    settings: Settings,
    rules: Rules,
    name: str,
    started: Callable[[], Server],
    progress: Progress,
    *,
    full: bool,
    dry_run: bool,
    force: bool,
) -> tuple[CompanyResult, SyncResult | None]:
    clock = time.monotonic()
    own = settings.of_company(name, rules.companies[name].inbox, rules.companies[name].own_schema)
    try:
        result = sync(own, full=full, dry_run=dry_run, force=force, progress=progress)
    except RmetricsError as error:
        seconds, to = time.monotonic() - clock, None if dry_run else started
        return _failed(database_of(settings), rules, name, error, to, seconds), None
    return _done(name, rules, result), result


def _done(name: str, rules: Rules, result: SyncResult) -> CompanyResult:
    landed = [f for f in result.files if f.status != "refused"]
    rejected = sum(f.rejected for f in landed)
    return CompanyResult(name, result.status, state_of(rules, name).currency, len(landed), rejected, "", result.seconds)


def _failed(
    database: Database,
    rules: Rules,
    name: str,
    error: RmetricsError,
    started: Callable[[], Server] | None,
    seconds: float,
) -> CompanyResult:
    """Returns the result of a company that failed, and notes it in the group's tables unless in a dry run."""
    state, message = state_of(rules, name), f"{error.message} {error.hint}".strip()
    if started is not None:
        note_failed(started(), database.schema, state, redacted(message, database.dsn or ""))
    return CompanyResult(name, "failed", state.currency, message=message, seconds=seconds)


def _companies_on_spark(
    settings: Settings, group: Project, started: Callable[[], Server], progress: Progress, *, full: bool, force: bool
) -> list[tuple[CompanyResult, SyncResult | None]]:
    """Computes each company as a task of an executor and publishes it here; one too large for a task is synced here."""
    from rmetrics.spark.companies import company_work, computed_companies

    rules, database = group.rules, group.database
    published = all_published_inputs(started(), database.schema)
    owns = {n: places_of(settings.of_company(n, c.inbox, c.own_schema)) for n, c in rules.companies.items()}
    now = dt.datetime.now(dt.UTC)
    works = [
        company_work(
            own, name=n, run_id=new_run_id(now), started_at=now, published=published.get(n, ""), full=full, force=force
        )
        for n, own in owns.items()
    ]
    done, large = dict[str, tuple[CompanyResult, SyncResult | None]](), list[str]()
    opened = list[Session]()
    with open_runner(settings) as runner, contextlib.ExitStack() as sessions:

        def session() -> Session:
            """Returns one session for all: the driver reads the types of the whole catalog on each connection."""
            if not opened:
                opened.append(sessions.enter_context(connect(started(), schema=database.schema)))
            return opened[0]

        assert runner is not None  # noqa: S101 - the engine is Spark
        for made, lake in computed_companies(runner.engine(progress), works, progress):
            if made.large:
                large.append(made.name)
                continue
            try:
                done[made.name] = _published(
                    owns[made.name], rules, made, lake, started, session, progress, full=full, force=force
                )
            except RmetricsError as error:
                if isinstance(error, PostgresError):  # the connection itself may be broken
                    sessions.close()
                    opened.clear()
                done[made.name] = _failed(database, rules, made.name, error, started, made.seconds), None
        for name in large:  # their lakes are unlocked again
            done[name] = _one_company(settings, rules, name, started, progress, full=full, dry_run=False, force=force)
    same = [n for n, (one, _) in done.items() if one.status == "unchanged"]
    confirm_companies(started(), database.schema, same)
    return [done[name] for name in rules.companies]


def _published(
    own: Places,
    rules: Rules,
    made: ComputedCompany,
    lake: Lake | None,
    started: Callable[[], Server],
    session: Callable[[], Session],
    progress: Progress,
    *,
    full: bool,
    force: bool,
) -> tuple[CompanyResult, SyncResult]:
    """Publishes a company that a task computed; raises the task's failure."""
    clock, now = time.monotonic(), dt.datetime.now(dt.UTC)
    attempt = Attempt(new_run_id(now), now)
    if made.run is not None:
        attempt = Attempt(made.run.run_id, made.run.started_at, made.run.rules_hash, made.run)
    with failure_noted(own.database, attempt):
        if made.failure is not None:
            raise made.failure.error
        assert lake is not None  # noqa: S101 - it was locked, or there is a failure
        outcome = publish_made(own, rules, lake, made, started, session, progress, full=full, force=force)
    result = SyncResult(
        run_id=attempt.run_id,
        status=outcome.status,
        files=made.files,
        published=outcome.written,
        findings=outcome.findings,
        months=(),
        seconds=made.seconds + time.monotonic() - clock,
        cross_check=outcome.agreed,
    )
    return _done(made.name, rules, result), result


def _of_companies(
    done: Sequence[tuple[CompanyResult, SyncResult | None]], companies: Sequence[CompanyResult]
) -> Iterator[Finding]:
    """Yields the findings of the companies, each with its company."""
    for company in companies:
        if company.status == "failed":
            message = f"{company.company}: not computed, its figures are those of the previous run: {company.message}"
            yield Finding(COMPANY_FAILED, Severity.ERROR, message, 0)
        elif company.status == "removed":
            message = (
                f"{company.company}: no longer declared in the rules; its rows were removed from the group's tables"
            )
            yield Finding(COMPANY_REMOVED, Severity.WARNING, message, 0)
    for company, result in done:
        for finding in result.findings if result else ():
            yield replace(finding, message=f"{company.company}: {finding.message}")


@contextlib.contextmanager
def _workplace(lake: Lake, *, dry_run: bool) -> Iterator[Lake]:
    """Yields the lake under its lock; for a dry run a temporary scratch lake that sees the landed exports."""
    if not dry_run:
        with lake.locked():
            lake.sweep()
            sweep(lake)
            yield lake
        return
    with scratch_lake(lake, results=False) as scratch:
        yield scratch
