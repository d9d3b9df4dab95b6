"""A lake's folder: small JSON records, the files verified and when, the rules of each computation."""

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmetrics.errors import LakeError
from rmetrics.files import move_into_place
from rmetrics.lake.files import flush, sealed, unsealed, writing
from rmetrics.lake.store import FolderStore, Store

CHECKED = "checked"
_COPY_SPARED_NS = 3600 * 10**9  # a process may be reading or downloading it


class Folder:
    """The parts of a lake that all layers share.

    Attributes:
        store: holds the objects.
        root: the local folder; see ``Store``.
    """

    def __init__(self, root: Path, store: Store | None = None) -> None:
        self.store = FolderStore(root) if store is None else store
        self.root = self.store.root
        self._here = FolderStore(self.root)  # for records of this machine only, such as the files it has read
        self._known: dict[str, list[Any]] | None = None
        self._unsaved = False  # whether a verified file is not yet in the record
        self._read: dict[str, list[Any]] = {}  # files that this run has read completely and found sound

    def folder(self, folder: Path) -> None:
        """Creates a folder of the lake, closed to others.

        Raises:
            LakeError: it cannot be created.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        except OSError as error:
            raise LakeError(
                f"cannot create {folder}: {error.strerror}", "Check the disk and the permissions."
            ) from error

    # -- small records

    def load_json(self, name: str) -> Any:
        """A record such as ``state``; empty if missing or damaged, because these records are only caches.

        Raises:
            LakeError: the bucket cannot be read.
        """
        try:
            return self.read_record(f"{name}.json", self._home(name))
        except (OSError, ValueError, TypeError):
            return {}

    def save_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a record atomically.

        Raises:
            LakeError: it cannot be written.
            BusyError: another run has replaced it since this one began.
        """
        self.write_record(f"{name}.json", value, self._home(name))

    def remove_record(self, name: str) -> None:
        """Removes a record."""
        with writing(self.root / f"{name}.json"):
            self._home(name).delete(f"{name}.json")

    def read_record(self, name: str, store: Store | None = None) -> dict[str, Any]:
        """A record by its full name.

        Raises:
            OSError, ValueError, TypeError: it cannot be read, or fails its checksum.
            LakeError: the bucket cannot be read.
        """
        return unsealed((store or self.store).read(name).decode())

    def write_record(self, name: str, value: Mapping[str, Any], store: Store | None = None) -> None:
        """Writes a record by its full name, with its own checksum; see ``save_json``."""
        with writing(self.root / name):
            (store or self.store).replace(name, sealed(value).encode())

    def _home(self, name: str) -> Store:
        return self._here if name == CHECKED else self.store

    # -- damage

    def is_intact(self, name: str, digest: str, *, used: bool) -> bool:
        """Whether a data object's content is as it was written.

        Flipped bits leave size and time unchanged. So a file about to be used is always read, once per run; any other
        is read only if its size or time differs from the last successful check. A bucket object that is not about to be
        used and has no local copy only has to exist.
        """
        if self.store.remote and not used and not (self.root / name).exists():
            return self.store.head(name) is not None
        try:
            state = self._state_now(name, digest)
            known = self._read if used else self._checked()
            if known.get(name) == state:
                return True
            if not self.store.has_content(name, digest):
                return False
            state = self._state_now(name, digest)
        except OSError:
            return False
        self._read[name] = state
        if self._checked().get(name) != state:
            self._checked()[name], self._unsaved = state, True
        return True

    def _checked(self) -> dict[str, list[Any]]:
        if self._known is None:
            self._known = dict(self.load_json(CHECKED).get("files", {}))
        return self._known

    def _state_now(self, name: str, digest: str) -> list[Any]:
        status = self.store.location(name).stat()
        return [status.st_size, status.st_mtime_ns, digest]

    def _remember(self, name: str, digest: str) -> None:
        """Records a file just written as sound."""
        self._checked()[name], self._unsaved = self._state_now(name, digest), True

    def remember_checked(self) -> None:
        """Saves the size and time at which files were found sound; drops files that no longer exist."""
        if self._unsaved:
            existing = {n: state for n, state in self._checked().items() if (self.root / n).exists()}
            self.save_json(CHECKED, {"files": existing})
            self._known, self._unsaved = existing, False

    def sweep_objects(self, prefix: str, named: Collection[str]) -> int:
        """Removes unreferenced data objects below a folder, and local copies of such; returns the number of objects.

        Keeps young bucket objects: another run may be about to reference them, or a reader may use them.
        """
        count = 0
        for entry in self.store.list(prefix):
            if entry.name not in named:
                count += self.store.discard(entry.name)
        if self.store.remote:
            for copy in self._here.list(prefix):
                if copy.name not in named and time.time_ns() - copy.modified_ns > _COPY_SPARED_NS:
                    self._here.delete(copy.name)
        return count

    # -- the rules a computation used

    def keep_rules(self, digest: str, files: Sequence[Path]) -> None:
        """Keeps a copy of the rules, so that a later run can determine which were edited."""
        folder = self.root / "rules" / digest
        if self.store.remote and self.store.head(f"rules/{digest}.json") is None:
            texts = {file.name: file.read_bytes().decode() for file in files}
            self.write_record(f"rules/{digest}.json", {"files": texts})
        if folder.is_dir():
            return
        part = folder.with_suffix(".part")
        with writing(folder):
            shutil.rmtree(part, ignore_errors=True)
            self.folder(part)
            for file in files:
                shutil.copyfile(file, part / file.name)
                flush(part / file.name)
            move_into_place(part, folder)

    def kept_rules(self, digest: str) -> Path | None:
        """The folder with the rules of that digest; None if it was not kept, because it is only a cache."""
        folder = self.root / "rules" / digest
        if digest and not folder.is_dir() and self.store.remote:
            self._fetch_rules(digest, folder)
        return folder if digest and folder.is_dir() else None

    def _fetch_rules(self, digest: str, folder: Path) -> None:
        try:
            files: dict[str, str] = self.read_record(f"rules/{digest}.json")["files"]
        except (OSError, ValueError, TypeError, KeyError):
            return
        part = folder.with_suffix(".part")
        with writing(folder):
            shutil.rmtree(part, ignore_errors=True)
            self.folder(part)
            for name, content in files.items():
                (part / Path(name).name).write_text(content, encoding="utf-8", newline="")
            part.replace(folder)
