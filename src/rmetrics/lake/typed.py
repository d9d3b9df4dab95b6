"""The typed layer: a cache of the typed and the rejected rows of every export, and its catalog.

A large export has its own file. Small exports of one feed, one definition and the same columns share a pack, whose
``_export`` column identifies the export of each row; rows of one export are contiguous. A pack is never changed: to
add small exports, a new pack replaces it. Files that ``catalog.json`` does not list are garbage.
"""

import contextlib
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from rmetrics.lake.files import CORRUPT, MISSING, BatchWriter, Damage, file_digest, writing
from rmetrics.lake.records import Folder
from rmetrics.lake.store import Store

_ROW_GROUP = 250_000
EXPORT = "_export"  # the number of a row's export within its pack
_PACK_ROWS = 100_000
_PACK_EXPORTS = 10_000
_CATALOG = "catalog.json"
_TYPED = "typed/"
_OF_FILE = ("name", "feed", "digest", "columns", "packed", "parquet_sha256", "rejected_sha256")
_OWN = ("sha256", "rows", "rejected", "totals", "number", "first", "height", "no_numbers")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedFile:
    """The typed rows of one export.

    Attributes:
        columns: the feed's columns that the export had.
        rows, rejected, totals: number of typed rows, rejected rows and dropped totals.
        name: the Parquet file inside ``typed/``.
        packed: whether the file also has rows of other exports.
        number: the value of ``_export`` in a pack.
        first, height: the position and number of its rows in a pack.
        no_numbers: number of phone cells with a placeholder instead of a number; they are null.
    """

    sha256: str
    feed: str
    digest: str
    columns: tuple[str, ...]
    rows: int
    rejected: int
    totals: int
    name: str
    parquet_sha256: str
    rejected_sha256: str | None = None
    packed: bool = False
    number: int = 0
    first: int = 0
    height: int = 0
    no_numbers: int = 0


class TypedWriter(BatchWriter):
    """Writes the typed rows of a large export.

    Attributes:
        totals: number of dropped total lines.
        no_numbers: number of phone cells with a placeholder.
        rejected: the rejected rows.
        finish: a final step over the whole file (ids of rows without a key, summed amounts), or None.
    """

    def __init__(self, key: "Key", columns: Sequence[str], final: Path) -> None:
        super().__init__(final.with_suffix(".first.part"))
        self.key, self.columns, self.final, self.part = key, tuple(columns), final, final.with_suffix(".part")
        self.totals, self.no_numbers, self.rejected = 0, 0, list[pl.DataFrame]()
        self.finish: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None


class Counts(NamedTuple):
    """Of one export, the number of typed lines, of dropped totals, and of phone cells with a placeholder."""

    lines: int
    totals: int
    no_numbers: int


@dataclass(frozen=True, slots=True)
class PackRows:
    """The typed rows of small exports of one feed, one definition and the same columns.

    Attributes:
        exports: their hashes; ``_export`` is the index in this sequence.
        rows: typed rows with ``_export``, sorted by it.
        rejected: rejected rows with ``_export``.
        counts: by export.
    """

    exports: Sequence[str]
    rows: pl.DataFrame
    rejected: pl.DataFrame
    counts: Sequence[Counts]


Key = tuple[str, str, str]  # feed, hash of the export, typing digest


class _Put(NamedTuple):
    """The final name of typed rows, and the digests of them and of the rejected rows, if there are any."""

    name: str
    parquet_sha256: str
    rejected_sha256: str | None


