"""The lake: Parquet files, each with a small JSON record beside it. Nobody else knows the folder layout.

    raw/<feed>/<sha256 of the export>.parquet, .json     the truth: lossless text, written once, never changed
    raw/exports.json                                     which exports are withdrawn, which were delivered again, when
    typed/<feed>/<sha256>.<typing digest>.parquet        caches from here on: may be deleted at any time
    typed/<feed>/<sha256>.<typing digest>.rejected.parquet
    metrics/<table>/<month>.<digest>.parquet             job facts, tallies, daily and monthly metrics; the same
    rules/<digest>/*.toml                                the rules of each computation, to tell what was edited since
    inbox.json, landed.json, checked.json                what was seen, what had landed, what was found sound and when
    state.json, published.json                           what was computed, what was published and from which files

A Parquet file is written under a ``.part`` name in its folder, read back, flushed, described by its record (written and
flushed first), and renamed: its presence under the final name is the commit. A record without a file is litter; a file
without a record is damage. Each record carries a checksum of itself. All files are 0600, all folders 0700.
"""

import contextlib
import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

import polars as pl

from rmetrics.errors import BusyError, LakeError
from rmetrics.locks import lock, lock_file, named_holder

RAW_FORMAT = 1
ROW_GROUP = 250_000
MISSING = "it is missing"
LANDED, CHECKED = "landed", "checked"
DECISIONS = "exports.json"
SPOILED = "it is not what was written"
_SUM = "record_sha256"
_WRITTEN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)  # no export landed before this was written
_FIRST = ("name", "modified_ns", "landed_at")  # what an export that is put back keeps
_REPEATS = 20  # how often a value must repeat to be worth a dictionary
_FULL_DISK = ("No space left", "os error", "File too large")


@dataclass(frozen=True, slots=True)
class RawFile:
    """A landed export.

    Attributes:
        sha256: of the export's bytes; names the file.
        feed: the feed it was landed as.
        name: the export's path inside the inbox.
        size, modified_ns: of the export when it landed; the time decides which export is newer.
        landed_at: ISO, UTC.
        encoding, delimiter, sheet, header_line, preamble, notes: how the text was laid out.
        headers: the Parquet's text columns, in order.
        rows: records in the Parquet, faulty ones included.
        parquet_sha256, parquet_size: of the Parquet file, to find damage.
        delivered_ns: modification time of the newest file with this content; 0 where there was only the first.
        withdrawn: when the export was withdrawn (ISO, UTC); empty where it counts.
        restored: when it was restored after that; empty where it never was, or is withdrawn again.
    """

    sha256: str
    feed: str
    name: str
    size: int
    modified_ns: int
    landed_at: str
    encoding: str
    delimiter: str
    sheet: str
    header_line: int
    preamble: tuple[str, ...]
    headers: tuple[str, ...]
    notes: tuple[str, ...]
    rows: int
    parquet_sha256: str
    parquet_size: int
    format: int = RAW_FORMAT
    delivered_ns: int = 0
    withdrawn: str = ""
    restored: str = ""

    @property
    def age(self) -> tuple[int, str, str]:
        """Sorts exports from old to new: modification time when last delivered, then name, then content."""
        return max(self.modified_ns, self.delivered_ns), self.name, self.sha256

    @property
    def exported_at(self) -> dt.datetime:
        """When the export was last written, in UTC."""
        return dt.datetime.fromtimestamp(self.modified_ns / 1e9, dt.UTC)

    @property
    def there_at(self) -> dt.datetime:
        """When the export was there for certain, in UTC: written, delivered or, where those times are older, landed.

        A copy can carry a time that is older than its rows (from an archive of another time zone), and a clock can be
        wrong.
        """
        delivered = dt.datetime.fromtimestamp(self.delivered_ns / 1e9, dt.UTC)
        return max(self.exported_at, delivered, dt.datetime.fromisoformat(self.landed_at), _WRITTEN)


