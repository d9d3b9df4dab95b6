"""Landing and typing as a map over exports: one task for each large export, or for several small ones."""

import functools
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from rmetrics.lake import Lake, LakeAt, RawFile
from rmetrics.lake.staged import open_staged
from rmetrics.pipeline.landing.bucket_inbox import InboxAt
from rmetrics.pipeline.landing.spread import PendingFile, TaskResult, land_batch, type_batch
from rmetrics.rules import Rules
from rmetrics.spark.tasks import Tasks

_SCHEMA: dict[str, pl.DataType] = {"made": pl.Binary()}
Exports = Sequence[tuple[RawFile, str]]


@dataclass(frozen=True, slots=True)
class _Where:
    """Context of every task."""

    at: LakeAt
    rules: Rules
    inbox: InboxAt | None = None


def landed_on(
    engine: Tasks, inbox: InboxAt, lake: Lake, rules: Rules, tasks: Sequence[Sequence[PendingFile]]
) -> Iterator[TaskResult]:
    """Lands files of the inbox on executors; see ``Runner.land``.

    Raises:
        EngineError, SettingsError, LakeError: Spark, the inbox or the lake cannot be used; nothing is in force.
    """
    step = functools.partial(_land, where=_Where(lake.at, rules, inbox.here()))
    return map(pickle.loads, engine.collected(engine.each(tasks, step, _SCHEMA), _SCHEMA)["made"])


def typed_on(engine: Tasks, lake: Lake, rules: Rules, tasks: Sequence[Exports]) -> Iterator[TaskResult]:
    """Types exports again on executors; see ``Runner.retype``.

    Raises:
        EngineError, SettingsError, LakeError: Spark or the lake cannot be used; nothing is in force.
    """
    step = functools.partial(_type, where=_Where(lake.at, rules))
    return map(pickle.loads, engine.collected(engine.each(tasks, step, _SCHEMA), _SCHEMA)["made"])


# -- on an executor


def _land(arrivals: Sequence[PendingFile], where: _Where) -> Iterator[pl.DataFrame]:
    inbox = where.inbox
    if inbox is None:
        msg = "who lands knows the inbox"
        raise AssertionError(msg)
    with tempfile.TemporaryDirectory(prefix="rmetrics-", ignore_cleanup_errors=True) as own:
        if inbox.url is not None:
            inbox = replace(inbox, folder=Path(own) / "inbox")
        lake, _ = open_staged(where.at, Path(own) / "lake")
        yield _answer(land_batch(arrivals, inbox.open(), lake, where.rules))


def _type(exports: Exports, where: _Where) -> Iterator[pl.DataFrame]:
    with tempfile.TemporaryDirectory(prefix="rmetrics-", ignore_cleanup_errors=True) as own:
        lake, _ = open_staged(where.at, Path(own) / "lake")
        yield _answer(type_batch(exports, lake, where.rules))


def _answer(made: TaskResult) -> pl.DataFrame:
    return pl.DataFrame({"made": [pickle.dumps(made)]}, schema=_SCHEMA)


__all__ = ["landed_on", "typed_on"]
