"""The interface for computing elsewhere: on a cluster instead of this machine."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rmetrics.checks.compare import CrossCheck
from rmetrics.checks.recompute import TypedInput
from rmetrics.lake import Lake, RawFile
from rmetrics.pipeline.compute.local import Tables
from rmetrics.pipeline.compute.rows import Typed
from rmetrics.pipeline.landing.bucket_inbox import InboxAt
from rmetrics.pipeline.landing.spread import PendingFile, TaskResult
from rmetrics.progress import Progress
from rmetrics.rules import Rules


class Runner(Protocol):
    """Runs full computations and cross-checks elsewhere, with the same results."""

    def land(
        self, inbox: InboxAt, lake: Lake, rules: Rules, tasks: Sequence[Sequence[PendingFile]]
    ) -> Iterator[TaskResult]:
        """Lands files of the inbox, some per task; none is in force yet."""

    def retype(self, lake: Lake, rules: Rules, tasks: Sequence[Sequence[tuple[RawFile, str]]]) -> Iterator[TaskResult]:
        """Types exports again, some per task; none is in force yet."""

    def compute_all(
        self, lake: Lake, rules: Rules, typed: Typed, progress: Progress, *, max_rows: int, newest_day: dt.date | None
    ) -> Tables:
        """Does the work of ``local.compute_all``."""

    def cross_check(
        self,
        lake: Lake,
        typed: Mapping[str, Sequence[TypedInput]],
        metrics: tuple[Path, Path],
        rules: Rules,
        newest_day: dt.date | None,
    ) -> CrossCheck:
        """Recomputes all figures from the typed files, and compares them with those in two files: days and months."""


__all__ = ["Runner"]
