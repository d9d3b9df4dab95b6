"""The part of a sync up to the lake: new exports are landed, typed and computed; nothing is checked or published."""

import functools
from dataclasses import dataclass
from typing import Literal

from rmetrics.findings import Finding
from rmetrics.month_line import MonthLine
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.runner import Runner
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import InboxFile, empty_inbox, land_inbox
from rmetrics.pipeline.landing.quarantine import newly_accepted
from rmetrics.pipeline.months import measure_lines, month_lines
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.summary import FileResult, MeasureLine
from rmetrics.pipeline.verify.run_findings import newly_accepted_findings, rebuilt, run_findings
from rmetrics.progress import Progress, timed


@dataclass(frozen=True, slots=True)
class Prepared:
    """The state of a sync before both engines are compared.

    Attributes:
        seen: the files of the inbox.
        computed: the computation now in the lake.
        findings: those so far.
        files, months, measures: as the result of a sync shows them.
    """

    seen: list[InboxFile]
    computed: Computed
    findings: tuple[Finding, ...]
    files: tuple[FileResult, ...]
    months: tuple[MonthLine, ...]
    measures: tuple[MeasureLine, ...]


def prepare(
    project: Project,
    progress: Progress,
    timings: dict[str, float],
    why: Explanations,
    *,
    before: tuple[Finding, ...] = (),
    full: bool = False,
    force: bool = False,
    trial: bool = False,
    runner: Runner | None = None,
) -> Prepared:
    """Brings a lake up to date with the inbox and the rules.

    Args:
        project: the project; its lake is updated, and is under its lock.
        progress: receives progress reports.
        timings: seconds by step; receives those of these steps.
        why: keeps explanations from stopping the run.
        before: findings of earlier steps.
        full: rebuild everything.
        force: go on without exports whose files are gone.
        trial: whether the lake is discarded afterwards.
        runner: runs full computations; None for this machine.

    Raises:
        LakeError, SettingsError: the inbox or the lake cannot be used.
        EngineError: the runner could not finish.
    """
    lake, rules, inbox = project.lake, project.rules, project.inbox.open()
    with timed(timings, "land"):
        spread = None if runner is None else functools.partial(runner.land, project.inbox, lake, rules)
        seen = land_inbox(inbox, lake, rules, progress, force=force, full=full, spread=spread)
    computed = compute(lake, rules, progress, full=full, memory=project.memory, runner=runner)
    timings |= computed.seconds
    findings = (*before, *run_findings(lake, rules, computed, seen, why), *rebuilt(computed))
    if not seen:
        findings = (empty_inbox(inbox, len(computed.placed)), *findings)
    if not trial:
        why.of("the note of sound files", lake.remember_checked, None)
        findings += why.of(
            "the rows taken in again", lambda: newly_accepted_findings(newly_accepted(lake, rules, computed.placed)), ()
        )
    files = tuple(_file_result(s, computed) for s in seen)
    months = why.of("the summary of months", lambda: month_lines(computed.rows), ())
    measures = why.of("the summary of own measures", lambda: measure_lines(computed.rows), ())
    return Prepared(seen, computed, findings, files, months, measures)


def _file_result(seen: InboxFile, computed: Computed) -> FileResult:
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


__all__ = ["Prepared", "prepare"]
