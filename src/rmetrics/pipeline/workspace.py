"""The lake under the rules in force, opened for reading by explain, check, sql and rejected.

Nothing here writes to the lake. If it is up to date and undamaged, it is used as it is. If rules were edited, or a
computed file is missing or damaged, everything is computed in a scratch folder, and ``problems`` gives the reason.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.checks.recompute import TypedInput
from rmetrics.errors import LakeError
from rmetrics.findings import Finding, Severity, count
from rmetrics.lake import Lake, RawFile
from rmetrics.lake.scratch import scratch_lake
from rmetrics.lake.snapshot import Snapshot, load
from rmetrics.pipeline.compute.compute import Computed, compute, inputs_digest, last_computed
from rmetrics.pipeline.compute.last import old_rules
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.landing.losses import lost_error, lost_exports
from rmetrics.pipeline.landing.placement import PlacedExport, place
from rmetrics.pipeline.project import Project
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules
from rmetrics.rules.companies import require_company
from rmetrics.rules.edits import rule_edits


@dataclass(frozen=True, slots=True)
class Workspace:
    """A lake computed under the rules in force.

    Attributes:
        lake: holds the files; a scratch lake if the project's own is not up to date.
        computed: the exports used and their typed files.
        problems: why the project's own lake could not be used as it is; error level.
    """

    lake: Lake
    rules: Rules
    computed: Computed
    problems: tuple[Finding, ...] = ()

    @property
    def typed(self) -> dict[str, list[TypedInput]]:
        """The typed files as input for the second engine."""
        return typed_inputs(self.lake, self.computed.typed)

    @property
    def exports(self) -> dict[int, RawFile]:
        """The exports by rank, which rows carry as ``_file``."""
        return {p.rank: p.raw for p in self.computed.placed}


def landed(project: Project, *, thorough: bool = False) -> list[PlacedExport]:
    """Returns the exports in the lake, placed under the rules in force.

    Args:
        project: the project, or one of its companies.
        thorough: read every landed file, not only those whose size or time changed.

    Raises:
        RulesError: the rules are those of a group, of which a company must be named.
        LakeError: nothing landed yet, or a landed export is damaged or gone; names the file and the export to put back.
    """
    lake, rules = project.lake, project.rules
    require_company(rules)
    sound, damaged = lake.examine_raw(thorough=thorough)
    if lost := lost_exports(lake, sound, damaged):
        raise lost_error(lost)
    placed, _ = place(sound, rules)
    if not placed:
        raise LakeError(
            f"no export has landed in {lake.place} yet",
            f"Put your exports into {project.inbox} and run: rmetrics sync",
        )
    return placed


@contextlib.contextmanager
def opened(project: Project, progress: Progress = silent, *, thorough: bool = False) -> Iterator[Workspace]:
    """Opens the lake for reading, under the rules in force.

    Args:
        project: the project, or one of its companies.
        progress: receives progress reports.
        thorough: check the content of every file, not only of those whose size or time changed.

    Yields:
        The lake with its computation, or a scratch lake computed now.

    Raises:
        LakeError: nothing landed yet, or a landed export is damaged or gone; names the file and the export to put back.
        RulesError: the rules are those of a group, of which a company must be named.
    """
    progress("verifying the lake", 0, 1)
    lake, rules, placed = project.lake, project.rules, landed(project, thorough=thorough)
    progress("verifying the lake", 1, 1)
    computed = load(lake)
    problems = [
        *_stale(lake, computed, rules, placed),
        *_damaged(lake, computed, rules, placed, thorough=thorough),
    ]
    if not problems:
        yield Workspace(lake, rules, last_computed(lake, rules, lake.raw_files()))
        return
    with scratch_lake(lake, results=False) as scratch:
        yield Workspace(scratch, rules, compute(scratch, rules, progress, memory=project.memory), tuple(problems))


def _stale(lake: Lake, computed: Snapshot, rules: Rules, placed: list[PlacedExport]) -> Iterator[Finding]:
    """Yields a finding if the computed files come from other rules, exports or versions than those in force."""
    if computed.inputs == inputs_digest(placed, rules):
        return
    before = computed.rules
    if before in ("", rules.digest):
        message = (
            "the lake was not computed from these exports by this version (exports have landed, or were withdrawn or "
            "restored since the last sync); run `rmetrics sync`"
        )
        yield Finding("not-synced", Severity.ERROR, message, 0)
        return
    old = old_rules(lake, before, rules)
    edits = "; ".join(str(e) for e in (rule_edits(old, rules) if old else ())[:3]) or f"see {rules.folder}"
    message = (
        f"rules were edited after the last sync ({edits}): the figures here follow the edited rules, the published "
        "ones do not yet; see `rmetrics plan`, then run `rmetrics sync`"
    )
    yield Finding("rules-not-synced", Severity.ERROR, message, 0)


def _damaged(
    lake: Lake, computed: Snapshot, rules: Rules, placed: list[PlacedExport], *, thorough: bool
) -> Iterator[Finding]:
    """Yields findings about computed files that are missing or fail their checksums."""
    corrupt = list(computed.damaged() if thorough else computed.altered())
    missing = []
    for item in placed:
        typed = lake.typed_file(*item.key)
        if typed is None:
            missing.append(item.raw.name)
        elif not lake.typed_is_intact(typed, used=thorough):
            corrupt.append(f"{lake.typed.name}/{typed.name}")
    if missing and computed.inputs == inputs_digest(placed, rules):
        many = count(len(missing), "export")
        message = f"the typed rows of {many} are missing, first {missing[0]}; run `rmetrics sync --full`"
        yield Finding("missing-file", Severity.ERROR, message, len(missing))
    for name in dict.fromkeys(corrupt):
        what = "is damaged: its checksum does not match" if lake.store.head(name) else "is missing"
        place = lake.store.shown(name)
        message = f"{place} {what}; delete it and run `rmetrics sync --full`, which rebuilds it from the exports"
        yield Finding("damaged-file", Severity.ERROR, message, 1)
