"""The entry point from the commands to this package: computes on Spark."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmetrics.checks.compare import CrossCheck
from rmetrics.checks.recompute import TypedInput
from rmetrics.errors import EngineError
from rmetrics.lake import Lake, RawFile
from rmetrics.pipeline.compute.local import Tables
from rmetrics.pipeline.compute.names import tables
from rmetrics.pipeline.compute.rows import Typed
from rmetrics.pipeline.landing.bucket_inbox import InboxAt
from rmetrics.pipeline.landing.spread import PendingFile, TaskResult
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules

if TYPE_CHECKING:
    from rmetrics.spark.engine import SparkEngine


@contextlib.contextmanager
def open_spark(master: str, folder: Path) -> "Iterator[SparkRunner]":
    """Yields a runner on Spark.

    Spark starts only when something must be computed: most runs find everything up to date.

    Args:
        master: Spark's, or the address of a Spark Connect server.
        folder: for Spark's temporary files.
    """
    with contextlib.ExitStack() as stack:
        yield SparkRunner(master, folder, stack)


class SparkRunner:
    """Computes on Spark; see ``pipeline.compute.runner.Runner``."""

    def __init__(self, master: str, folder: Path, stack: contextlib.ExitStack) -> None:
        self._master, self._folder, self._stack = master, folder, stack
        self._session: Any = None

    def land(
        self, inbox: InboxAt, lake: Lake, rules: Rules, tasks: Sequence[Sequence[PendingFile]]
    ) -> Iterator[TaskResult]:
        """Lands files of the inbox on executors.

        Raises:
            EngineError, SettingsError, LakeError: Spark, the inbox or the lake cannot be used.
        """
        from rmetrics.spark.exports import landed_on

        return landed_on(self.engine(silent), inbox, lake, rules, tasks)

    def retype(self, lake: Lake, rules: Rules, tasks: Sequence[Sequence[tuple[RawFile, str]]]) -> Iterator[TaskResult]:
        """Types exports again on executors.

        Raises:
            EngineError, SettingsError, LakeError: Spark or the lake cannot be used.
        """
        from rmetrics.spark.exports import typed_on

        return typed_on(self.engine(silent), lake, rules, tasks)

    def compute_all(
        self, lake: Lake, rules: Rules, typed: Typed, progress: Progress, *, max_rows: int, newest_day: dt.date | None
    ) -> Tables:
        """Computes every table.

        Raises:
            EngineError, SettingsError: Spark cannot be used; nothing it computed is in force.
        """
        from rmetrics.spark.plan import compute_on

        engine = self.engine(progress)
        largest = max((sum(f.rows for f, _ in typed.get(name, ())) for name in rules.feeds), default=0)
        buckets = engine.buckets(largest, max_rows)
        made = compute_on(engine, lake, rules, typed, progress, buckets=buckets, newest_day=newest_day)
        if missing := set(tables(rules)) - set(made):
            raise EngineError(
                f"these rules use features that Spark does not support yet: {', '.join(sorted(missing))}",
                "Compute on one machine (RMETRICS_ENGINE=local), or remove these rules.",
            )
        return made

    def cross_check(
        self,
        lake: Lake,  # noqa: ARG002 - the files name their places
        typed: Mapping[str, Sequence[TypedInput]],
        metrics: tuple[Path, Path],
        rules: Rules,
        newest_day: dt.date | None,
    ) -> CrossCheck:
        """Recomputes the figures of days and months in Spark SQL.

        Raises:
            EngineError, SettingsError: Spark cannot be used; the figures remain unchecked.
        """
        session = self.session(None)
        from rmetrics.spark.second import cross_check_on

        daily, monthly = metrics
        return cross_check_on(session, typed, daily, monthly, rules, newest_day)

    def engine(self, progress: Progress) -> "SparkEngine":
        """Returns an engine on the session.

        Raises:
            EngineError, SettingsError: Spark cannot be used.
        """
        session = self.session(progress)
        from rmetrics.spark.engine import SparkEngine

        return SparkEngine(session)

    def session(self, progress: Progress | None) -> Any:
        """Returns the session, starting it if necessary.

        Raises:
            EngineError, SettingsError: Spark cannot be used.
        """
        if self._session is None:
            from rmetrics.spark.session import started

            if progress is not None:
                progress("starting Spark", 0, 1)
            self._session = self._stack.enter_context(started(self._master, self._folder.resolve()))
            if progress is not None:
                progress("starting Spark", 1, 1)
        return self._session


__all__ = ["SparkRunner", "open_spark"]
