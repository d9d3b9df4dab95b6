"""The lake: Parquet files and a few small JSON records. No other package knows the folder layout.

    raw/<feed>/<hash>.parquet                            the truth: the exports' own bytes, written once, never changed
    raw/catalog.json                                     landed exports; rebuilt from the files if lost
    raw/exports.json                                     which exports were withdrawn or delivered again, and when
    typed/<feed>/<hash>.<typing digest>.parquet          caches from here on: may be deleted at any time
    typed/<feed>/<hash>.<typing digest>.rejected.parquet
    typed/catalog.json                                   typed exports
    metrics/<table>/<digest>.parquet                     rows in force, job facts, tallies, daily and monthly metrics;
                                                         ``rmetrics.lake.snapshot``
    rules/<digest>/*.toml                                the rules of each computation, to detect later edits
    inbox.json, landed.json, checked.json                files seen in the inbox, exports landed, files found sound
    state.json                                           the computation in force

A raw file is written under a ``.part`` name in its folder, flushed and renamed: its presence under the final name is
the commit. Each record carries its own checksum. All files are 0600, all folders 0700.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmetrics.errors import LakeError, SettingsError
from rmetrics.lake import lock
from rmetrics.lake.files import (
    CORRUPT,
    MISSING,
    BatchWriter,
    Damage,
    file_digest,
    flush,
    unwritable,
    writing,
)
from rmetrics.lake.raw import DECISIONS, LANDED, RawLayer
from rmetrics.lake.raw_file import Frame, RawFile, RawWriter
from rmetrics.lake.store import Entry, FolderStore, Store
from rmetrics.lake.typed import EXPORT, Counts, PackRows, TypedFile, TypedLayer, TypedWriter


class Lake(RawLayer, TypedLayer):
    """The files in one data folder."""

    def __init__(self, root: Path, store: Store | None = None) -> None:
        super().__init__(root, store)
        self.metrics = self.root / "metrics"

    @property
    def place(self) -> str:
        """The lake's location, for messages."""
        return self.store.shown("").rstrip("/") if self.store.remote else str(self.root)

    @property
    def at(self) -> "LakeAt":
        """The lake's location, for another process.

        Raises:
            SettingsError: it is a scratch lake over a bucket, visible to this process only.
        """
        where = self.store.where
        if where is None:
            raise SettingsError(
                "a trial over a lake in a bucket is computed on this machine only",
                "Set RMETRICS_ENGINE=local for this command.",
            )
        return LakeAt(self.root.resolve(), *where)

    def prepare(self) -> None:
        """Creates the folders, closed to others.

        Raises:
            LakeError: a folder cannot be created, or is a symbolic link.
        """
        for folder in (self.root, self.raw, self.typed, self.metrics):
            if folder.is_symlink():
                raise LakeError(f"{folder} is a symbolic link", "Set RMETRICS_DATA_DIR to the real folder.")
            self.folder(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the lake for one run.

        Raises:
            BusyError: another run holds it; names the process and since when.
        """
        self.prepare()
        with lock.held(self.root / "lock"), self.store.held():
            yield

    def try_lock(self) -> None:
        """Checks whether a run could start now; changes nothing.

        Raises:
            BusyError: another run holds the lake; names the process and since when.
        """
        lock.refuse_if_held(self.root / "lock")
        self.store.refuse_if_held()

    def sweep(self) -> int:
        """Removes partial files of killed runs and damaged top-level records (all are caches); returns their number.

        Call it under the lock.
        """
        count = self.sweep_drafts()
        for record in self.store.records():
            try:
                self.read_record(record)
            except (ValueError, TypeError):
                with writing(self.root / record):
                    self.store.delete(record)
                count += 1
            except OSError as error:
                raise unwritable(self.root / record, error) from error
        with writing(self.typed):
            return count + self.sweep_typed()

    def sweep_drafts(self) -> int:
        """Removes what killed runs and tasks left half written; call it under the lock. Returns how many files."""
        count = 0
        spilled = (self.root / "duckdb", self.root / "spark")
        for part in [*self.root.rglob("*.part"), *spilled]:  # files and folders
            try:
                if part.is_dir():
                    shutil.rmtree(part)
                    count += 1
                elif part.exists():
                    part.unlink()
                    count += 1
            except OSError as error:
                raise unwritable(part, error) from error
        return count

    def examine_caches(self) -> list[Damage]:
        """Every typed file and record that fails its checksum; the next sync rebuilds them."""
        found = list(self.examine_typed())
        catalog = f"{self.raw.name}/catalog.json"
        for record in (*self.store.records(), *([catalog] if self.store.head(catalog) else [])):
            try:
                self.read_record(record)
            except (OSError, ValueError, TypeError):
                found.append(Damage(self.root / record, CORRUPT))
        return found


@dataclass(frozen=True, slots=True)
class LakeAt:
    """A lake's location, for another process to open; that process uses its own credentials.

    Attributes:
        root: the local folder.
        url: the bucket's address; None: the folder is the lake.
        endpoint: the bucket's server if it is not Amazon's.
    """

    root: Path
    url: str | None = None
    endpoint: str | None = None

    def open(self) -> Lake:
        """Returns the lake; makes no request yet.

        Raises:
            SettingsError: the bucket's address is invalid, or the package for buckets is not installed here.
        """
        if self.url is None:
            return Lake(self.root)
        from rmetrics.lake.bucket import open_bucket

        return Lake(self.root, open_bucket(self.url, self.root, endpoint=self.endpoint))


__all__ = [
    "CORRUPT",
    "DECISIONS",
    "EXPORT",
    "LANDED",
    "MISSING",
    "BatchWriter",
    "Counts",
    "Damage",
    "Entry",
    "FolderStore",
    "Frame",
    "Lake",
    "LakeAt",
    "PackRows",
    "RawFile",
    "RawWriter",
    "Store",
    "TypedFile",
    "TypedWriter",
    "file_digest",
    "flush",
    "writing",
]
