"""Both engines against each other, and the checks of data quality in the same pass."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from rmetrics.checks.compare import CrossCheck, compare
from rmetrics.checks.compare_measures import OwnFigureFiles
from rmetrics.checks.leads_compare import LeadFiles, compare_leads
from rmetrics.checks.quality import Answer, ExportFacts, ask
from rmetrics.checks.recompute import TypedInput, recompute
from rmetrics.checks.returns_compare import compare_returns
from rmetrics.errors import OutOfMemoryError
from rmetrics.findings import Finding, count
from rmetrics.ingest.recognise import variant_name
from rmetrics.lake import Lake
from rmetrics.memory import DEFAULT_MEMORY, duckdb_limits
from rmetrics.metrics.call_classes import CLASSED
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.names import CLASSES
from rmetrics.pipeline.compute.runner import Runner
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.verify.agreement import disagreement_error
from rmetrics.pipeline.verify.journeys import check_reached, follow_and_compare, journey_files, with_journeys
from rmetrics.pipeline.verify.month_inputs import MonthInputs, of_increment
from rmetrics.pipeline.verify.quality import quality_findings, remembered_findings
from rmetrics.pipeline.verify.returns import check_reached_returns, return_file
from rmetrics.pipeline.verify.second_inputs import filed, stage
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.sandbox.connection import duckdb_errors, sandbox
from rmetrics.tables import DAILY, DIMENSION_MONTHLY, MEASURE_DAILY, MONTHLY


def cross_check(
    lake: Lake,
    rules: Rules,
    computed: Computed,
    part: MonthInputs | None = None,
    memory: int = DEFAULT_MEMORY,
    explanations: Explanations | None = None,
    runner: Runner | None = None,
    leads: LeadFiles | None = None,
) -> tuple[CrossCheck, list[Answer]]:
    """Recomputes the figures in DuckDB, and compares them with those in the lake.

    Args:
        lake: holds the typed rows and the metrics.
        rules: the rules in force.
        computed: the computation to check.
        part: only these months; None for everything, including the checks of data quality.
        memory: memory limit of the run in bytes. If DuckDB cannot finish within the rest of it, it gets more and more:
            figures are never published unchecked.
        explanations: lets the checks of data quality fail without stopping the run; None to raise.
        runner: also recomputes the figures, before DuckDB does, in a full check; None for DuckDB only.
        leads: unpublished results about leads, compared in a full check.
    """
    if runner is not None and part is None:
        metrics = computed.snapshot.path(DAILY), computed.snapshot.path(MONTHLY)
        newest = newest_day((p.raw for p in computed.placed), rules)
        found = runner.cross_check(lake, typed_inputs(lake, computed.typed), metrics, rules, newest)
        if found.count:
            return found, []
    rows = 0 if part else sum(p.raw.rows for p in computed.placed)
    *limits, last = duckdb_limits(memory, rows)
    for limit in limits:
        with contextlib.suppress(OutOfMemoryError):
            return look_once(lake, rules, computed, part, limit, explanations, leads)
    return look_once(lake, rules, computed, part, last, explanations, leads)


def look_once(
    lake: Lake,
    rules: Rules,
    computed: Computed,
    part: MonthInputs | None,
    memory_limit: str | None,
    explanations: Explanations | None = None,
    leads: LeadFiles | None = None,
) -> tuple[CrossCheck, list[Answer]]:
    """Does the work of ``cross_check`` within a memory limit; None leaves the limit to DuckDB."""
    typed: Mapping[str, Sequence[TypedInput]] = part.inputs if part else typed_inputs(lake, computed.typed)
    daily, monthly = computed.snapshot.path(DAILY), computed.snapshot.path(MONTHLY)
    own = OwnFigureFiles(computed.snapshot.path(MEASURE_DAILY), computed.snapshot.path(DIMENSION_MONTHLY))
    scope = part.scope if part else None
    members = [scope.members] if scope and scope.members else []
    exports = [
        ExportFacts(
            p.feed,
            p.rank,
            p.raw.name,
            p.raw.rows,
            p.raw.exported_at.date(),
            variant_name(p.raw.headers, p.raw.name, rules.feeds[p.feed]),
        )
        for p in computed.placed
    ]
    reached = months = None
    if part is not None and computed.increment is not None:
        reached, months = computed.increment.reached, part.scope.months | computed.increment.touch_months
    with (
        _classes(lake, computed, part) as classes,
        duckdb_errors("recompute the metrics"),
        journey_files(lake, computed.rows, reached, months) as files,
        return_file(lake, computed.rows) as returns,
    ):
        connection = sandbox(
            [
                *(i.path for inputs in typed.values() for i in inputs),
                *(*files.paths, classes, own.daily, own.members, *members, *(leads.paths if leads else ())),
                *([returns] if returns else []),
            ],
            temp=lake.root / "duckdb",
            memory_limit=memory_limit,
        )
        try:
            newest = newest_day((p.raw for p in computed.placed), rules)
            recompute(connection, typed, rules, scope, newest, journeys=files.every)
            found = compare(connection, daily, monthly, scope, classes, own=own)
            if part is not None:
                assert computed.increment is not None  # noqa: S101 - part of an increment
                assert reached is not None  # noqa: S101 - the same
                names, looked = part.scope.names, computed.increment.returning
                followed = check_reached(lake, computed.rows, reached, files, names, memory_limit)
                followed += check_reached_returns(lake, computed.rows, looked, names, memory_limit)
                return with_journeys(found, followed), []
            if returns is not None:
                found = with_journeys(found, compare_returns(connection, rules, returns))
            found = with_journeys(found, follow_and_compare(connection, files, computed.rows))
            if leads is not None:
                found = with_journeys(found, compare_leads(connection, leads, rules))

            def questions() -> list[Answer]:
                return list(ask(connection, rules, exports))

            if explanations is None:
                return found, questions()
            memory = (duckdb.OutOfMemoryException,) if memory_limit else ()
            return found, explanations.of("the questions about the data", questions, [], but=memory)
        finally:
            connection.close()


@contextlib.contextmanager
def _classes(lake: Lake, computed: Computed, part: MonthInputs | None) -> Iterator[Path]:
    """Yields a file of the classes of calls to compare."""
    made = computed.increment.reclassed if computed.increment else None
    if part is not None:
        rows = made.made.lazy() if made and part.classes else pl.LazyFrame(schema=CLASSED)
    else:
        rows = computed.snapshot.scan(CLASSES) if computed.snapshot.has(CLASSES) else pl.LazyFrame(schema=CLASSED)
    with stage(lake) as folder:
        yield filed(folder / f"{CLASSES}.parquet", rows)


def agree(
    project: Project,
    computed: Computed,
    progress: Progress,
    why: Explanations,
    runner: Runner | None = None,
) -> tuple[str, tuple[Finding, ...]]:
    """Recomputes the changes in DuckDB; returns a message for the user, and the findings in the data.

    Recomputes everything from the typed rows, unless the only change is newer exports: then only the months they
    affect, from the rows before and the new exports.

    Raises:
        CheckError: the engines differ; nothing may be published.
    """
    lake, rules = project.lake, project.rules
    progress("checking with the second engine", 0, 1)
    with of_increment(lake, rules, computed) as part:
        result, answers = cross_check(lake, rules, computed, part, project.memory, why, runner)
    progress("checking with the second engine", 1, 1)
    if result.count:
        first = result.mismatches[0]
        message = (
            f"the two engines disagree on {count(result.count, 'figure')}; first: {first.table} {first.period} "
            f"{first.source} {first.segment} {first.measure}: {first.computed} against {first.recomputed}; nothing "
            "was published"
        )
        raise disagreement_error(rules, computed.rows, {p.rank: p.raw.name for p in computed.placed}, message)
    if part is None:
        quality = why.of(
            "the findings about the data", lambda: quality_findings(lake, rules, computed.inputs, answers), ()
        )
        return "the two engines agree on every figure", quality
    months = len(part.scope.months)
    message = f"the two engines agree on every figure of the {count(months, 'month')} with new rows"
    return message, why.of("the findings of the last check", lambda: remembered_findings(lake, computed.inputs), ())
