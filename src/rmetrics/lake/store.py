"""Where the bytes of a lake live: in a folder, or in a bucket (``rmetrics.lake.bucket``).

Every object has a name below the lake, such as ``raw/jobs/<hash>.parquet``. Two kinds are told apart:

- *Data objects* are written once and never changed. They are written as a draft, a local file, and get their name once
  they are whole; nothing is there under a name that is not whole.
- *Records* (``*.json``) are small and replaced. Replacing ``state.json`` puts a computation into force.

Engines read local files: ``location`` gives the file of a data object. In a folder that is the object itself. Of a
bucket it is a copy, downloaded at first use: whoever uses a file reads it to the end first to compare its checksum, so
it crosses the network whole in any case, and a data object never changes, so a copy of one is never out of date.
"""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmetrics.files import put_in_place, replace_private
from rmetrics.lake.files import file_digest


@dataclass(frozen=True, slots=True)
class Entry:
    """An object of a store as it stands.

    Attributes:
        name: below the lake.
        size: in bytes.
        modified_ns: when its content was last changed; 0 in a bucket, whose data objects never are.
        version: differs from that of every other content the name had.
    """

    name: str
    size: int
    modified_ns: int
    version: str


class Store(ABC):
    """Where the bytes of a lake live.

    Attributes:
        root: the local folder: of the objects themselves, or of the copies of a bucket's; drafts and temporary files
            are written below it.
        remote: whether the objects are elsewhere.
    """

    remote = False

    @property
    def where(self) -> tuple[str | None, str | None] | None:
        """Address and server of the bucket, both None for a folder; None where no other process can see it."""
        return None, None

    def __init__(self, root: Path) -> None:
        self.root = root

    def shown(self, name: str) -> str:
        """The object's place, for messages."""
        return str(self.root / name)

    @abstractmethod
    def named(self, name: str, digest: str) -> str:
        """The name that a data object is to get, by the digest of its content."""

    @abstractmethod
    def location(self, name: str, digest: str | None = None) -> Path:
        """The local file with the content of a data object; it does not exist where there is no such object.

        Args:
            name: of the object.
            digest: of its content, which a download is compared with; None where the caller compares it.

        Raises:
            LakeError: the bucket cannot be read, or what was downloaded fails its checksum.
        """

    @abstractmethod
    def drop_copy(self, name: str) -> bool:
        """Forgets the local copy of a data object, so that it is downloaded again; False where there is only one."""

    def has_content(self, name: str, digest: str) -> bool:
        """Whether a data object has the content it was written with: reads it to the end.

        Raises:
            OSError: it is not there, or cannot be read.
            LakeError: the bucket cannot be read.
        """
        if file_digest(self.location(name)) == digest:
            return True
        return self.drop_copy(name) and file_digest(self.location(name)) == digest

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a record.

        Raises:
            OSError: it is not there, or the folder cannot be read.
            LakeError: the bucket cannot be read.
        """

    @abstractmethod
    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:
        """Gives a draft its name for good; the draft is gone afterwards.

        Args:
            draft: a local file below ``root``.
            name: of ``named``.
            durable: survives a power failure from now on; flush the draft first.

        Raises:
            OSError, LakeError: it cannot be written.
        """

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Replaces a record, whole or not at all.

        Raises:
            OSError, LakeError: it cannot be written.
            BusyError: another run replaced it since this one began.
        """

    @abstractmethod
    def list(self, prefix: str) -> Sequence[Entry]:
        """The objects whose names begin with ``prefix``, a folder such as ``raw/``, sorted by name."""

    @abstractmethod
    def records(self) -> Sequence[str]:
        """The names of the records of the lake as a whole."""

    @abstractmethod
    def head(self, name: str) -> Entry | None:
        """The object as it stands; None where there is none."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Removes an object where there is one."""

    @abstractmethod
    def discard(self, name: str) -> bool:
        """Removes an object that nothing names, unless it is so young that another run may be about to name it."""

    @abstractmethod
    def refuse_if_held(self) -> None:
        """Looks whether a run could start, as far as ``held`` is concerned; changes nothing.

        Raises:
            BusyError: another run holds it.
        """

    @abstractmethod
    def held(self) -> contextlib.AbstractContextManager[None]:
        """Holds what is to be held beside the local lock while a run writes.

        Raises:
            BusyError: another run holds it.
        """


class FolderStore(Store):
    """A folder of this machine. One run at a time writes to it: see ``rmetrics.lake.lock``."""

    def named(self, name: str, digest: str) -> str:  # noqa: ARG002 - a rename takes the place of what was there
        """The name itself."""
        return name

    def location(self, name: str, digest: str | None = None) -> Path:  # noqa: ARG002 - nothing is downloaded
        """The file itself."""
        return self.root / name

    def drop_copy(self, name: str) -> bool:  # noqa: ARG002
        """There is no copy."""
        return False

    def read(self, name: str) -> bytes:
        """The bytes of the file."""
        return (self.root / name).read_bytes()

    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:
        """Renames the draft."""
        final = self.root / name
        if durable:
            put_in_place(draft, final)
        else:
            draft.chmod(0o600)
            draft.replace(final)
        return _entry(name, final)

    def replace(self, name: str, content: bytes) -> None:
        """Writes beside the record, flushes and renames."""
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
        """Removes the file: whoever calls holds the lock, so no other run is about to name it."""
        self.delete(name)
        return True

    def refuse_if_held(self) -> None:
        """Nothing beside the lock."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nothing beside the lock."""
        yield


def _entry(name: str, path: Path) -> Entry:
    found: os.stat_result = path.stat()
    return Entry(name, found.st_size, found.st_mtime_ns, f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}")


__all__ = ["Entry", "FolderStore", "Store"]
