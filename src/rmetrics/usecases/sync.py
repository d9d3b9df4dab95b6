"""The main job: land, type, compute, check, publish."""

import contextlib
import datetime as dt
import os
import time
from collections.abc import Iterator
from typing import Literal

from rmetrics.findings import Finding
from rmetrics.lake import Lake
from rmetrics.lake.scratch import scratch_lake
from rmetrics.lake.snapshot import sweep
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.explanations import CODE as FAILED
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import Seen, empty_inbox, land_inbox
from rmetrics.pipeline.landing.quarantine import taken_in
from rmetrics.pipeline.publication import Outcome, publish_computed, run_of
from rmetrics.pipeline.summary import FileResult, SyncResult, measure_lines, month_lines
from rmetrics.pipeline.unchanged import fingerprint, new_run_id, remember
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.pipeline.verify.cross_check import agree
from rmetrics.pipeline.verify.run_findings import mended, merged, run_findings, taken_in_findings
from rmetrics.postgres.embedded import server_ahead
from rmetrics.postgres.failed_runs import Attempt, failure_noted
from rmetrics.progress import Progress, silent, timed
from rmetrics.rules import load_rules
from rmetrics.settings import Settings, memory_of
from rmetrics.spark.runner import runner_of
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
        # What is tried in a scratch lake stays on this machine: nobody else sees its folder.
        runner = None if dry_run else stack.enter_context(runner_of(settings))
        if not dry_run:
            ahead = server_ahead(settings.dsn, settings.server_dir, attempt.rest.append)
            target = stack.enter_context(ahead)
        with timed(timings, "land"):
            seen = land_inbox(settings.inbox_dir, place, rules, progress, force=force, full=full)
        computed = compute(place, rules, progress, full=full, memory=memory_of(settings), runner=runner)
        timings |= computed.seconds
        why = Explanations()
        findings = (*before, *run_findings(place, rules, computed, seen, why), *mended(computed))
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
        measures = why.of("the summary of own measures", lambda: measure_lines(computed.rows), ())
        if dry_run:
            with timed(timings, "check"):
                agreed, quality = agree(settings, place, rules, computed, progress, why)
            outcome = Outcome("dry-run", {}, agreed, merged(findings, quality))
        else:
            attempt.run = run = run_of(attempt, rules, computed, seen, why)
            with timed(timings, "publish"):
                outcome = publish_computed(
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
                    runner=runner,
                )
            timings["publish"] -= timings.get("check", 0.0)
        findings = (*(f for f in outcome.findings if f.code != FAILED), *why.failed)
    return SyncResult(
        run_id=attempt.run_id,
        status=outcome.status,
        files=files,
        published=outcome.written,
        findings=findings,
        months=months,
        seconds=time.monotonic() - clock,
        cross_check=outcome.agreed,
        timings=timings,
        measures=measures,
    )


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


# -- publishing


# -- the second engine


# -- the summary
