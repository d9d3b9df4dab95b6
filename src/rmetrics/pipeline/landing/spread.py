"""Many exports at once, landed or typed again by tasks on other machines: a map over exports.

A task writes raw and typed rows into the lake under names derived from their content, and reports them. They are in
force once this machine, which holds the lake's lock, has added them to its catalogs. Repeating a task does no harm.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from rmetrics.lake import Lake, RawFile, TypedFile
from rmetrics.pipeline.landing.bucket_inbox import BucketInbox
from rmetrics.pipeline.landing.land import InboxFile, NewFile, land
from rmetrics.pipeline.landing.typed_rows import SMALL, definition_of, in_batches, is_small, type_missing
from rmetrics.rules import Rules

MIN_SPREAD_BYTES = 64 * 2**20  # bytes of exports; with fewer, this machine finishes before others have started
_TOGETHER = 8 * 2**20  # bytes of small exports that one task lands


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A file of the inbox to be landed.

    Attributes:
        place: its path inside the inbox.
        name: the same path, as displayed.
    """

    place: str
    name: str
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The results of a task.

    Attributes:
        seen: the outcomes of its files; empty if it only typed.
        raws: the exports it landed.
        typed: the typed rows of exports.
    """

    seen: tuple[InboxFile, ...] = ()
    raws: tuple[RawFile, ...] = ()
    typed: tuple[TypedFile, ...] = ()


Spread = Callable[[Sequence[Sequence[PendingFile]]], Iterator[TaskResult]]
"""Lands files of the inbox on other machines, some per task."""
SpreadTyping = Callable[[Sequence[Sequence[tuple[RawFile, str]]]], Iterator[TaskResult]]
"""Types exports on other machines, each as a given feed."""


def worth_spreading(sizes: Sequence[int]) -> bool:
    """Tests whether exports of these sizes are worth spreading over machines."""
    return len(sizes) > 1 and sum(sizes) >= MIN_SPREAD_BYTES


def in_tasks(arrivals: Sequence[PendingFile]) -> list[list[PendingFile]]:
    """Returns the files of each task: large files alone, the largest first; small files, which are packed, together."""
    return _in_tasks(arrivals, lambda a: a.status.st_size, lambda a: a.status.st_size <= SMALL)


def exports_in_tasks(exports: Sequence[tuple[RawFile, str]]) -> list[list[tuple[RawFile, str]]]:
    """Returns the exports of each task, cut like ``in_tasks``, for exports that have landed."""
    return _in_tasks(exports, lambda e: e[0].size, lambda e: is_small(e[0]))


def _in_tasks(items: Sequence[T], size_of: Callable[[T], int], small: Callable[[T], bool]) -> list[list[T]]:
    tasks = [[item] for item in sorted((i for i in items if not small(i)), key=size_of, reverse=True)]
    return [*tasks, *in_batches((i for i in items if small(i)), size_of, _TOGETHER)]


# -- in a task


def land_batch(arrivals: Sequence[PendingFile], inbox: Path | BucketInbox, lake: Lake, rules: Rules) -> TaskResult:
    """Lands files; ``lake`` is one for a task (``lake.staged``).

    Raises:
        LakeError: the lake or the inbox cannot be used.
    """
    before = lake.catalogued()
    raws, names = dict(before), {a.place: a.name for a in arrivals}
    copied = isinstance(inbox, BucketInbox)
    folder = inbox.folder if isinstance(inbox, BucketInbox) else inbox
    found = [(folder / a.place, a.status) for a in arrivals]

    def landed(here: Sequence[tuple[Path, os.stat_result]]) -> list[InboxFile]:
        files = [NewFile(path, names[path.relative_to(folder).as_posix()], status, copied) for path, status in here]
        return [seen for batch in land(files, lake, rules, raws) for seen in batch]

    if isinstance(inbox, BucketInbox):
        with inbox.fetched(found) as here:
            seen = landed(here)
    else:
        seen = landed(found)
    made = tuple(raw for sha256, raw in raws.items() if sha256 not in before)
    return TaskResult(tuple(seen), made, _typed_of(lake, rules, [(raw, raw.feed) for raw in made]))


def type_batch(exports: Sequence[tuple[RawFile, str]], lake: Lake, rules: Rules) -> TaskResult:
    """Types exports again; ``lake`` is one for a task.

    Raises:
        LakeError: an export is damaged, or a file cannot be written.
    """
    wanted = ((raw, definition_of(rules, raw, feed)) for raw, feed in exports)
    type_missing(lake, rules, wanted, lambda: None, full=True)
    return TaskResult(typed=_typed_of(lake, rules, exports))


def _typed_of(lake: Lake, rules: Rules, exports: Iterable[tuple[RawFile, str]]) -> tuple[TypedFile, ...]:
    found = (lake.typed_file(feed, raw.sha256, definition_of(rules, raw, feed).digest) for raw, feed in exports)
    return tuple(typed for typed in found if typed is not None)


# -- on the machine that holds the lake


def add_landed(lake: Lake, raws: dict[str, RawFile], landed: Iterable[TaskResult]) -> list[InboxFile]:
    """Adds the exports that tasks landed to the lake's catalogs; returns the outcomes of their files.

    Of files with the same content, the first in inbox order counts, whichever task finished first.

    Args:
        lake: under its lock.
        raws: landed exports by hash; receives the new ones.
        landed: the results of the tasks.
    """
    pairs = [(file, one) for one in landed for file in one.seen]
    found, new, rows = list[InboxFile](), list[RawFile](), list[TypedFile]()
    for file, one in sorted(pairs, key=lambda pair: (pair[0].modified_ns, pair[0].name)):
        if file.landed and file.sha256 in raws:
            found.append(replace(file, landed=False, note=f"same content as {raws[file.sha256].name}"))
            continue
        found.append(file)
        if file.landed:
            raws[file.sha256] = next(raw for raw in one.raws if raw.sha256 == file.sha256)
            new.append(raws[file.sha256])
            rows += (typed for typed in one.typed if typed.sha256 == file.sha256)
    lake.adopt_raw(new)
    lake.adopt_typed(rows)
    return found


__all__ = [
    "PendingFile",
    "Spread",
    "SpreadTyping",
    "TaskResult",
    "add_landed",
    "exports_in_tasks",
    "in_tasks",
    "land_batch",
    "type_batch",
    "worth_spreading",
]
