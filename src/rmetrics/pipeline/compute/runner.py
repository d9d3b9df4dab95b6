"""What else may compute: a cluster in the place of this machine."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rmetrics.checks.compare import CrossCheck
from rmetrics.checks.recompute import TypedInput
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.local import Tables
from rmetrics.pipeline.compute.rows import Typed
from rmetrics.progress import Progress
from rmetrics.rules import Rules


class Runner(Protocol):
    """Computes everything, and computes it again with the second engine; somewhere else, with the same outcome."""

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
