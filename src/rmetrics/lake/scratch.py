"""A temporary lake for trials: it sees the contents of the real one and is thrown away."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rmetrics.errors import BusyError
from rmetrics.lake import Entry, FolderStore, Lake, Store

_ALWAYS, _OF_RESULTS = ("landed.json", "checked.json"), ("inbox.json", "state.json")
_IN_LAYERS = ("raw/catalog.json", "raw/exports.json", "typed/catalog.json")


@contextlib.contextmanager
def scratch_lake(lake: Lake, *, results: bool = True) -> Iterator[Lake]:
    """Yields a lake in a temporary folder whose files are links to the real ones.

    Lake files are replaced, never changed in place, so writes here do not reach the real lake.

    Args:
        lake: the real lake; only read.
        results: also link computed results and records, so that unchanged data need not be recomputed.

    Raises:
        BusyError: another run changed the lake while it was being linked.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        if lake.store.remote:
            yield _over(lake, Path(folder) / "lake", results=results)
            return
        scratch = Lake(Path(folder) / "lake")
        scratch.prepare()
        names = ("raw", "typed", *(("metrics", "rules") if results else ()))
        try:
            for name in names:
                if (lake.root / name).is_dir():
                    shutil.copytree(lake.root / name, scratch.root / name, copy_function=_put, dirs_exist_ok=True)
            for record in (*_ALWAYS, *(_OF_RESULTS if results else ())):
                if (lake.root / record).is_file():
                    _put(str(lake.root / record), str(scratch.root / record))
        except (shutil.Error, FileNotFoundError) as error:
            raise BusyError(
                "another run has changed the lake in the meantime", "Wait for it to finish, then run again."
            ) from error
        yield scratch


def _over(lake: Lake, root: Path, *, results: bool) -> Lake:
    """A scratch lake over one in a bucket: copies of its current records, its data objects left in place."""
    scratch = Lake(root, _OverStore(root, lake.store, set() if results else set(_OF_RESULTS)))
    scratch.prepare()
    for record in (*_ALWAYS, *(_OF_RESULTS if results else ()), *_IN_LAYERS):
        with contextlib.suppress(FileNotFoundError):
            (root / record).write_bytes(lake.store.read(record))
    return scratch


class _OverStore(FolderStore):
    """A folder on top of another store: reads fall through to the store below, writes stay in the folder."""

    remote = True
    where = None

    def __init__(self, root: Path, below: Store, deleted: set[str]) -> None:
        super().__init__(root)
        self.below, self.deleted = below, deleted

    def shown(self, name: str) -> str:
        return self.below.shown(name)

    def named(self, name: str, digest: str) -> str:
        return self.below.named(name, digest)

    def location(self, name: str, digest: str | None = None) -> Path:
        return super().location(name) if self._own(name) else self.below.location(name, digest)

    def drop_copy(self, name: str) -> bool:
        return not self._own(name) and self.below.drop_copy(name)

    def read(self, name: str) -> bytes:
        return super().read(name) if self._own(name) else self.below.read(name)

    def list(self, prefix: str) -> Sequence[Entry]:
        own = {e.name: e for e in super().list(prefix)}
        below = {e.name: e for e in self.below.list(prefix) if e.name not in self.deleted}
        return sorted((below | own).values(), key=lambda e: e.name)

    def head(self, name: str) -> Entry | None:
        return super().head(name) if self._own(name) else self.below.head(name)

    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:
        entry = super().write_new(draft, name, durable=durable)
        return Entry(name, entry.size, 0, "")

    def delete(self, name: str) -> None:
        super().delete(name)
        self.deleted.add(name)

    def _own(self, name: str) -> bool:
        return name in self.deleted or (self.root / name).exists()


def _put(source: str, target: str) -> None:
    """Links a file; copies a record, which the next run replaces: a link could lead to the new one."""
    (shutil.copy2 if source.endswith(".json") else _link)(source, target)


def _link(source: str, target: str) -> None:
    """Links a file to avoid a copy; copies it if the file system has no links."""
    for way in (os.link, os.symlink):
        try:
            way(Path(source).resolve(), target)
        except OSError:
            continue
        return
    shutil.copy2(source, target)
