"""Both engines against each other, and the questions about the data in the same pass."""

from collections.abc import Mapping, Sequence

import duckdb

from rmetrics.checks.compare import CrossCheck, compare
from rmetrics.checks.quality import Answer, ExportFacts, ask
from rmetrics.checks.recompute import TypedInput, recompute
from rmetrics.errors import OutOfMemoryError
from rmetrics.findings import Finding, count
from rmetrics.ingest.recognise import variant_name
from rmetrics.lake import Lake
from rmetrics.memory import duckdb_limit
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.pipeline.verify.agreement import disagreement_error
from rmetrics.pipeline.verify.journeys import check_reached, follow_and_compare, journey_files, with_journeys
from rmetrics.pipeline.verify.month_inputs import MonthInputs, of_increment
from rmetrics.pipeline.verify.quality import quality_findings, remembered_findings
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.sandbox.connection import duckdb_errors, sandbox
from rmetrics.settings import DEFAULT_MEMORY, Settings, memory_of
from rmetrics.tables import DAILY, MONTHLY


def second_look(
    lake: Lake,
    rules: Rules,
    computed: Computed,
    part: MonthInputs | None = None,
    memory: int = DEFAULT_MEMORY,
    explanations: Explanations | None = None,
) -> tuple[CrossCheck, list[Answer]]:
    """Recomputes in DuckDB, and compares with what stands in the lake.

    Args:
        lake: holds the typed rows and the metrics.
        rules: in force.
        computed: what was computed.
        part: only these months; None for everything, and to ask about the data's quality, too.
        memory: how many bytes the run may use. Where DuckDB cannot do it with what is left of them, it takes what the
            machine has: figures that nobody looked at twice are not published.
        explanations: where questions about the data's quality may fail without stopping the run; None: nowhere.
    """
    try:
        return look_once(lake, rules, computed, part, duckdb_limit(memory), explanations)
    except OutOfMemoryError:
        return look_once(lake, rules, computed, part, None, explanations)


def look_once(
    lake: Lake,
    rules: Rules,
    computed: Computed,
    part: MonthInputs | None,
    memory_limit: str | None,
    explanations: Explanations | None = None,
) -> tuple[CrossCheck, list[Answer]]:
    """Does what ``second_look`` says, with this limit of memory; None leaves it to DuckDB."""
    typed: Mapping[str, Sequence[TypedInput]] = part.inputs if part else typed_inputs(lake, computed.typed)
    daily, monthly = computed.snapshot.path(DAILY), computed.snapshot.path(MONTHLY)
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
    reached = computed.increment.reached if part and computed.increment else None
    with duckdb_errors("recompute the metrics"), journey_files(lake, computed.rows, reached) as files:
        connection = sandbox(
            [*(i.path for inputs in typed.values() for i in inputs), *files.paths],
            temp=lake.root / "duckdb",
            memory_limit=memory_limit,
        )
        try:
            scope = part.scope if part else None
            recompute(connection, typed, rules, scope, newest_day((p.raw for p in computed.placed), rules))
            found = compare(connection, daily, monthly, scope)
            if part is not None:
                assert reached is not None  # noqa: S101 - part of an increment
                followed = check_reached(lake, computed.rows, reached, part.scope.names, memory_limit)
                return with_journeys(found, followed), []
            found = with_journeys(found, follow_and_compare(connection, files, computed.rows))

            def questions() -> list[Answer]:
                return list(ask(connection, rules, exports))

            if explanations is None:
                return found, questions()
            memory = (duckdb.OutOfMemoryException,) if memory_limit else ()
            return found, explanations.of("the questions about the data", questions, [], but=memory)
        finally:
            connection.close()


def agree(
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
