"""``rmetrics rejected``: the rows that could not be read, with place and reason, and reading them again."""

from collections.abc import Callable
from dataclasses import dataclass

from rmetrics.errors import SettingsError
from rmetrics.ingest.read import PROBLEM, TEXT
from rmetrics.ingest.recognise import read_as
from rmetrics.opening import open_project
from rmetrics.pipeline.landing.exported import exported_records
from rmetrics.pipeline.landing.quarantine import MASK, RejectedRow, private_headers, quarantine
from rmetrics.pipeline.summary import SyncResult
from rmetrics.pipeline.workspace import landed
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class RejectedText:
    """A rejected row as written in its export.

    Attributes:
        cells: by header; ``MASK`` if the column is private or unmapped, unless revealed.
        text: the raw record, if it could not be split into cells.
        masked: whether anything was masked.
    """

    row: RejectedRow
    cells: dict[str, str | None]
    text: str | None
    masked: bool


def rejected_rows(settings: Settings, *, reveal: bool = False) -> tuple[RejectedRow, ...]:
    """Returns every row in quarantine, oldest export first.

    Args:
        settings: of the project.
        reveal: also show values of private columns.

    Raises:
        LakeError, RulesError, SettingsError: see ``workspace.landed``.
    """
    project = open_project(settings)
    lake, rules, placed = project.lake, project.rules, landed(project)
    return tuple(quarantine(lake, rules, placed, reveal=reveal))


def rejected_text(settings: Settings, row_id: str, *, reveal: bool = False) -> RejectedText:
    """Returns a rejected row as written in its export.

    Raises:
        SettingsError: there is no such row.
        LakeError: the export cannot be read.
    """
    project = open_project(settings)
    lake, rules, placed = project.lake, project.rules, landed(project)
    matching = [r for r in quarantine(lake, rules, placed, reveal=reveal) if r.id == row_id]
    if not matching:
        raise SettingsError(f"no rejected row has the id {row_id!r}", "For the IDs, run: rmetrics rejected list")
    row = matching[0]
    raw = next(p.raw for p in placed if p.raw.sha256.startswith(row_id.rpartition("-")[0]) and p.raw.name == row.file)
    found = exported_records(lake, raw, [row.line]).row(0, named=True)
    private = private_headers(raw, read_as(rules.feeds[row.feed], raw.headers, raw.name))
    if found[PROBLEM] is not None:
        text = found[TEXT]
        return RejectedText(row, {}, text if reveal else MASK, masked=not reveal)
    cells = {h: found[h] if reveal or h not in private or not found[h] else MASK for h in raw.headers}
    return RejectedText(row, cells, None, masked=MASK in cells.values())


@dataclass(frozen=True, slots=True)
class RetryResult:
    """Result of a retry: the rows that are read now, those that are still rejected, and its sync."""

    taken: tuple[RejectedRow, ...]
    still: tuple[RejectedRow, ...]
    sync: SyncResult


def retry_rejected(settings: Settings, sync: Callable[[], SyncResult]) -> RetryResult:
    """Reads the rejected rows again, with the current rules and files of the inbox.

    Args:
        settings: of the project.
        sync: runs a sync of it.

    Raises:
        RmetricsError: any error of a sync.
    """
    before = rejected_rows(settings)
    result = sync()
    after = rejected_rows(settings)
    still = {r.id for r in after}
    return RetryResult(tuple(r for r in before if r.id not in still), after, result)
