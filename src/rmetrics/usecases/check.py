"""``rmetrics check``: do both engines agree, does PostgreSQL hold what is computed, and is the data plausible?"""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from rmetrics.checks.compare import CrossCheck, compare
from rmetrics.checks.quality import Answer, ExportFacts, ask
from rmetrics.checks.recompute import TypedInput, recompute
from rmetrics.errors import LakeError, OutOfMemoryError
from rmetrics.findings import Finding, Severity
from rmetrics.ingest.recognise import variant_name
from rmetrics.lake import Lake
from rmetrics.memory import duckdb_limit
from rmetrics.pipeline.compute.compute import Computed, newest_day
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import inbox_files, inbox_name
from rmetrics.pipeline.publication import published_rows
from rmetrics.pipeline.verify.amounts import HINT, large_sums, largest_amounts
from rmetrics.pipeline.verify.month_inputs import MonthInputs
from rmetrics.pipeline.workspace import Opened, opened
from rmetrics.postgres.compare import TableDifferences, published_session, table_differences
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules
from rmetrics.sandbox.connection import duckdb_errors, sandbox
from rmetrics.settings import DEFAULT_MEMORY, Settings, memory_of
from rmetrics.tables import DAILY, MONTHLY, published_tables

_REMEMBERED = "quality"


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """A finding with examples and what to do.

    Attributes:
        kind: what it is about: the two ``engines``, what is ``published``, the ``lake``, or the ``data``.
        rows: how many figures or rows it concerns.
        examples: the first of them.
    """

    code: str
    severity: Severity
    kind: str
    rows: int
    message: str
    advice: str = ""
    examples: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What the checks found, gravest first.

    Attributes:
        engines: figures on which the two engines differ; None where it could not be asked.
        published: rows that differ by table; None where nothing is published or the database was left out.
        run_id: the run that published.
    """

    findings: tuple[CheckFinding, ...]
    engines: int | None
    published: Mapping[str, int] | None
    run_id: str | None

    @property
    def ok(self) -> bool:
        """Whether nothing was found at error level."""
        return not any(f.severity is Severity.ERROR for f in self.findings)


def check(settings: Settings, *, offline: bool = False, progress: Progress = silent) -> CheckResult:
    """Checks a project; changes nothing.

    Args:
        settings: where things are.
        offline: leave the database out.
        progress: is told how far it is.

    Raises:
        RulesError, SettingsError: the rules do not load.
        PostgresError: the database cannot be reached.
    """
    try:
        with opened(settings, progress, thorough=True) as lake:
            return _check(settings, lake, progress, offline=offline)
    except LakeError as error:
        damage = CheckFinding("damaged-file", Severity.ERROR, "lake", 1, error.message, error.hint)
        return CheckResult((damage,), None, None, None)


def _check(settings: Settings, lake: Opened, progress: Progress, *, offline: bool) -> CheckResult:
    found = [CheckFinding(p.code, p.severity, "lake", p.rows, p.message) for p in lake.problems]
    found += _not_landed(settings)
    progress("recomputing with the second engine", 0, 1)
    cross, answers = second_look(lake.lake, lake.rules, lake.computed, memory=memory_of(settings))
    progress("recomputing with the second engine", 1, 1)
    found += _engines(cross)
    found += _too_large(lake)
    tables, run_id = None, None
    if not offline:
        tables, run_id = _published(settings, lake, found, progress)
    found += [_told(a, lake.rules) for a in answers]
    order = list(Severity)
    return CheckResult(tuple(sorted(found, key=lambda f: order.index(f.severity))), cross.count, tables, run_id)


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
    with duckdb_errors("recompute the metrics"):
        connection = sandbox(
            [*(i.path for inputs in typed.values() for i in inputs), daily, monthly],
            temp=lake.root / "duckdb",
            memory_limit=memory_limit,
        )
        try:
            scope = part.scope if part else None
            recompute(connection, typed, rules, scope, newest_day((p.raw for p in computed.placed), rules))
            found = compare(connection, daily, monthly, scope)
            if part is not None:
                return found, []

            def questions() -> list[Answer]:
                return list(ask(connection, rules, exports))

            if explanations is None:
                return found, questions()
            memory = (duckdb.OutOfMemoryException,) if memory_limit else ()
            return found, explanations.of("the questions about the data", questions, [], but=memory)
        finally:
            connection.close()


def _not_landed(settings: Settings) -> Iterator[CheckFinding]:
    """Files of the inbox that no sync has seen."""
    if not settings.inbox_dir.is_dir():
        return
    known = Lake(settings.lake_dir).load_json("inbox").get("files", {})
    new = [
        name
        for path, status in inbox_files(settings.inbox_dir)
        if known.get(name := inbox_name(path, settings.inbox_dir), [None, None])[:2]
        != [status.st_size, status.st_mtime_ns]
    ]
    if new:
        yield CheckFinding(
            "inbox-not-synced",
            Severity.WARNING,
            "lake",
            len(new),
            "files of the inbox are new or changed since the last sync: nothing here knows them yet",
            "Run `rmetrics sync`.",
            tuple({"file": name} for name in new[:5]),
        )


def _engines(cross: CrossCheck) -> Iterator[CheckFinding]:
    if cross.count:
        yield CheckFinding(
            "engines-disagree",
            Severity.ERROR,
            "engines",
            cross.count,
            "figures differ between the two engines: one of them computes them wrong, or a file of the lake is damaged",
            "Run `rmetrics sync --full`; if it stays, report it with your rules.",
            tuple(dataclasses.asdict(m) for m in cross.mismatches[:5]),
        )


def _too_large(lake: Opened) -> Iterator[CheckFinding]:
    large = list(large_sums(lake.computed.rows, published_tables(lake.rules)))
    if large:
        examples = [{"amount": text} for text in largest_amounts(lake.rules, lake.computed)]
        for sums in large:
            yield CheckFinding(
                "amount-too-large", Severity.ERROR, "data", sums.rows, str(sums), f"{HINT}.", tuple(examples)
            )


def _published(
    settings: Settings, lake: Opened, found: list[CheckFinding], progress: Progress
) -> tuple[dict[str, int] | None, str | None]:
    with published_session(settings) as last:
        if last is None:
            told = "nothing is published yet"
            found.append(CheckFinding("unpublished", Severity.INFO, "published", 0, told, "Run `rmetrics sync`."))
            return None, None
        session, run_id, rules_hash = last
        if rules_hash != lake.rules.digest and not any(p.code == "rules-not-synced" for p in lake.problems):
            told = f"what is published (run {run_id}) was computed by other rules than those in {lake.rules.folder}"
            found.append(
                CheckFinding("rules-not-published", Severity.ERROR, "published", 0, told, "Run `rmetrics sync`.")
            )
        tables = published_tables(lake.rules)
        counts = {}
        for i, table in enumerate(tables):
            progress("comparing with PostgreSQL", i, len(tables))
            differences = table_differences(session, table, published_rows(lake.computed.rows, table))
            counts[table.name] = differences.rows
            found += _table(differences)
        progress("comparing with PostgreSQL", len(tables), len(tables))
        return counts, run_id


def _table(differences: TableDifferences) -> Iterator[CheckFinding]:
    if differences.rows:
        yield CheckFinding(
            "published-differs",
            Severity.ERROR,
            "published",
            differences.rows,
            f"rows of {differences.table} in PostgreSQL are not what is computed",
            "Run `rmetrics sync --full`, which writes what is computed; and see who writes to the database.",
            tuple(
                {"key": d.key, "column": d.column, "computed": d.lake, "published": d.postgres}
                for d in differences.examples[:5]
            ),
        )


def _told(answer: Answer, rules: Rules) -> CheckFinding:
    asked = answer.question
    if answer.broken:
        index = [c.name for c in rules.checks].index(asked.code)
        told = f"the check {asked.code} ({rules.place(f'checks.{index}.sql')}) cannot run: {answer.broken}"
        return CheckFinding(asked.code, Severity.ERROR, "data", 0, told, "Correct its sql.")
    return CheckFinding(asked.code, asked.severity, "data", answer.rows, asked.message, asked.advice, answer.examples)


# -- as part of a sync


def quality_findings(lake: Lake, rules: Rules, inputs: str, answers: Sequence[Answer]) -> tuple[Finding, ...]:
    """The answers as a sync tells them; kept, so that a sync that changes nothing can tell them, too."""
    told = [_told(a, rules) for a in answers]
    findings = [Finding(t.code, t.severity, _line(t), t.rows) for t in told]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    lake.save_json(_REMEMBERED, {"inputs": inputs, "on": today, "findings": [dataclasses.asdict(f) for f in findings]})
    return tuple(findings)


def remembered_findings(lake: Lake, inputs: str) -> tuple[Finding, ...]:
    """What the last look at everything said of the data; with its day, where exports have come since."""
    kept: Mapping[str, Any] = lake.load_json(_REMEMBERED)
    found = tuple(Finding(**{**f, "severity": Severity(f["severity"])}) for f in kept.get("findings", []))
    if kept.get("inputs") == inputs:
        return found
    return tuple(dataclasses.replace(f, message=f"{f.message} (as of {kept.get('on', 'before')})") for f in found)


def _line(finding: CheckFinding) -> str:
    if not finding.rows:
        return finding.message
    first = ", ".join(f"{k} {v}" for k, v in finding.examples[0].items()) if finding.examples else ""
    return f"{finding.message} ({finding.rows:,}; first: {first}); see `rmetrics check`"