class TypedLayer(Folder):
    """The typed layer of a lake."""

    def __init__(self, root: Path, store: Store | None = None) -> None:
        super().__init__(root, store)
        self.typed = self.root / "typed"
        self._entries: dict[Key, TypedFile] | None = None
        self._typing = threading.Lock()  # exports land in parallel

    # -- typed exports

    def typed_path(self, feed: str, sha256: str, digest: str) -> Path:
        """The file with the typed rows of an export; if they do not exist yet, the file a large export would get."""
        found = self._typed().get((feed, sha256, digest))
        return self.location(found) if found else self.typed / _own_name(feed, sha256, digest)

    def location(self, file: TypedFile) -> Path:
        """The file with the typed rows of one or several exports."""
        return self.store.location(f"{_TYPED}{file.name}", file.parquet_sha256)

    def rejected_path(self, file: TypedFile) -> Path:
        """The file with the rejected rows of an export; exists only if there are any."""
        return self.store.location(f"{_TYPED}{_rejected_name(file.name)}", file.rejected_sha256)

    def typed_file(self, feed: str, sha256: str, digest: str) -> TypedFile | None:
        """The record of an export's typed rows; None if they must be made (again)."""
        found = self._typed().get((feed, sha256, digest))
        return found if found and self._typed_exists(found) else None

    def typed_files(self, keys: Iterable["Key"]) -> dict["Key", TypedFile]:
        """The records of those typed rows that exist; looks only once for a file that exports share."""
        known = self._typed()
        found = {key: known[key] for key in keys if key in known}
        existing = {name for name, file in {f.name: f for f in found.values()}.items() if self._typed_exists(file)}
        return {key: file for key, file in found.items() if file.name in existing}

    def typed_are_intact(self, files: Iterable[TypedFile], *, used: bool) -> set[str]:
        """The names of those files that are as written; see ``is_intact``."""
        by_name = {file.name: file for file in files}
        return {name for name, file in by_name.items() if self.typed_is_intact(file, used=used)}

    def typed_before(self, feed: str, sha256: str) -> TypedFile | None:
        """The typed rows of an export under any definition, if there are any."""
        found = (
            f for (of, sha, _), f in self._typed().items() if (of, sha) == (feed, sha256) and self._typed_exists(f)
        )
        return next(found, None)

    def _typed_exists(self, file: TypedFile) -> bool:
        names = (file.name, *([] if file.rejected_sha256 is None else [_rejected_name(file.name)]))
        return all(self.store.head(f"{_TYPED}{name}") is not None for name in names)

    def typed_is_intact(self, file: TypedFile, *, used: bool) -> bool:
        """Whether typed and rejected rows are as written; see ``is_intact``."""
        expected = {file.name: file.parquet_sha256}
        if file.rejected_sha256 is not None:
            expected[_rejected_name(file.name)] = file.rejected_sha256
        return all(self.is_intact(f"{_TYPED}{name}", digest, used=used) for name, digest in expected.items())

    def scan_typed(self, file: TypedFile) -> pl.LazyFrame:
        """The typed rows of one export, with their line."""
        path = self.location(file)
        if not file.packed:
            return pl.scan_parquet(path, glob=False)
        return _pack(path, file.parquet_sha256).slice(file.first, file.height).drop(EXPORT).lazy()

    def scan_pack(self, file: TypedFile) -> pl.LazyFrame:
        """The typed rows of all exports in a pack, with ``EXPORT``."""
        return pl.scan_parquet(self.location(file), glob=False)

    def rejected_rows(self, file: TypedFile) -> pl.DataFrame:
        """The rejected rows of one export.

        Raises:
            OSError, PolarsError: they cannot be read.
        """
        rows = pl.read_parquet(self.rejected_path(file), glob=False)
        return rows.filter(pl.col(EXPORT) == file.number).drop(EXPORT) if file.packed else rows

    def _typed(self) -> dict[Key, TypedFile]:
        if self._entries is None:
            try:
                found = _files_of(self.read_record(f"{_TYPED}{_CATALOG}"))
            except (OSError, ValueError, TypeError, KeyError):
                found = []
            self._entries = {(f.feed, f.sha256, f.digest): f for f in found}
        return self._entries

    # -- writing

    @contextlib.contextmanager
    def typing(self, key: Key, columns: Sequence[str]) -> Iterator[TypedWriter]:
        """A typed file of a large export being written; removed at the end without ``commit_typed``.

        Args:
            key: feed, hash of the export, typing digest.
            columns: the feed's columns that the export had.
        """
        final = self.typed / _own_name(*key)
        self.folder(final.parent)
        writer = TypedWriter(key, columns, final)
        with writing(final, writer.part, writer.path):
            try:
                yield writer
            finally:
                writer.discard()

    def commit_typed(self, writer: TypedWriter) -> TypedFile:
        """Gives typed and rejected rows their final names."""
        writer.close()
        if writer.finish:
            finished = BatchWriter(writer.part)
            with contextlib.closing(finished):
                finished.write_all(writer.finish(pl.scan_parquet(writer.path, glob=False)), _ROW_GROUP)
        else:
            writer.path.replace(writer.part)
        rejected = pl.concat(writer.rejected) if writer.rejected else pl.DataFrame()
        feed, sha256, digest = writer.key
        name, parquet_sha256, rejected_sha256 = self._put(writer.part, _own_name(*writer.key), rejected)
        made = TypedFile(
            sha256=sha256,
            feed=feed,
            digest=digest,
            columns=writer.columns,
            rows=writer.rows,
            rejected=rejected.height,
            totals=writer.totals,
            name=name,
            rejected_sha256=rejected_sha256,
            parquet_sha256=parquet_sha256,
            no_numbers=writer.no_numbers,
        )
        self._enter([made])
        return made

    def write_pack(self, feed: str, digest: str, columns: Sequence[str], new: PackRows) -> list[TypedFile]:
        """Writes the typed and rejected rows of small exports, merged with those of a pack that has room.

        Args:
            feed: their feed.
            digest: their typing digest.
            columns: the feed's columns that the exports had.
            new: the rows.
        """
        old, rows, rejected = self._with_room(feed, digest, tuple(columns), new), new.rows, new.rejected
        start = height = 0
        if old:
            start, height = 1 + old[-1].number, sum(f.height for f in old)
            kept = pl.col(EXPORT).is_in([f.number for f in old])
            packed_rows = pl.read_parquet(self.location(old[0]), glob=False).filter(kept)
            rows = pl.concat([packed_rows, rows.with_columns(pl.col(EXPORT) + start)])
            rejected = rejected.with_columns(pl.col(EXPORT) + start)
            if old[0].rejected_sha256 is not None:
                faults = pl.read_parquet(self.rejected_path(old[0]), glob=False)
                rejected = pl.concat([faults.filter(kept), rejected])
        named = hashlib.sha256("".join([f.sha256 for f in old] + [*new.exports]).encode()).hexdigest()
        name = f"{feed}/pack-{named[:24]}.{digest}.parquet"
        final = self.typed / name
        self.folder(final.parent)
        part = final.with_suffix(".part")
        with writing(final, part):
            rows.write_parquet(part, compression_level=1, row_group_size=_PACK_ROWS)
            name, parquet_sha256, rejected_sha256 = self._put(part, name, rejected)
            heights = dict(new.rows.group_by(EXPORT).len().iter_rows())
            faulty = dict(new.rejected.group_by(EXPORT).len().iter_rows())
            made = []
            for i, sha256 in enumerate(new.exports):
                lines, totals, no_numbers = new.counts[i]
                own = TypedFile(
                    sha256=sha256,
                    feed=feed,
                    digest=digest,
                    columns=tuple(columns),
                    rows=lines,
                    rejected=faulty.get(i, 0),
                    totals=totals,
                    no_numbers=no_numbers,
                    name=name,
                    parquet_sha256=parquet_sha256,
                    rejected_sha256=rejected_sha256,
                    packed=True,
                    number=start + i,
                    first=height,
                    height=heights.get(i, 0),
                )
                height += own.height
                made.append(own)
            firsts = itertools.accumulate((f.height for f in old), initial=0)
            rewritten = [
                replace(f, name=name, parquet_sha256=parquet_sha256, rejected_sha256=rejected_sha256, first=first)
                for f, first in zip(old, firsts, strict=False)
            ]
            self._enter([*rewritten, *made])
        return made

    def adopt_typed(self, made: Sequence[TypedFile]) -> None:
        """Enters typed rows whose files another machine wrote (``lake.staged``)."""
        if made:
            self._enter(made)

    def _with_room(self, feed: str, digest: str, columns: tuple[str, ...], new: PackRows) -> list[TypedFile]:
        """The other exports, in order, of a sound pack of the same kind that has room for these; or none."""
        packs: dict[str, list[TypedFile]] = {}
        made = set(new.exports)
        for file in self._typed().values():
            if file.packed and (file.feed, file.digest, file.columns) == (feed, digest, columns):
                packs.setdefault(file.name, []).append(file)
        for files in packs.values():
            others = sorted((f for f in files if f.sha256 not in made), key=lambda f: f.number)
            exports, rows = len(others) + len(made), sum(f.height for f in others) + new.rows.height
            room = others and exports <= _PACK_EXPORTS and rows <= _PACK_ROWS
            if room and self._typed_exists(others[0]) and self.typed_is_intact(others[0], used=True):
                return others
        return []

    def _put(self, part: Path, name: str, rejected: pl.DataFrame) -> _Put:
        """Gives typed and rejected rows their final name.

        They are not flushed: they can be rebuilt, and are verified before use.
        """
        digest, faults = file_digest(part), None
        faulty = part.with_suffix(".rejected.part")
        with writing(part, faulty):
            if rejected.height:
                rejected.write_parquet(faulty)
                faults = file_digest(faulty)
            both = digest if faults is None else hashlib.sha256(f"{digest}{faults}".encode()).hexdigest()
            name = self.store.named(name, both)
            if faults is not None:
                self._put_one(faulty, _rejected_name(name), faults)
        self._put_one(part, name, digest)
        return _Put(name, digest, faults)

    def _put_one(self, part: Path, name: str, digest: str) -> None:
        self.store.write_new(part, f"{_TYPED}{name}")
        self._remember(f"{_TYPED}{name}", digest)

    def _enter(self, made: Sequence[TypedFile]) -> None:
        """Records typed rows in place of the previous ones of their exports.

        The next run's sweep removes unreferenced files: a process may still be reading them.
        """
        with self._typing:
            exports, entries = {f.sha256 for f in made}, self._typed()
            kept = {k: f for k, f in entries.items() if f.sha256 not in exports}
            kept |= {(f.feed, f.sha256, f.digest): f for f in made}
            self._entries = kept
            self.write_record(f"{_TYPED}{_CATALOG}", _records_of(list(kept.values())))

    def sweep_typed(self) -> int:
        """Removes files that the catalog does not list; returns their number."""
        named = {f"{_TYPED}{n}" for f in self._typed().values() for n in (f.name, _rejected_name(f.name))}
        return self.sweep_objects(_TYPED, named | {f"{_TYPED}{_CATALOG}"})

    # -- damage

    def examine_typed(self) -> Iterator[Damage]:
        """Every typed file that fails its checksum; the next sync rebuilds it."""
        catalog = f"{_TYPED}{_CATALOG}"
        try:
            has_catalog = self.store.head(catalog) is not None
            files = {f.name: f for f in _files_of(self.read_record(catalog))} if has_catalog else {}
        except (OSError, ValueError, TypeError, KeyError):
            yield Damage(self.typed / _CATALOG, CORRUPT)
            return
        for file in files.values():
            path = self.typed / file.name
            if not self._typed_exists(file):
                yield Damage(path, MISSING, file.feed, "" if file.packed else file.sha256)
            elif not self.typed_is_intact(file, used=True):
                message = "its checksum, or that of its rejected rows, does not match"
                yield Damage(path, message, file.feed, "" if file.packed else file.sha256)


def _own_name(feed: str, sha256: str, digest: str) -> str:
    return f"{feed}/{sha256}.{digest}.parquet"


def _rejected_name(name: str) -> str:
    return f"{name.removesuffix('.parquet')}.rejected.parquet"


@lru_cache(maxsize=8)
def _pack(path: Path, _digest: str) -> pl.DataFrame:
    """The rows of a pack, cached: packs are small. Its digest is part of the cache key, to tell it from a later one."""
    return pl.read_parquet(path, glob=False)


def _records_of(files: Sequence[TypedFile]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        of_file = found.setdefault(file.name, {**{n: getattr(file, n) for n in _OF_FILE}, "exports": []})
        of_file["exports"].append([getattr(file, n) for n in _OWN])
    return {"files": list(found.values())}


def _files_of(records: Mapping[str, Any]) -> list[TypedFile]:
    made: Callable[..., TypedFile] = TypedFile
    found = list[TypedFile]()
    for of_file in records["files"]:
        shared = {n: tuple(v) if isinstance(v := of_file[n], list) else v for n in _OF_FILE}
        found += [made(**shared, **dict(zip(_OWN, export, strict=True))) for export in of_file["exports"]]
    return found
