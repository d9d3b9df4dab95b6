"""``rmetrics check``: whether both engines agree, PostgreSQL holds the computed rows, and the data is plausible."""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rmetrics.checks.compare import CrossCheck
from rmetrics.errors import LakeError
from rmetrics.findings import Severity
from rmetrics.lake.snapshot import load
from rmetrics.opening import open_project, open_runner
from rmetrics.pipeline.compute.desired import published_rows
from rmetrics.pipeline.compute.runner import Runner
from rmetrics.pipeline.forecasts import estimates_differing
from rmetrics.pipeline.landing.inbox import inbox_files, inbox_name
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.verify.amounts import HINT, large_sums, largest_amounts
from rmetrics.pipeline.verify.cross_check import cross_check
from rmetrics.pipeline.verify.leads import lead_files
from rmetrics.pipeline.verify.quality import CheckFinding, finding_of
from rmetrics.pipeline.workspace import Workspace, opened
from rmetrics.postgres.compare import TableDifferences, published_session, table_differences
from rmetrics.postgres.connection import Session
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.publish import published
from rmetrics.progress import Progress, silent
from rmetrics.settings import Settings
from rmetrics.tables import published_tables

Published = Mapping[tuple[str, str, dt.date], tuple[Decimal | None, ...]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Findings of the checks, most severe first.

    Attributes:
        engines: number of figures on which the two engines differ; None if they could not be compared.
        published: number of differing rows by table; None if nothing is published or the database was left out.
        run_id: the run that published.
    """

    findings: tuple[CheckFinding, ...]
    engines: int | None
    published: Mapping[str, int] | None
    run_id: str | None

    @property
    def ok(self) -> bool:
        """True if no finding is an error."""
        return not any(f.severity is Severity.ERROR for f in self.findings)


def check(settings: Settings, *, offline: bool = False, progress: Progress = silent) -> CheckResult:
    """Checks a project; changes nothing.

    Args:
        settings: of the project.
        offline: leave the database out.
        progress: receives progress reports.

    Raises:
        RulesError, SettingsError: the rules do not load.
        PostgresError: the database cannot be reached.
    """
    try:
        project = open_project(settings)
        with opened(project, progress, thorough=True) as lake, open_runner(settings) as runner:
            return _check(project, lake, progress, runner, offline=offline)
    except LakeError as error:
        damage = CheckFinding("damaged-file", Severity.ERROR, "lake", 1, error.message, error.hint)
        return CheckResult((damage,), None, None, None)


def _check(
    project: Project, lake: Workspace, progress: Progress, runner: Runner | None, *, offline: bool
) -> CheckResult:
    found = [CheckFinding(p.code, p.severity, "lake", p.rows, p.message) for p in lake.problems]
    found += _not_landed(project)
    progress("recomputing with the second engine", 0, 1)
    runner = runner if lake.lake.root == project.lake.root else None  # executors cannot see a scratch lake
    with lead_files(lake.lake, lake.computed.rows) as leads:
        cross, answers = cross_check(
            lake.lake, lake.rules, lake.computed, memory=project.memory, runner=runner, leads=leads
        )
    progress("recomputing with the second engine", 1, 1)
    found += _engines(cross)
    found += _too_large(lake)
    there = None if offline else _published(project, lake, found, progress)
    found += _forecasts(lake, there.estimates if there else None)
    found += [finding_of(a, lake.rules) for a in answers]
    order = list(Severity)
    return CheckResult(
        tuple(sorted(found, key=lambda f: order.index(f.severity))),
        cross.count,
        there.tables if there else None,
        there.run_id if there else None,
    )


def _not_landed(project: Project) -> Iterator[CheckFinding]:
    """Yields a finding for files of the inbox that no sync has read."""
    inbox = project.inbox.open()
    if isinstance(inbox, Path) and not inbox.is_dir():
        return
    known = project.lake.load_json("inbox").get("files", {})
    new = [
        name
        for path, status in inbox_files(inbox, known)
        if known.get(name := inbox_name(path, inbox), [None, None])[:2] != [status.st_size, status.st_mtime_ns]
    ]
    if new:
        yield CheckFinding(
            "inbox-not-synced",
            Severity.WARNING,
            "lake",
            len(new),
            "files in the inbox are new or changed since the last sync and are not included here",
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
            "figures differ between the two engines: one of them is wrong, or a file of the lake is damaged",
            "Run `rmetrics sync --full`; if the difference remains, report it with your rules.",
            tuple(dataclasses.asdict(m) for m in cross.mismatches[:5]),
        )


def _too_large(lake: Workspace) -> Iterator[CheckFinding]:
    large = list(large_sums(lake.computed.rows, published_tables(lake.rules)))
    if large:
        examples = [{"amount": text} for text in largest_amounts(lake.rules, lake.computed)]
        for sums in large:
            yield CheckFinding(
                "amount-too-large", Severity.ERROR, "data", sums.rows, str(sums), f"{HINT}.", tuple(examples)
            )


@dataclass(frozen=True, slots=True)
class _There:
    """The published tables compared with the lake.

    Attributes:
        tables: the number of differing rows by table.
        run_id: the run that published them.
        estimates: the published forecasts; None if they belong to other exports.
    """

    tables: dict[str, int]
    run_id: str
    estimates: Published | None


def _published(project: Project, lake: Workspace, found: list[CheckFinding], progress: Progress) -> _There | None:
    """Compares the published tables with the lake; None if nothing is published."""
    with published_session(project.database) as last:
        if last is None:
            message = "nothing is published yet"
            found.append(CheckFinding("unpublished", Severity.INFO, "published", 0, message, "Run `rmetrics sync`."))
            return None
        session, run_id = last.session, last.run_id
        if last.rules_hash != lake.rules.digest and not any(p.code == "rules-not-synced" for p in lake.problems):
            message = (
                f"the published figures (run {run_id}) were computed by rules other than those in {lake.rules.folder}"
            )
            found.append(
                CheckFinding("rules-not-published", Severity.ERROR, "published", 0, message, "Run `rmetrics sync`.")
            )
        tables = published_tables(lake.rules)
        counts = {}
        for i, table in enumerate(tables):
            progress("comparing with PostgreSQL", i, len(tables))
            differences = table_differences(session, table, published_rows(lake.computed.rows, table))
            counts[table.name] = differences.rows
            found += _table(differences)
        progress("comparing with PostgreSQL", len(tables), len(tables))
        # Estimates belong to the exports of the last publish: with newer exports they would differ anyway.
        same = published(session, []).inputs == load(lake.lake).inputs and has_all(session, ["forecasts"])
        return _There(counts, run_id, _estimates(session) if same else None)


def _estimates(session: Session) -> Published:
    rows = session.query("SELECT source, measure, date, value::text, low::text, high::text FROM forecasts")
    return {
        (source, measure, day): tuple(None if v is None else Decimal(v) for v in values)
        for source, measure, day, *values in rows
    }


def _forecasts(lake: Workspace, published: Published | None) -> Iterator[CheckFinding]:
    """Yields a finding for estimates that differ from a second computation on the same days."""
    wrong = estimates_differing(lake.computed, lake.rules, published)
    if wrong:
        yield CheckFinding(
            "forecast-differs",
            Severity.ERROR,
            "engines",
            len(wrong),
            "estimates of the month's end differ from a second computation over the same days",
            "Run `rmetrics sync --full`, which writes them again; if the difference remains, report it.",
            tuple({"estimate": line} for line in wrong[:5]),
        )


def _table(differences: TableDifferences) -> Iterator[CheckFinding]:
    if differences.rows:
        yield CheckFinding(
            "published-differs",
            Severity.ERROR,
            "published",
            differences.rows,
            f"rows of {differences.table} in PostgreSQL differ from the computed rows",
            "Run `rmetrics sync --full`, which writes the computed rows, and find out who else writes to the database.",
            tuple(
                {"key": d.key, "column": d.column, "computed": d.lake, "published": d.postgres}
                for d in differences.examples[:5]
            ),
        )
