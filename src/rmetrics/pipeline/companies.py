"""One company of a group, computed in a task of a cluster: from its inbox to figures both engines agree on.

Nothing is in force when a task ends: it returns its records, and the process that runs the tasks writes them and
publishes (``pipeline.group``).
"""

import datetime as dt
import io
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from rmetrics.errors import BusyError, CheckError, EngineError, LakeError, RmetricsError, SettingsError, of_the_system
from rmetrics.findings import Finding
from rmetrics.lake.snapshot import sweep
from rmetrics.lake.staged import open_staged
from rmetrics.pipeline.compute.desired import published_rows
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import inbox_files
from rmetrics.pipeline.prepared import prepare
from rmetrics.pipeline.project import Places, Project
from rmetrics.pipeline.publication import run_of
from rmetrics.pipeline.summary import FileResult
from rmetrics.pipeline.verify.amounts import refuse_large_sums
from rmetrics.pipeline.verify.cross_check import agree
from rmetrics.postgres.publish.group import TABLES
from rmetrics.postgres.run_log import Attempt, Run
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.tables import published_tables

_KINDS = (BusyError, CheckError, EngineError, LakeError, SettingsError)
LARGE = 512 * 2**20  # bytes of exports; a company with more is cut into buckets instead of being one task


@dataclass(frozen=True, slots=True)
class CompanyWork:
    """A company to compute.

    Attributes:
        places: its own, with absolute paths and without the DSN.
        published: the digest of what its published figures depend on; empty if none are published.
        large: limit in bytes of exports; a company above it is skipped.
    """

    name: str
    places: Places
    run_id: str
    started_at: dt.datetime
    published: str = ""
    full: bool = False
    force: bool = False
    large: int = LARGE


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason a company could not be computed: kind, message and hint of the error."""

    kind: str
    message: str
    hint: str

    @property
    def error(self) -> RmetricsError:
        """The error."""
        kinds = {kind.__name__: kind for kind in _KINDS}
        return kinds.get(self.kind, RmetricsError)(self.message, self.hint)


@dataclass(frozen=True, slots=True)
class ComputedCompany:
    """The outcome for a company.

    Attributes:
        records: the new content of its lake's records; see ``lake.staged``.
        files: of its inbox.
        findings: those before both engines were compared.
        run: the entry for the run log.
        agreed: the result of comparing both engines; None if nothing published changes, which skips this.
        rows: the desired rows of the group's tables, by name of the company's table, as Arrow files; none if ``agreed``
            is None.
        failure: why there are no figures; None if there are.
        large: whether it has too many exports for one task, and was skipped.
    """

    name: str
    records: Mapping[str, bytes | None] = field(default_factory=dict)
    files: tuple[FileResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    run: Run | None = None
    agreed: tuple[str, tuple[Finding, ...]] | None = None
    rows: Mapping[str, bytes] = field(default_factory=dict)
    failure: Failure | None = None
    large: bool = False
    seconds: float = 0.0

    def frames(self) -> dict[str, pl.DataFrame]:
        """Returns the rows for the group's tables."""
        return {name: pl.read_ipc(io.BytesIO(content)) for name, content in self.rows.items()}


def make_company(work: CompanyWork, rules_folder: Path, own: Path) -> ComputedCompany:
    """Computes a company.

    Returns any error, even a bug of ours, as part of the result, because it must not stop the other companies.

    Args:
        work: the company to compute; the caller holds the lock of its lake.
        rules_folder: a copy of the group's rules.
        own: a folder of this task alone, discarded afterwards.
    """
    os.umask(0o077)
    clock = time.monotonic()
    places = work.places
    if places.inbox.url is not None:
        places = replace(places, inbox=replace(places.inbox, folder=own / "inbox"))
    shown = {
        str(own / "lake"): places.lake.url or str(places.lake.root),
        str(rules_folder): str(places.rules_dir),
    }
    records: Mapping[str, bytes | None] = {}
    try:
        lake, store = open_staged(places.lake, own / "lake")
        records = store.written
        made = _made(work, Project(places, lake, load_rules(rules_folder, work.name)))
    except Exception as error:  # noqa: BLE001 - see above
        made = ComputedCompany(work.name, failure=_failure(error, shown))
    return ComputedCompany(
        made.name, dict(records), made.files, made.findings, made.run, made.agreed, made.rows, made.failure, made.large,
        time.monotonic() - clock,
    )  # fmt: skip


def _made(work: CompanyWork, project: Project) -> ComputedCompany:
    lake, rules = project.lake, project.rules
    if sum(status.st_size for _, status in inbox_files(project.inbox.open())) > work.large:
        return ComputedCompany(work.name, large=True)
    lake.sweep()
    sweep(lake)
    why, timings = Explanations(), dict[str, float]()
    prepared = prepare(project, silent, timings, why, full=work.full, force=work.force)
    computed = prepared.computed
    attempt = Attempt(work.run_id, work.started_at, rules.digest)
    run = run_of(attempt, rules, computed, prepared.seen, why)
    agreed, rows = None, dict[str, bytes]()
    if run.inputs != work.published or work.full:
        tables = published_tables(rules)
        refuse_large_sums(rules, computed, tables, published=work.published)
        agreed = agree(project, computed, silent, why)
        rows = {t.name: _arrow(published_rows(computed.rows, t).collect()) for t in tables if t.name in TABLES}
    findings = (*prepared.findings, *why.failed)
    return ComputedCompany(work.name, {}, prepared.files, findings, run, agreed, rows)


def _arrow(rows: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    rows.write_ipc(content, compression="zstd")
    return content.getvalue()


def _failure(error: Exception, shown: Mapping[str, str]) -> Failure:
    """Describes an error with places the user knows; of a bug only the kind, because its text may quote rows."""
    known = error if isinstance(error, RmetricsError) else of_the_system(error)
    if known is None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f", {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        return Failure(
            "RmetricsError",
            f"a bug in rmetrics ({type(error).__name__}{where})",
            "For details, run this company alone (RMETRICS_COMPANY=... RMETRICS_ENGINE=local rmetrics sync); please "
            "report it.",
        )
    message, hint = known.message, known.hint
    for remote, local in shown.items():
        message, hint = message.replace(remote, local), hint.replace(remote, local)
    return Failure(type(known).__name__, message, hint)


__all__ = ["LARGE", "CompanyWork", "ComputedCompany", "Failure", "make_company"]