@dataclass(frozen=True, slots=True)
class TypedFile:
    """The typed rows of one raw file.

    Attributes:
        columns: the feed's columns that the export had.
        rows, rejected, totals: what became of the raw file's records.
    """

    sha256: str
    feed: str
    digest: str
    columns: tuple[str, ...]
    rows: int
    rejected: int
    totals: int
    parquet_sha256: str
    rejected_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class TypedRows:
    """What was written of one export.

    Attributes:
        rows: how many typed rows.
        totals: how many total lines were dropped.
        rejected: the rejected rows.
        finish: a last step over the file as a whole (ids of rows without a key, amounts added up), or None.
    """

    rows: int
    totals: int
    rejected: pl.DataFrame
    finish: Callable[[pl.LazyFrame], pl.LazyFrame] | None


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of the lake that is not what was written.

    Attributes:
        what: what is wrong with it.
        sha256: of the export, as the file's name says.
        export: the name of the export to put back; empty where no record tells it.
    """

    path: Path
    what: str
    feed: str = ""
    sha256: str = ""
    export: str = ""

    @property
    def missing(self) -> bool:
        """Whether the file is gone, not spoiled."""
        return self.what == MISSING


class Lake:
    """The files under one data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.raw, self.typed, self.metrics = (root / n for n in ("raw", "typed", "metrics"))
        self._known: dict[str, list[Any]] | None = None
        self._met = False  # whether a file was hashed that the record does not know

    # -- folders and lock

    def prepare(self) -> None:
        """Creates the folders, closed to others.

        Raises:
            LakeError: a folder cannot be created, or is a symbolic link.
        """
        for folder in (self.root, self.raw, self.typed, self.metrics):
            if folder.is_symlink():
                raise LakeError(f"{folder} is a symbolic link", "Point RMETRICS_DATA_DIR at the real folder.")
            self.folder(folder)

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

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lake for one run; the kernel frees it when the process ends, however it ends.

        Raises:
            BusyError: another run holds it; names the process and since when.
        """
        self.prepare()
        with self._lock_file() as file:
            if not _try_lock(file):
                raise _busy(file)
            file.seek(0)
            file.truncate()
            file.write(f"pid {os.getpid()}, since {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC")
            file.flush()
            try:
                yield
            finally:
                file.seek(0)
                file.truncate()

    def try_lock(self) -> None:
        """Looks whether a run could start now; changes nothing.

        Raises:
            BusyError: another run holds the lake; names the process and since when.
        """
        if (self.root / "lock").exists():
            with self._lock_file() as file:
                if not _try_lock(file):
                    raise _busy(file)

    @contextlib.contextmanager
    def _lock_file(self) -> Iterator[IO[str]]:
        with contextlib.ExitStack() as stack:
            path = self.root / "lock"
            try:
                file = stack.enter_context(lock_file(path))
            except OSError as error:
                raise _unwritable(path, error) from error
            yield file

    def sweep(self) -> int:
        """Removes what a killed run left half written, and damaged records of the lake as a whole: all are caches.

        Call it under the lock. Returns how many files.
        """
        count = 0
        for part in [*self.root.rglob("*.part"), self.root / "duckdb"]:  # files, and folders of files
            try:
                if part.is_dir():
                    shutil.rmtree(part)
                    count += 1
                elif part.exists():
                    part.unlink()
                    count += 1
            except OSError as error:
                raise _unwritable(part, error) from error
        for record in self.root.glob("*.json"):
            try:
                _read_json(record)
            except (ValueError, TypeError):
                with writing(record):
                    record.unlink()
                count += 1
            except OSError as error:
                raise _unwritable(record, error) from error
        return count

    # -- damage

    def is_sound(self, path: Path, digest: str, *, used: bool) -> bool:
        """Whether a file has the content it was written with.

        Bits that flip leave size and time as they were, so a file that is about to be used is always read; one that is
        not is read only where its size or time are not those at which it was last found sound.
        """
        try:
            status = path.stat()
            name, met = path.relative_to(self.root).as_posix(), [status.st_size, status.st_mtime_ns, digest]
            if not used and self._checked().get(name) == met:
                return True
            if file_digest(path) != digest:
                return False
        except OSError:
            return False
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

    # -- raw

    def raw_files(self) -> list[RawFile]:
        """All landed exports, oldest first.

        Raises:
            LakeError: a record is missing or unreadable; names the file and what to put back.
        """
        found = []
        for folder in sorted(p for p in self.raw.iterdir() if p.is_dir()) if self.raw.is_dir() else ():
            names = {e.name for e in os.scandir(folder)}
            for name in sorted(n for n in names if n.endswith(".parquet")):
                record = folder / (name.removesuffix(".parquet") + ".json")
                if record.name not in names:
                    raise _damaged(folder / name, "its record is missing")
                found.append(_raw_record(record))
        return sorted(self._decided(found), key=lambda f: f.age)

    def examine_raw(self, *, thorough: bool = False) -> tuple[list[RawFile], list[Damage]]:
        """All landed exports that are what was written, oldest first, and every file that is not.

        Args:
            thorough: read every file, also those whose size and time are what they were: bits that flip in Parquet are
                read without an error, as other numbers.
        """
        sound, damaged = list[RawFile](), list[Damage]()
        for folder in sorted(p for p in self.raw.iterdir() if p.is_dir()) if self.raw.is_dir() else ():
            names = {e.name for e in os.scandir(folder)}
            stems = {n.rpartition(".")[0] for n in names if n.endswith((".parquet", ".json"))}
            for stem in sorted(stems):
                found = self._examined(folder, stem, names, thorough=thorough)
                if isinstance(found, RawFile):
                    sound.append(found)
                else:
                    damaged.append(found)
        return sorted(self._decided(sound), key=lambda f: f.age), damaged

    def _examined(self, folder: Path, stem: str, names: set[str], *, thorough: bool) -> RawFile | Damage:
        path, record = folder / f"{stem}.parquet", folder / f"{stem}.json"
        if record.name not in names:
            return Damage(path, "its record is missing", folder.name, stem)
        try:
            made = _raw_record(record)
        except LakeError:
            return Damage(record, "the record cannot be read", folder.name, stem)
        if (made.feed, made.sha256) != (folder.name, stem):
            return Damage(record, "it is the record of another export", folder.name, stem)
        if path.name not in names:
            return Damage(path, MISSING, folder.name, stem, made.name)
        if not self.is_sound(path, made.parquet_sha256, used=thorough):
            return Damage(path, SPOILED, folder.name, stem, made.name)
        return made

    def decisions(self) -> dict[str, dict[str, Any]]:
        """What is recorded of exports beside their content, by hash: ``delivered_ns``, ``withdrawn``, ``restored``.

        Raises:
            LakeError: the record is damaged. It is no cache: without it a withdrawn export would count again.
        """
        path = self.raw / DECISIONS
        try:
            exports: dict[str, dict[str, Any]] = _read_json(path)["exports"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LakeError(
                f"{path} is damaged: it cannot be read",
                "Restore it from a backup. Without one, delete it and withdraw again the exports that must not count "
                "(`rmetrics exports`).",
            ) from error
        return exports

    def decide(self, sha256: str, **facts: Any) -> None:
        """Records facts of an export beside its content: durable, and kept when the caches are deleted."""
        decisions = self.decisions()
        decisions[sha256] = {**decisions.get(sha256, {}), **facts}
        with writing(self.raw / DECISIONS):
            self._write_json(self.raw / DECISIONS, {"exports": decisions})

    def _decided(self, files: Sequence[RawFile]) -> list[RawFile]:
        decisions = self.decisions()
        return [replace(f, **decisions[f.sha256]) if f.sha256 in decisions else f for f in files]

    def remove_raw(self, feed: str, sha256: str) -> None:
        """Removes what is left of an export that was lost, or that landed again elsewhere."""
        final = self.raw_path(feed, sha256)
        try:
            final.unlink(missing_ok=True)
            final.with_suffix(".json").unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(final, error) from error

    def raw_path(self, feed: str, sha256: str) -> Path:
        """Where the text of an export stands."""
        return self.raw / feed / f"{sha256}.parquet"

    def landing(
        self,
        batches: Iterator[pl.DataFrame],
        record: Callable[[int, str, int], RawFile],
        feed: str,
        sha256: str,
        landed: Callable[[RawFile], object],
    ) -> Iterator[pl.DataFrame]:
        """Writes the text of one export, and hands on each batch; committed when exhausted, or nothing has changed.

        An export that is put back keeps the name and time it first landed with: they decide which export is newer.

        Args:
            batches: text columns; at least one batch.
            record: makes the record from rows, SHA-256 and size of the Parquet file.
            feed: the feed it lands as.
            sha256: of the export's bytes.
            landed: is told of the committed file.
        """
        final = self.raw_path(feed, sha256)
        self.folder(final.parent)
        part = final.with_suffix(".part")
        with writing(final, part):
            writer = BatchWriter(part)
            with writer:
                for batch in batches:
                    writer.write(batch)
                    yield batch
            digest, size = flush(part)
            made = self.as_first_landed(record(writer.rows, digest, size))
            self._write_json(final.with_suffix(".json"), asdict(made))
            commit(part, final)
        self._remember(final, digest)
        landed(made)

    def as_first_landed(self, made: RawFile) -> RawFile:
        """The record with the name and the times with which this export landed for the first time, if it did before."""
        try:
            before = _raw_record(self.raw_path(made.feed, made.sha256).with_suffix(".json"))
            first = {n: getattr(before, n) for n in _FIRST} if before.sha256 == made.sha256 else {}
        except LakeError:
            first = {}
        if not first:
            known = self.load_json(LANDED).get("exports", {}).get(made.sha256, {})
            first = {n: known[n] for n in _FIRST if n in known}
        return replace(made, **first)

    def remember_landed(self, files: Collection[RawFile]) -> None:
        """Keeps a second account of what landed, to miss what is lost, and to know its age when it comes back."""
        exports = {f.sha256: {"feed": f.feed, **{n: getattr(f, n) for n in _FIRST}} for f in files}
        if self.load_json(LANDED).get("exports") != exports:
            self.save_json(LANDED, {"exports": exports})

    def scan_raw(self, file: RawFile) -> pl.LazyFrame:
        """The text of one export: its headers as columns, and line, problem and text of faulty records."""
        return pl.scan_parquet(self.raw_path(file.feed, file.sha256), glob=False)

    def raw_batches(self, file: RawFile) -> Iterator[pl.DataFrame]:
        """The text of one export in the batches it landed in."""
        import pyarrow.parquet as pq

        path = self.raw_path(file.feed, file.sha256)
        try:
            with pq.ParquetFile(path) as source:
                for group in range(source.num_row_groups):
                    frame = pl.from_arrow(source.read_row_group(group))
                    if isinstance(frame, pl.DataFrame):
                        yield frame
        except (OSError, ValueError) as error:
            raise _damaged(path, "it cannot be read", file.name) from error

    def verify_raw(self, file: RawFile) -> None:
        """Compares a landed file with the hash recorded when it was written.

        Raises:
            LakeError: it is missing or damaged; names the export to put back.
        """
        path = self.raw_path(file.feed, file.sha256)
        if not self.is_sound(path, file.parquet_sha256, used=True):
            raise _damaged(path, SPOILED, file.name)

    # -- typed

    def typed_path(self, feed: str, sha256: str, digest: str) -> Path:
        """Where the typed rows of an export stand."""
        return self.typed / feed / f"{sha256}.{digest}.parquet"

    def rejected_path(self, file: TypedFile) -> Path:
        """Where the rejected rows of an export stand; exists only when there are any."""
        return self.typed_path(file.feed, file.sha256, file.digest).with_suffix(".rejected.parquet")

    def typed_file(self, feed: str, sha256: str, digest: str) -> TypedFile | None:
        """The record of typed rows, or None when they must be made (again)."""
        path = self.typed_path(feed, sha256, digest)
        try:
            record = _read_json(path.with_suffix(".json"))
            found = TypedFile(**{**record, "columns": tuple(record["columns"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return (
            found if path.exists() and (found.rejected_sha256 is None or self.rejected_path(found).exists()) else None
        )

    def typed_is_sound(self, file: TypedFile, *, used: bool) -> bool:
        """Whether typed and rejected rows are what was written; see ``is_sound``."""
        expected = {self.typed_path(file.feed, file.sha256, file.digest): file.parquet_sha256}
        if file.rejected_sha256 is not None:
            expected[self.rejected_path(file)] = file.rejected_sha256
        return all(self.is_sound(path, digest, used=used) for path, digest in expected.items())

    def write_typed(
        self,
        key: tuple[str, str, str],
        rows: Callable[[Path], "TypedRows"],
        columns: Sequence[str],
    ) -> TypedFile:
        """Writes the typed and the rejected rows of one export.

        Args:
            key: feed, hash of the export, typing digest.
            rows: writes the typed rows to a path and returns what became of the export's records.
            columns: the feed's columns the export had.
        """
        feed, sha256, digest = key
        final = self.typed_path(feed, sha256, digest)
        self.folder(final.parent)
        part, first = final.with_suffix(".part"), final.with_suffix(".first.part")
        with writing(final, part, first):
            for stale in final.parent.glob(f"{sha256}.*"):
                stale.unlink()
            written = rows(first)
            if written.finish:
                whole = written.finish(pl.scan_parquet(first, glob=False))
                whole.sink_parquet(part, row_group_size=ROW_GROUP)
            else:
                first.replace(part)
            rejected_digest = None
            if written.rejected.height:
                spoiled = final.with_suffix(".rejected.part")
                written.rejected.write_parquet(spoiled)
                rejected_digest, _ = flush(spoiled)
                commit(spoiled, final.with_suffix(".rejected.parquet"))
            parquet_digest, _ = flush(part)
            made = TypedFile(
                sha256,
                feed,
                digest,
                tuple(columns),
                written.rows,
                written.rejected.height,
                written.totals,
                parquet_digest,
                rejected_digest,
            )
            self._write_json(final.with_suffix(".json"), asdict(made))
            commit(part, final)
        self._remember(final, parquet_digest)
        return made

    def scan_typed(self, file: TypedFile) -> pl.LazyFrame:
        """The typed rows of one export, with their line."""
        return pl.scan_parquet(self.typed_path(file.feed, file.sha256, file.digest), glob=False)

    def examine_caches(self) -> list[Damage]:
        """Every typed file and record that is not what was written; the next sync makes them again."""
        found = list[Damage]()
        for folder in sorted(p for p in self.typed.iterdir() if p.is_dir()) if self.typed.is_dir() else ():
            for path in sorted(folder.glob("*.parquet")):
                if not path.name.endswith(".rejected.parquet"):
                    found += self._examined_typed(path)
            for record in sorted(folder.glob("*.json")):
                if not record.with_suffix(".parquet").exists():
                    found.append(Damage(record.with_suffix(".parquet"), MISSING, folder.name))
        for record in sorted(self.root.glob("*.json")):
            try:
                _read_json(record)
            except (OSError, ValueError, TypeError):
                found.append(Damage(record, SPOILED))
        return found

    def _examined_typed(self, path: Path) -> Iterator[Damage]:
        sha256, _, digest = path.name.removesuffix(".parquet").partition(".")
        file = self.typed_file(path.parent.name, sha256, digest)
        if file is None:
            yield Damage(path, "its record or its rejected rows are damaged or missing", path.parent.name, sha256)
        elif not self.typed_is_sound(file, used=True):
            yield Damage(path, "it, or its rejected rows, are not what was written", path.parent.name, sha256)

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
            commit(part, folder)

    def kept_rules(self, digest: str) -> Path | None:
        """The folder with the rules of that digest, or None: they are only a cache."""
        folder = self.root / "rules" / digest
        return folder if digest and folder.is_dir() else None

    # -- small records

    def load_json(self, name: str) -> Any:
        """A record such as ``state``; an empty one when it is missing or damaged: it is only a cache."""
        try:
            return _read_json(self.root / f"{name}.json")
        except (OSError, ValueError, TypeError):
            return {}

    def save_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a record, whole or not at all."""
        with writing(self.root / f"{name}.json"):
            self._write_json(self.root / f"{name}.json", value)

    def forget(self, name: str) -> None:
        """Removes a record."""
        with writing(self.root / f"{name}.json"):
            (self.root / f"{name}.json").unlink(missing_ok=True)

    def _write_json(self, path: Path, value: Mapping[str, Any]) -> None:
        part = path.with_name(path.name + ".part")
        text = json.dumps({**value, _SUM: _record_sum(value)}, ensure_ascii=False, indent=1)
        part.write_text(text, encoding="utf-8")
        flush(part)
        commit(part, path)


