"""Taking in rejected rows once their rule or their file is mended."""

from dataclasses import dataclass

from rmetrics.findings import SyncResult
from rmetrics.pipeline.landing.quarantine import RejectedRow, rejected_rows
from rmetrics.progress import Progress, silent
from rmetrics.settings import Settings
from rmetrics.usecases.sync import sync


@dataclass(frozen=True, slots=True)
class RetryResult:
    """What a retry did: the rows that are read now, those that are still rejected, and the sync behind it."""

    taken: tuple[RejectedRow, ...]
    still: tuple[RejectedRow, ...]
    sync: SyncResult


def retry_rejected(settings: Settings, progress: Progress = silent) -> RetryResult:
    """Reads the rejected rows again, with the rules and the files of the inbox as they are now: a sync that says so.

    Raises:
        RmetricsError: whatever a sync raises.
    """
    before = rejected_rows(settings)
    result = sync(settings, progress=progress)
    after = rejected_rows(settings)
    still = {r.id for r in after}
    return RetryResult(tuple(r for r in before if r.id not in still), after, result)
