"""The folder of a lake: small records as JSON, which files were found sound and when, the rules of each computation."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rmetrics.errors import LakeError
from rmetrics.files import put_in_place
from rmetrics.lake.files import file_digest, flush, read_json, write_json, writing

CHECKED = "checked"


class Folder:
    """The files under one data folder, as far as all layers share them."""

    def __init__(self, root: Path) -> None:
        self.root = root
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
        """A record such as ``state``; an empty one when it is missing or damaged: it is only a cache."""
        try:
            return read_json(self.root / f"{name}.json")
        except (OSError, ValueError, TypeError):
            return {}

    def save_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a record, whole or not at all."""
        with writing(self.root / f"{name}.json"):
            write_json(self.root / f"{name}.json", value)

    def forget(self, name: str) -> None:
        """Removes a record."""
        with writing(self.root / f"{name}.json"):
            (self.root / f"{name}.json").unlink(missing_ok=True)

    # -- damage

    def is_sound(self, path: Path, digest: str, *, used: bool) -> bool:
        """Whether a file has the content it was written with.

        Bits that flip leave size and time as they were, so a file that is about to be used is always read, once by
        each run; one that is not is read only where its size or time are not those at which it was last found sound.
        """
        try:
            status = path.stat()
            name, met = path.relative_to(self.root).as_posix(), [status.st_size, status.st_mtime_ns, digest]
            known = self._read if used else self._checked()
            if known.get(name) == met:
                return True
            if file_digest(path) != digest:
                return False
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

    def _remember(self, path: Path, digest: str) -> None:
        """Takes a file that was just written for sound."""
        status = path.stat()
        name = path.relative_to(self.root).as_posix()
        self._checked()[name], self._met = [status.st_size, status.st_mtime_ns, digest], True

    def remember_checked(self) -> None:
        """Keeps which files were found sound at which size and time, without those that are gone."""
        if self._met:
            there = {n: met for n, met in self._checked().items() if (self.root / n).exists()}
            self.save_json(CHECKED, {"files": there})
            self._known, self._met = there, False

    # -- the rules a computation used

    def keep_rules(self, digest: str, files: Sequence[Path]) -> None:
        """Keeps a copy of the rules, so that a later run can tell what was edited since."""
        folder = self.root / "rules" / digest
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
        return folder if digest and folder.is_dir() else None
