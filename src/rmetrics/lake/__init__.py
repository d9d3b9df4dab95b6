"""The lake: Parquet files and a few small JSON records. Nobody else knows the folder layout.

    raw/<feed>/<hash>.parquet                            the truth: the exports' own bytes, written once, never changed
    raw/catalog.json                                     what landed; made again from the files where it is lost
    raw/exports.json                                     which exports are withdrawn, which were delivered again, when
    typed/<feed>/<hash>.<typing digest>.parquet          caches from here on: may be deleted at any time
    typed/<feed>/<hash>.<typing digest>.rejected.parquet
    typed/catalog.json                                   what is typed
    metrics/<table>/<digest>.parquet                     which rows are in force, job facts, tallies, daily and monthly
                                                         metrics; ``rmetrics.lake.snapshot``
    rules/<digest>/*.toml                                the rules of each computation, to tell what was edited since
    inbox.json, landed.json, checked.json                what was seen, what had landed, what was found sound and when
    state.json                                           what was computed

A raw file is written under a ``.part`` name in its folder, flushed and renamed: its presence under the final name is
the commit. Each record carries a checksum of itself. All files are 0600, all folders 0700.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from rmetrics.errors import LakeError
from rmetrics.lake import lock
from rmetrics.lake.files import (
    MISSING,
    SPOILED,
    BatchWriter,
    Damage,
    file_digest,
    flush,
    read_json,
    unwritable,
    writing,
)
from rmetrics.lake.raw import DECISIONS, LANDED, RawLayer
from rmetrics.lake.raw_file import Frame, RawFile, RawWriter
from rmetrics.lake.typed import EXPORT, ROW_GROUP, PackRows, TypedFile, TypedLayer, TypedWriter


class Lake(RawLayer, TypedLayer):
    """The files under one data folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.metrics = root / "metrics"

    def prepare(self) -> None:
        """Creates the folders, closed to others.

        Raises:
            LakeError: a folder cannot be created, or is a symbolic link.
        """
        for folder in (self.root, self.raw, self.typed, self.metrics):
            if folder.is_symlink():
                raise LakeError(f"{folder} is a symbolic link", "Point RMETRICS_DATA_DIR at the real folder.")
            self.folder(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lake for one run.

        Raises:
            BusyError: another run holds it; names the process and since when.
        """
        self.prepare()
        with lock.held(self.root / "lock"):
            yield

    def try_lock(self) -> None:
        """Looks whether a run could start now; changes nothing.

        Raises:
            BusyError: another run holds the lake; names the process and since when.
        """
        lock.refuse_if_held(self.root / "lock")

    def sweep(self) -> int:
        """Removes what a killed run left half written, and damaged records of the lake as a whole: all are caches.

        Call it under the lock. Returns how many files.
        """
        count = 0
        spilled = (self.root / "duckdb", self.root / "spark")
        for part in [*self.root.rglob("*.part"), *spilled]:  # files, and folders of files
            try:
                if part.is_dir():
                    shutil.rmtree(part)
                    count += 1
                elif part.exists():
                    part.unlink()
                    count += 1
            except OSError as error:
                raise unwritable(part, error) from error
        for record in self.root.glob("*.json"):
            try:
                read_json(record)
            except (ValueError, TypeError):
                with writing(record):
                    record.unlink()
                count += 1
            except OSError as error:
                raise unwritable(record, error) from error
        with writing(self.typed):
            return count + self.sweep_typed()

    def examine_caches(self) -> list[Damage]:
        """Every typed file and record that is not what was written; the next sync makes them again."""
        found = list(self.examine_typed())
        for record in (*sorted(self.root.glob("*.json")), *sorted(self.raw.glob("catalog.json"))):
            try:
                read_json(record)
            except (OSError, ValueError, TypeError):
                found.append(Damage(record, SPOILED))
        return found


__all__ = [
    "DECISIONS",
    "EXPORT",
    "LANDED",
    "MISSING",
    "ROW_GROUP",
    "SPOILED",
    "BatchWriter",
    "Damage",
    "Frame",
    "Lake",
    "PackRows",
    "RawFile",
    "RawWriter",
    "TypedFile",
    "TypedWriter",
    "file_digest",
    "flush",
    "writing",
]
