"""Companies of a group as tasks: each is computed whole on one executor, by the engines of one machine.

A chain of Spark jobs for each of thousands of small branches would cost seconds of overhead each; a task that computes
a whole company costs only its computation. Companies go out in waves. This machine keeps the lakes of a wave locked
until the results of its tasks are in force and published, while the next wave is being computed.
"""

import contextlib
import functools
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.errors import EngineError, RmetricsError
from rmetrics.lake import Lake
from rmetrics.lake.staged import put_in_force
from rmetrics.parallel import in_order
from rmetrics.pipeline.companies import CompanyWork, ComputedCompany, Failure, make_company
from rmetrics.pipeline.project import Places
from rmetrics.progress import Progress
from rmetrics.rules.files import rule_files
from rmetrics.spark.tasks import Tasks

_FOR_EACH_SLOT, _FEWEST, _MOST = 4, 16, 128  # companies per wave; each holds a lock
_AT_ONCE = 8  # lakes locked, or put in force, at a time: in a bucket these are requests with long waits
_SCHEMA: dict[str, pl.DataType] = {"name": pl.String(), "made": pl.Binary()}
Rules = tuple[tuple[str, bytes], ...]
Wave = tuple[contextlib.ExitStack, list[tuple[ComputedCompany, Lake | None]]]


def company_work(places: Places, **of: Any) -> CompanyWork:
    """Returns a company's work, ready to send to an executor.

    Args:
        places: the company's.
        of: the other fields of ``CompanyWork``.
    """
    return CompanyWork(places=places.portable_settings(), **of)


def computed_companies(
    engine: Tasks, works: Sequence[CompanyWork], progress: Progress
) -> Iterator[tuple[ComputedCompany, Lake | None]]:
    """Computes companies; yields the result of each, with its lake.

    When a result is yielded it is in force, and its lake stays locked at least until the next one is requested.

    Args:
        engine: runs the tasks.
        works: the companies.
        progress: receives progress reports.

    Raises:
        EngineError, SettingsError: Spark cannot be used, or executors have other versions. An error in one company,
            even one that ends its executor each time, is part of its result instead.
    """
    done = 0
    rules = tuple((f.name, f.read_bytes()) for f in rule_files(works[0].places.rules_dir)) if works else ()
    with contextlib.ExitStack() as locks:

        def run(wave: Sequence[CompanyWork]) -> Wave:
            stack = contextlib.ExitStack()
            locks.callback(stack.close)  # in any outcome
            return stack, list(_of_wave(engine, wave, rules, stack))

        progress("computing companies", done, len(works))
        for stack, made in in_order(run, _waves(works, engine.slots), workers=1):
            for one, lake in made:
                yield one, lake
                done += 1
                progress("computing companies", done, len(works))
            stack.close()


def _waves(works: Sequence[CompanyWork], slots: int) -> list[Sequence[CompanyWork]]:
    size = min(max(_FOR_EACH_SLOT * slots, _FEWEST), _MOST)
    return [works[first : first + size] for first in range(0, len(works), size)]


def _of_wave(
    engine: Tasks, wave: Sequence[CompanyWork], rules: Rules, stack: contextlib.ExitStack
) -> Iterator[tuple[ComputedCompany, Lake | None]]:
    """Locks the lakes, runs the tasks, and puts their results in force."""
    locked, lakes = list[CompanyWork](), dict[str, Lake]()
    for work, lake, failure in in_order(functools.partial(_locked, stack=stack), wave, workers=_AT_ONCE):
        if failure is None:
            locked.append(work)
            lakes[work.name] = lake
        else:
            yield ComputedCompany(work.name, failure=failure), None

    def commit(made: ComputedCompany) -> tuple[ComputedCompany, Lake]:
        lake = lakes[made.name]
        try:
            if made.run is not None:  # first, because the results name these rules
                lake.keep_rules(made.run.rules_hash, rule_files(wave[0].places.rules_dir))
            put_in_force(lake, made.records)
        except RmetricsError as error:
            made = ComputedCompany(made.name, failure=_failure(error))
        return made, lake

    yield from in_order(commit, _tasks(engine, locked, rules), workers=_AT_ONCE)


def _locked(work: CompanyWork, stack: contextlib.ExitStack) -> tuple[CompanyWork, Lake, Failure | None]:
    lake = work.places.lake.open()
    try:
        stack.enter_context(lake.locked())
        lake.sweep_drafts()
    except RmetricsError as error:
        return work, lake, _failure(error)
    return work, lake, None


def _tasks(engine: Tasks, works: Sequence[CompanyWork], rules: Rules) -> list[ComputedCompany]:
    """Returns the tasks' results; if Spark gives up, runs each company by itself, so that one fault stops no other."""
    if not works:
        return []
    try:
        rows = engine.each(works, functools.partial(_task, rules=rules), _SCHEMA)
        return [pickle.loads(made) for made in engine.collected(rows, _SCHEMA)["made"]]  # noqa: S301 - of our executors
    except EngineError as error:
        if len(works) == 1:
            return [ComputedCompany(works[0].name, failure=_failure(error))]
        return [made for work in works for made in _tasks(engine, [work], rules)]


def _failure(error: RmetricsError) -> Failure:
    return Failure(type(error).__name__, error.message, error.hint)


# -- on an executor


def _task(work: CompanyWork, rules: Rules) -> Iterator[pl.DataFrame]:
    """Computes a company in a temporary folder of this task."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-", ignore_cleanup_errors=True) as own:
        made = make_company(work, _rules_folder(rules), Path(own))
    yield pl.DataFrame({"name": [made.name], "made": [pickle.dumps(made)]}, schema=_SCHEMA)


_kept: dict[Rules, tempfile.TemporaryDirectory[str]] = {}


def _rules_folder(rules: Rules) -> Path:
    """Returns the rules as files, written once per process and removed with it."""
    if rules not in _kept:
        _kept.clear()
        folder = tempfile.TemporaryDirectory(prefix="rmetrics-rules-")
        for name, content in rules:
            (Path(folder.name) / Path(name).name).write_bytes(content)
        _kept[rules] = folder
    return Path(_kept[rules].name)


__all__ = ["company_work", "computed_companies"]
