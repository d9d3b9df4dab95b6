"""Storage for the bytes of a lake: a folder, or a bucket (``rmetrics.lake.bucket``).

Every object has a name below the lake, such as ``raw/jobs/<hash>.parquet``. There are two kinds:

- *Data objects* are written once and never changed. They are written as a draft, a local file, and renamed once
  complete; no incomplete object ever has a final name.
- *Records* (``*.json``) are small and replaced. Replacing ``state.json`` puts a computation into force.

Engines read local files: ``location`` returns the file of a data object. In a folder that is the object itself. For a
bucket it is a copy, downloaded on first use: every file is read completely before use to compare its checksum, so it
crosses the network in full anyway, and a data object never changes, so its copy is never out of date.
"""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmetrics.files import move_into_place, replace_private
from rmetrics.lake.files import file_digest


@dataclass(frozen=True, slots=True)
class Entry:
    """An object's current state in a store.

    Attributes:
        name: below the lake.
        size: in bytes.
        modified_ns: when its content last changed; 0 in a bucket, whose data objects never change.
        version: differs for every content that the name has had.
    """

    name: str
    size: int
    modified_ns: int
    version: str


class Store(ABC):
    """Storage for the bytes of a lake.

    Attributes:
        root: the local folder: of the objects themselves, or of the copies of a bucket's objects; drafts and temporary
            files are written below it.
        remote: whether the objects are elsewhere.
    """

    remote = False

    @property
    def where(self) -> tuple[str | None, str | None] | None:
        """Address and server of the bucket, both None for a folder; None if no other process can access it."""
        return None, None

    def __init__(self, root: Path) -> None:
        self.root = root

    def shown(self, name: str) -> str:
        """The object's location, for messages."""
        return str(self.root / name)

    @abstractmethod
    def named(self, name: str, digest: str) -> str:
        """The final name of a data object, given the digest of its content."""

    @abstractmethod
    def location(self, name: str, digest: str | None = None) -> Path:
        """The local file with the content of a data object; it does not exist if the object does not.

        Args:
            name: of the object.
            digest: of its content, to verify a download; None if the caller verifies it.

        Raises:
            LakeError: the bucket cannot be read, or the download fails its checksum.
        """

    @abstractmethod
    def drop_copy(self, name: str) -> bool:
        """Removes the local copy of a data object, so that it is downloaded again; False if there is no copy."""

    def has_content(self, name: str, digest: str) -> bool:
        """Whether a data object's content is as written; reads it completely.

        Raises:
            OSError: it does not exist, or cannot be read.
            LakeError: the bucket cannot be read.
        """
        if file_digest(self.location(name)) == digest:
            return True
        return self.drop_copy(name) and file_digest(self.location(name)) == digest

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a record.

        Raises:
            OSError: it does not exist, or the folder cannot be read.
            LakeError: the bucket cannot be read.
        """

    @abstractmethod
    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:
        """Gives a draft its final name; the draft no longer exists afterwards.

        Args:
            draft: a local file below ``root``.
            name: from ``named``.
            durable: make it survive a power failure; flush the draft first.

        Raises:
            OSError, LakeError: it cannot be written.
        """

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Replaces a record atomically.

        Raises:
            OSError, LakeError: it cannot be written.
            BusyError: another run has replaced it since this one began.
        """

    @abstractmethod
    def list(self, prefix: str) -> Sequence[Entry]:
        """The objects whose names begin with ``prefix``, a folder such as ``raw/``, sorted by name."""

    @abstractmethod
    def records(self) -> Sequence[str]:
        """The names of the lake's top-level records."""

    @abstractmethod
    def head(self, name: str) -> Entry | None:
        """The object's current state; None if it does not exist."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Removes an object if it exists."""

    @abstractmethod
    def discard(self, name: str) -> bool:
        """Removes an unreferenced object, unless it is so young that another run may be about to reference it."""

    @abstractmethod
    def refuse_if_held(self) -> None:
        """Checks whether ``held`` would let a run start; changes nothing.

        Raises:
            BusyError: another run holds it.
        """

    @abstractmethod
    def held(self) -> contextlib.AbstractContextManager[None]:
        """Holds a lock in addition to the local one while a run writes.

        Raises:
            BusyError: another run holds it.
        """


class FolderStore(Store):
    """A folder on this machine. One run at a time writes to it: see ``rmetrics.lake.lock``."""

    def named(self, name: str, digest: str) -> str:  # noqa: ARG002 - a rename takes the place of what was there
        """The name itself."""
        return name

    def location(self, name: str, digest: str | None = None) -> Path:  # noqa: ARG002 - nothing is downloaded
        """The file itself."""
        return self.root / name

    def drop_copy(self, name: str) -> bool:  # noqa: ARG002
        """False: there is no copy."""
        return False

    def read(self, name: str) -> bytes:
        """The bytes of the file."""
        return (self.root / name).read_bytes()

    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:
        """Renames the draft."""
        final = self.root / name
        if durable:
            move_into_place(draft, final)
        else:
            draft.chmod(0o600)
            draft.replace(final)
        return _entry(name, final)

    def replace(self, name: str, content: bytes) -> None:
        """Writes a temporary file, flushes and renames it."""
        replace_private(self.root / name, content)

    def list(self, prefix: str) -> Sequence[Entry]:
        """The files below a folder."""
        found = list[Entry]()
        for folder, _, files in os.walk(self.root / prefix):
            for file in files:
                path = Path(folder, file)
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    found.append(_entry(path.relative_to(self.root).as_posix(), path))
        return sorted(found, key=lambda e: e.name)

    def records(self) -> Sequence[str]:
        """The JSON files of the folder itself."""
        return sorted(p.name for p in self.root.glob("*.json"))

    def head(self, name: str) -> Entry | None:
        """Size and time of the file."""
        try:
            return _entry(name, self.root / name)
        except OSError:
            return None

    def delete(self, name: str) -> None:
        """Removes the file."""
        (self.root / name).unlink(missing_ok=True)

    def discard(self, name: str) -> bool:
        """Removes the file: the caller holds the lock, so no other run is about to reference it."""
        self.delete(name)
        return True

    def refuse_if_held(self) -> None:
        """Does nothing: the local lock suffices."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Does nothing: the local lock suffices."""
        yield


def _entry(name: str, path: Path) -> Entry:
    found: os.stat_result = path.stat()
    return Entry(name, found.st_size, found.st_mtime_ns, f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}")


__all__ = ["Entry", "FolderStore", "Store"]
