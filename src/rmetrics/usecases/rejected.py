"""``rmetrics rejected``: the rows that could not be read, where each stands and why, and reading them again."""

from collections.abc import Callable
from dataclasses import dataclass

from rmetrics.errors import SettingsError
from rmetrics.ingest.read import PROBLEM, TEXT
from rmetrics.ingest.recognise import read_as
from rmetrics.pipeline.landing.exported import exported_records
from rmetrics.pipeline.landing.quarantine import MASK, RejectedRow, private_headers, quarantine
from rmetrics.pipeline.summary import SyncResult
from rmetrics.pipeline.workspace import landed
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class RejectedText:
    """A rejected row as it stands in its export.

    Attributes:
        cells: by header; ``MASK`` where the column is private or unmapped, unless they were asked for.
        text: the record as it stands, where it could not be cut into cells.
        masked: whether anything was masked.
    """

    row: RejectedRow
    cells: dict[str, str | None]
    text: str | None
    masked: bool


def rejected_rows(settings: Settings, *, reveal: bool = False) -> tuple[RejectedRow, ...]:
    """Every row in quarantine, oldest export first.

    Args:
        settings: where the lake and the rules are.
        reveal: show values of private columns, too.

    Raises:
        LakeError, RulesError, SettingsError: see ``opened.landed``.
    """
    lake, rules, placed = landed(settings)
    return tuple(quarantine(lake, rules, placed, reveal=reveal))


def rejected_text(settings: Settings, row_id: str, *, reveal: bool = False) -> RejectedText:
    """A rejected row as it stands in its export.

    Raises:
        SettingsError: there is no such row.
        LakeError: the export cannot be read.
    """
    lake, rules, placed = landed(settings)
    matching = [r for r in quarantine(lake, rules, placed, reveal=reveal) if r.id == row_id]
    if not matching:
        raise SettingsError(f"no rejected row has the id {row_id!r}", "See the ids: rmetrics rejected list")
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
    """What a retry did: the rows that are read now, those that are still rejected, and the sync behind it."""

    taken: tuple[RejectedRow, ...]
    still: tuple[RejectedRow, ...]
    sync: SyncResult


def retry_rejected(settings: Settings, sync: Callable[[], SyncResult]) -> RetryResult:
    """Reads the rejected rows again, with the rules and the files of the inbox as they are now.

    Args:
        settings: of the project.
        sync: runs a sync of it.

    Raises:
        RmetricsError: whatever a sync raises.
    """
    before = rejected_rows(settings)
    result = sync()
    after = rejected_rows(settings)
    still = {r.id for r in after}
    return RetryResult(tuple(r for r in before if r.id not in still), after, result)
