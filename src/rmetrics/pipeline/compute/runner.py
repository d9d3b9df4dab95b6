"""What else may compute: a cluster in the place of this machine."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rmetrics.checks.compare import CrossCheck
from rmetrics.checks.recompute import TypedInput
from rmetrics.lake import Lake, RawFile
from rmetrics.pipeline.compute.local import Tables
from rmetrics.pipeline.compute.rows import Typed
from rmetrics.pipeline.landing.spread import Arrival, Landed
from rmetrics.progress import Progress
from rmetrics.rules import Rules
from rmetrics.settings import Settings


class Runner(Protocol):
    """Computes everything, and computes it again with the second engine; somewhere else, with the same outcome."""

    def land(
        self, settings: Settings, lake: Lake, rules: Rules, tasks: Sequence[Sequence[Arrival]]
    ) -> Iterator[Landed]:
        """Lands files of the inbox, some to a task; nothing of it is in force."""

    def retype(self, lake: Lake, rules: Rules, tasks: Sequence[Sequence[tuple[RawFile, str]]]) -> Iterator[Landed]:
        """Types exports again, some to a task; nothing of it is in force."""

    def compute_all(
        self, lake: Lake, rules: Rules, typed: Typed, progress: Progress, *, most: int, newest_day: dt.date | None
    ) -> Tables:
        """Does what ``local.compute_all`` does."""

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
