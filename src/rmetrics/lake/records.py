"""The folder of a lake: small records as JSON, which files were found sound and when, the rules of each computation."""

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmetrics.errors import LakeError
from rmetrics.files import put_in_place
from rmetrics.lake.files import flush, sealed, unsealed, writing
from rmetrics.lake.store import FolderStore, Store

CHECKED = "checked"
_COPY_SPARED_NS = 3600 * 10**9  # somebody may be reading it, or downloading it


class Folder:
    """The objects of one lake, as far as all layers share them.

    Attributes:
        store: where they live.
        root: the local folder; see ``Store``.
    """

    def __init__(self, root: Path, store: Store | None = None) -> None:
        self.store = FolderStore(root) if store is None else store
        self.root = self.store.root
        self._here = FolderStore(self.root)  # what only this machine can know, such as which files it has read
        self._known: dict[str, list[Any]] | None = None
        self._met = False  # whether a file was hashed that the record does not know
        self._read: dict[str, list[Any]] = {}  # files that this run has read to the end, and found sound

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
        """A record such as ``state``; an empty one when it is missing or damaged: it is only a cache.

        Raises:
            LakeError: the bucket cannot be read.
        """
        try:
            return self.read_record(f"{name}.json", self._home(name))
        except (OSError, ValueError, TypeError):
            return {}

    def save_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a record, whole or not at all.

        Raises:
            LakeError: it cannot be written.
            BusyError: another run replaced it since this one began.
        """
        self.write_record(f"{name}.json", value, self._home(name))

    def forget(self, name: str) -> None:
        """Removes a record."""
        with writing(self.root / f"{name}.json"):
            self._home(name).delete(f"{name}.json")

    def read_record(self, name: str, store: Store | None = None) -> dict[str, Any]:
        """A record by its whole name.

        Raises:
            OSError, ValueError, TypeError: it cannot be read, or fails its checksum.
            LakeError: the bucket cannot be read.
        """
        return unsealed((store or self.store).read(name).decode())

    def write_record(self, name: str, value: Mapping[str, Any], store: Store | None = None) -> None:
        """Writes a record by its whole name, with a checksum of itself; see ``save_json``."""
        with writing(self.root / name):
            (store or self.store).replace(name, sealed(value).encode())

    def _home(self, name: str) -> Store:
        return self._here if name == CHECKED else self.store

    # -- damage

    def is_sound(self, name: str, digest: str, *, used: bool) -> bool:
        """Whether a data object has the content it was written with.

        Bits that flip leave size and time as they were, so a file that is about to be used is always read, once by
        each run; one that is not is read only where its size or time are not those at which it was last found sound.
        An object of a bucket that is not about to be used, and has no copy here, only has to be there.
        """
        if self.store.remote and not used and not (self.root / name).exists():
            return self.store.head(name) is not None
        try:
            met = self._met_now(name, digest)
            known = self._read if used else self._checked()
            if known.get(name) == met:
                return True
            if not self.store.has_content(name, digest):
                return False
            met = self._met_now(name, digest)
        except OSError:
            return False
        self._read[name] = met
        if self._checked().get(name) != met:
            self._checked()[name], self._met = met, True
        return True

    def _checked(self) -> dict[str, list[Any]]:
        if self._known is None:
            self._known = dict(self.load_json(CHECKED).get("files", {}))
        return self._known

    def _met_now(self, name: str, digest: str) -> list[Any]:
        status = self.store.location(name).stat()
        return [status.st_size, status.st_mtime_ns, digest]

    def _remember(self, name: str, digest: str) -> None:
        """Takes a file that was just written for sound."""
        self._checked()[name], self._met = self._met_now(name, digest), True

    def remember_checked(self) -> None:
        """Keeps which files were found sound at which size and time, without those that are gone."""
        if self._met:
            there = {n: met for n, met in self._checked().items() if (self.root / n).exists()}
            self.save_json(CHECKED, {"files": there})
            self._known, self._met = there, False

    def sweep_objects(self, prefix: str, named: Collection[str]) -> int:
        """Removes data objects below a folder that nothing names, and copies of such; returns how many objects.

        Objects of a bucket that are young stay: another run may be about to name them, or a reader may use them.
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
        """Keeps a copy of the rules, so that a later run can tell what was edited since."""
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
            put_in_place(part, folder)

    def kept_rules(self, digest: str) -> Path | None:
        """The folder with the rules of that digest, or None: they are only a cache."""
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