def write_batches(path: Path, batches: Iterator[pl.DataFrame]) -> int:
    """Writes frames of one schema to one Parquet file, a row group each; returns how many rows."""
    writer = BatchWriter(path)
    with writer:
        for batch in batches:
            writer.write(batch)
    return writer.rows


class BatchWriter:
    """Writes frames of one schema to one Parquet file, a row group each; also where there are none but empty ones.

    Attributes:
        rows: how many were written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._writer: Any = None
        self._empty: pl.DataFrame | None = None

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        if self._writer is None and self._empty is not None:
            self._append(self._empty)
        if self._writer is not None:
            self._writer.close()

    def write(self, batch: pl.DataFrame) -> None:
        """Appends a row group."""
        if batch.height:
            self._append(batch)
            self.rows += batch.height
        else:
            self._empty = batch

    def _append(self, batch: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        table = batch.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            # A dictionary of values that hardly repeat, and the least and greatest text of a row group, cost as much
            # time as all the rest, and nobody asks for them.
            spellings = batch.select(pl.all().approx_n_unique()).row(0, named=True)
            repeat = [name for name, count in spellings.items() if count * _REPEATS <= batch.height]
            ordered = [s.name for s in batch if s.dtype != pl.String]
            self._writer = pq.ParquetWriter(
                self.path,
                table.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=repeat,
                write_statistics=ordered,
            )
        self._writer.write_table(table)


def flush(path: Path) -> tuple[str, int]:
    """Makes a written file durable and closed to others; returns its SHA-256 and size."""
    path.chmod(0o600)
    with path.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return digest, file.tell()


def commit(part: Path, final: Path) -> None:
    """Renames a flushed file to its final name and makes the rename durable."""
    part.replace(final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Makes the renames in a folder durable."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def writing(final: Path, *parts: Path) -> Iterator[None]:
    """Turns what a disk can say into a ``LakeError``, and leaves no half-written file.

    Nothing is left under the final name: it is written by the rename alone.
    """
    try:
        yield
    except OSError as error:
        raise _unwritable(final, error) from error
    except pl.exceptions.ComputeError as error:
        if any(text in str(error) for text in _FULL_DISK):
            raise LakeError(
                f"cannot write {final}: {str(error).splitlines()[0]}",
                "Free some space, then run again: nothing half written stays.",
            ) from error
        raise
    finally:
        for part in parts:
            with contextlib.suppress(OSError):  # the next run sweeps it away; the first error is the one to tell
                part.unlink(missing_ok=True)


def _try_lock(file: IO[str]) -> bool:
    try:
        return lock(file, alone=True)
    except OSError as error:  # of file systems without locks; two runs at once must not go unnoticed
        raise LakeError(
            f"{file.name} cannot be locked: {error.strerror}", "Put the data folder on a file system that has locks."
        ) from error


def _busy(file: IO[str]) -> BusyError:
    file.seek(0)
    holder = file.read().strip() or named_holder(file)
    return BusyError(f"another run holds the lake ({holder})", "Wait for it to end, then run again.")


def _record_sum(value: Mapping[str, Any]) -> str:
    """A record's checksum of itself: a flipped bit in it would change which export is newer, or how it is read."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    """A record.

    Raises:
        OSError, ValueError: it cannot be read, or is not what was written.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise TypeError(f"{path} holds no record")
    if _SUM in record and record.pop(_SUM) != _record_sum(record):
        raise ValueError(f"{path} is not what was written")
    return record


def _raw_record(path: Path) -> RawFile:
    try:
        record = _read_json(path)
        for name in ("preamble", "headers", "notes"):
            record[name] = tuple(record[name])
        return RawFile(**record)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, "the record cannot be read") from error


def _damaged(path: Path, what: str, export: str = "") -> LakeError:
    again = f"put the export {export!r} into the inbox" if export else "put its export into the inbox"
    return LakeError(f"{path} is damaged: {what}", f"Delete that file, {again}, and sync again.")


def _unwritable(path: Path, error: OSError) -> LakeError:
    return LakeError(f"cannot write {path}: {error.strerror or error}", "Check the disk's free space and permissions.")
