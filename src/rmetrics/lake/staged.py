"""A lake as a task of a cluster sees it: data objects go where they belong, records only to whoever runs the tasks.

What a task writes is named by its content and in nobody's way, so a task that runs again, or twice at the same time,
does no harm. Its records (catalogs, ``state.json``) are kept in memory: they are in force once the machine that runs
the tasks, and holds the lake's lock, has written them.
"""

import contextlib
import hashlib
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rmetrics.files import PRIVATE_FOLDER
from rmetrics.lake import Entry, FolderStore, Lake, LakeAt, Store, file_digest, flush, writing

SPARED_SECONDS = 24 * 3600  # what nothing names is removed only when it is older: another task may have written it
_STATE = "state.json"
_BY_CONTENT = "rules/"  # records that are named by their content, and never replaced


class StagedStore(Store):
    """A store over another one, for one task.

    Args:
        below: where the lake is.
        root: a folder of the task alone, for drafts, temporary files, and copies of a bucket's objects.

    Attributes:
        written: the records as the task would have them, in the order they were written last; None: removed.
    """

    where = None

    def __init__(self, below: Store, root: Path) -> None:
        super().__init__(root)
        self.below, self.remote = below, below.remote
        self.written: dict[str, bytes | None] = {}
        self._found: dict[str, bytes | None] = {}

    def shown(self, name: str) -> str:
        """Its place in the lake."""
        return self.below.shown(name)

    # -- data objects

    def named(self, name: str, digest: str) -> str:
        """The name with a part of the digest, in a folder as well: another attempt may have made other bytes."""
        stem, dot, ending = name.rpartition(".")
        return f"{stem}.{digest[:16]}{dot}{ending}"

    def location(self, name: str, digest: str | None = None) -> Path:
        """The file of the folder, or the task's copy."""
        return self.below.location(name, digest)

    def drop_copy(self, name: str) -> bool:
        """Forgets the task's copy."""
        return self.below.drop_copy(name)

    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:
        """Puts the draft where the lake is; an object that is there already and is the same stays."""
        if self.remote:
            return self.below.write_new(draft, name, durable=durable)
        existing = self.below.head(name)
        if existing is not None and existing.size == draft.stat().st_size:
            with contextlib.suppress(FileNotFoundError):
                if file_digest(self.below.location(name)) == file_digest(draft):
                    draft.unlink()
                    return existing
        part = self.below.root / f"{name}.{uuid.uuid4().hex}.part"
        part.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with writing(part, part):
            shutil.copyfile(draft, part)
            if durable:
                flush(part)
            entry = self.below.write_new(part, name, durable=durable)
        draft.unlink()
        return entry

    def list(self, prefix: str) -> Sequence[Entry]:
        """The objects of the lake."""
        return self.below.list(prefix)

    def discard(self, name: str) -> bool:
        """Removes an object where it is older than ``SPARED_SECONDS``."""
        if self.remote:
            return self.below.discard(name)
        existing = self.below.head(name)
        old = existing is not None and time.time_ns() - existing.modified_ns > SPARED_SECONDS * 10**9
        return old and self.below.discard(name)

    # -- records

    def read(self, name: str) -> bytes:
        """The record as this task has it; what it read once stays as it was."""
        content = self._record(name)
        if content is None:
            raise FileNotFoundError(name)
        return content

    def head(self, name: str) -> Entry | None:
        """A record's version is its content."""
        if not name.endswith(".json"):
            return self.below.head(name)
        content = self._record(name)
        if content is None:
            return None
        return Entry(name, len(content), 0, hashlib.sha256(content).hexdigest())

    def replace(self, name: str, content: bytes) -> None:
        """Keeps the record for whoever runs the task."""
        if name.startswith(_BY_CONTENT):
            self.below.replace(name, content)
            return
        self.written.pop(name, None)
        self.written[name] = content

    def delete(self, name: str) -> None:
        """Keeps in mind that a record is to go; removes an object."""
        if name.endswith(".json"):
            self.written.pop(name, None)
            self.written[name] = None
        else:
            self.below.delete(name)

    def records(self) -> Sequence[str]:
        """The names of the records of the lake as a whole, as this task has them."""
        own = {n for n in self.written if "/" not in n}
        return sorted(n for n in {*self.below.records(), *own} if self._record(n) is not None)

    def _record(self, name: str) -> bytes | None:
        if name in self.written:
            return self.written[name]
        if name not in self._found:
            try:
                self._found[name] = self.below.read(name)
            except FileNotFoundError:
                self._found[name] = None
        return self._found[name]

    # -- one run at a time

    def refuse_if_held(self) -> None:
        """Whoever runs the tasks holds the lake."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Whoever runs the tasks holds the lake."""
        yield


def open_staged(at: LakeAt, own: Path) -> tuple[Lake, StagedStore]:
    """A lake for one task, and what collects its records.

    Args:
        at: where the lake is.
        own: a folder of the task alone.

    Raises:
        SettingsError: the package for buckets is not installed here.
    """
    below = FolderStore(at.root) if at.url is None else LakeAt(own, at.url, at.endpoint).open().store
    store = StagedStore(below, own)
    lake = Lake(own, store)
    lake.prepare()
    return lake, store


def put_in_force(lake: Lake, records: Mapping[str, bytes | None]) -> None:
    """Writes the records that a task left, ``state.json`` last. The lake has been locked since before the task.

    Raises:
        LakeError: the lake cannot be written.
        BusyError: another run changed it meanwhile.
    """
    for name, content in sorted(records.items(), key=lambda record: record[0] == _STATE):
        with writing(lake.root / name):
            if content is None:
                lake.store.delete(name)
            else:
                lake.store.replace(name, content)


__all__ = ["StagedStore", "open_staged", "put_in_force"]
