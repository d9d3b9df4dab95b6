"""What was computed last: which files hold the rows of each table, one file per part (a month of rows).

Files are named by their content and never changed, and a snapshot names the ones that belong together, so replacing the
record that holds it (``state.json``) puts a whole new computation into force, or none of it; who reads meanwhile keeps
what it had. Tables of rows have a small file of keys beside each part, in which a row's part is found without reading
the rows.
"""

import datetime as dt
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.errors import LakeError
from rmetrics.lake import ROW_GROUP, Lake, file_digest, writing
from rmetrics.parallel import in_order
from rmetrics.periods import NO_PART

STATE, _PART = "state", "_part"
Exports = tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file and what it was when it was written.

    Attributes:
        name: below the lake's folder.
    """

    name: str
    size: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one part of a table.

    Attributes:
        file: holds the rows.
        rows: how many.
        lines: of how many lines of each export they are made, by the export's rank; empty for computed tables.
        keys: holds the hashes of what rows are found by; None for computed tables.
    """

    file: Stored
    rows: int
    lines: Mapping[int, int] = field(default_factory=dict)
    keys: Stored | None = None

    @property
    def files(self) -> tuple[Stored, ...]:
        """All its files."""
        return (self.file,) if self.keys is None else (self.file, self.keys)


class SpoiledError(LakeError):
    """A file of the snapshot is not what was written; whoever computes makes it again, whoever reads is told."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(
            f"{root / name} is damaged: it is not what was written",
            "Run `rmetrics sync --full`, which makes it again from the exports.",
        )
        self.name = name


@dataclass(frozen=True)
class Snapshot:
    """One computation.

    Attributes:
        root: the lake's folder.
        inputs: digest of everything the numbers depend on; empty where nothing was computed.
        basis: digest of what all of them depend on but the exports: rules, program, engine.
        rules: digest of the rules.
        exports: hash, feed and rank of the exports used, oldest first.
        tables: the parts of each table. Every table has the part without a day, so that its columns are known.
    """

    root: Path
    inputs: str = ""
    basis: str = ""
    rules: str = ""
    exports: Exports = ()
    tables: Mapping[str, Mapping[dt.date, Part]] = field(default_factory=dict)
    _verified: set[str] = field(default_factory=set, compare=False)

    # -- reading

    def has(self, table: str) -> bool:
        """Whether the table was computed."""
        return table in self.tables

    def parts(self, table: str) -> Mapping[dt.date, Part]:
        """The parts of a table.

        Raises:
            LakeError: it was never computed.
        """
        if table not in self.tables:
            raise LakeError("nothing was computed yet", "Run: rmetrics sync")
        return self.tables[table]

    def paths(self, table: str, parts: Collection[dt.date] | None = None) -> list[Path]:
        """The files of a table, or of some of its parts, oldest first; parts it does not have are left out."""
        there = self.parts(table)
        return [self.root / there[p].file.name for p in sorted(there) if parts is None or p in parts]

    def scan(self, table: str, parts: Collection[dt.date] | None = None) -> pl.LazyFrame:
        """The rows of a table, or of some of its parts."""
        paths = self.paths(table, parts)
        if paths:
            return pl.scan_parquet(paths, glob=False)
        return pl.scan_parquet(self.paths(table)[:1], glob=False).head(0)

    def find(self, table: str, column: str, hashes: pl.Series) -> list[dt.date]:
        """The parts that may hold a row found by one of the hashes (``hashed``); those without one are left out.

        Raises:
            SpoiledError: a file of keys is not what was written.
        """
        files = {part: p.keys for part, p in self.parts(table).items() if p.keys is not None}
        if hashes.is_empty() or not files:
            return []
        names = {str(self.root / f.name): part for part, f in files.items()}
        self.verify(files.values())
        found = (
            pl.scan_parquet(list(names), glob=False, include_file_paths="_path")
            .filter(pl.col(column).is_in(hashes.unique().implode()))
            .select(pl.col("_path").unique())
            .collect(engine="streaming")
        )
        return sorted(names[p] for p in found["_path"])

    def files(self) -> Iterator[Stored]:
        """Every file."""
        for parts in self.tables.values():
            for part in parts.values():
                yield from part.files

    # -- damage

    def altered(self) -> list[str]:
        """The files that are gone or not what was written, by name. Only those with another size or time are read."""
        return [f.name for f in self.files() if not self._untouched(f) and not self._sound(f)]

    def damaged(self) -> list[str]:
        """The files that are gone or not what was written, by name. All are read: bits flip without a trace."""
        files = list(self.files())
        return [f.name for f, sound in zip(files, in_order(self._sound, files), strict=True) if not sound]

    def verify(self, files: Iterable[Stored]) -> None:
        """Reads files before their rows are used.

        Raises:
            SpoiledError: one is not what was written.
        """
        new = [f for f in files if f.name not in self._verified]
        for stored, sound in zip(new, in_order(self._sound, new), strict=True):
            if not sound:
                raise SpoiledError(self.root, stored.name)
            self._verified.add(stored.name)

    def verify_parts(self, table: str, parts: Collection[dt.date]) -> None:
        """Reads the files of some parts before their rows are used.

        Raises:
            SpoiledError: one is not what was written.
        """
        there = self.tables[table]
        self.verify(there[part].file for part in parts if part in there)

    def _untouched(self, stored: Stored) -> bool:
        try:
            status = (self.root / stored.name).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (stored.size, stored.modified_ns)

    def _sound(self, stored: Stored) -> bool:
        try:
            return file_digest(self.root / stored.name) == stored.sha256
        except OSError:
            return False


def hashed(values: pl.Expr) -> pl.Expr:
    """What rows are found by: 64 bits of a text or a key. Two values may share them; one never has two."""
    return values.hash(seed=7)


def hashes_of(values: pl.Series) -> pl.Series:
    """The hashes (``hashed``) of single values."""
    return values.to_frame("value").select(hashed(pl.col("value")))["value"]


def load(lake: Lake) -> Snapshot:
    """The computation in force; an empty one where there is none, or its record is damaged: it is only a cache."""
    path = lake.root / f"{STATE}.json"
    try:
        status = path.stat()
    except OSError:
        return Snapshot(lake.root)
    return replace(_loaded(path, status.st_ino, status.st_size, status.st_mtime_ns), _verified=set())


@lru_cache(maxsize=4)
def _loaded(path: Path, *_: int) -> Snapshot:
    """The snapshot of a record as it stands; with its inode, size and time, which tell it from a later one."""
    lake = Lake(path.parent)
    try:
        return _from_json(lake.root, lake.load_json(STATE))
    except (KeyError, TypeError, ValueError, AttributeError):
        return Snapshot(lake.root)


def save(lake: Lake, snapshot: Snapshot) -> None:
    """Puts a computation into force."""
    lake.save_json(STATE, _to_json(snapshot))


def sweep(lake: Lake) -> int:
    """Removes computed files that the snapshot in force does not name: an earlier one's, and what a killed run wrote.

    Call it under the lock, before anything is computed. Returns how many.
    """
    named = {f.name for f in load(lake).files()}
    count = 0
    for folder in (lake.current, lake.metrics):
        for path in folder.rglob("*") if folder.is_dir() else ():
            if path.is_file() and path.relative_to(lake.root).as_posix() not in named:
                path.unlink(missing_ok=True)
                count += 1
    return count


def _to_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "inputs": snapshot.inputs,
        "basis": snapshot.basis,
        "rules": snapshot.rules,
        "exports": [list(e) for e in snapshot.exports],
        "tables": {
            name: {
                part.isoformat(): {
                    "rows": p.rows,
                    "files": [[f.name, f.size, f.modified_ns, f.sha256] for f in p.files],
                    "lines": {str(rank): n for rank, n in p.lines.items()},
                }
                for part, p in sorted(parts.items())
            }
            for name, parts in snapshot.tables.items()
        },
    }


def _from_json(root: Path, record: Mapping[str, Any]) -> Snapshot:
    def made(entry: Mapping[str, Any]) -> Part:
        files = [Stored(*f) for f in entry["files"]]
        lines = {int(rank): n for rank, n in entry["lines"].items()}
        return Part(files[0], entry["rows"], lines, files[1] if len(files) > 1 else None)

    tables = {
        name: {dt.date.fromisoformat(part): made(entry) for part, entry in parts.items()}
        for name, parts in record["tables"].items()
    }
    exports = tuple((sha256, feed, rank) for sha256, feed, rank in record["exports"])
    return Snapshot(root, record["inputs"], record["basis"], record["rules"], exports, tables)


# -- writing


def write_table(
    lake: Lake,
    folder: Path,
    rows: pl.LazyFrame,
    part: pl.Expr,
    finders: Mapping[str, pl.Expr] | None = None,
    *,
    lines: tuple[str, str] | None = None,
) -> dict[dt.date, Part]:
    """Writes rows into one file per part; they are in force once a snapshot that names them is saved.

    Args:
        lake: where to.
        folder: the table's, inside the lake.
        rows: in any order.
        part: the part a row belongs to, of its columns.
        finders: what rows are found by: names, and hashes of their columns; None where nobody looks for them.
        lines: the columns that say from which export a row is and of how many lines it is made; None where none do.

    Returns:
        The parts that have rows, and the one without a day.

    Raises:
        LakeError: they cannot be written.
    """
    stage = folder.with_suffix(".part")
    lake.folder(folder)
    with writing(folder):
        shutil.rmtree(stage, ignore_errors=True)
        files = _split(rows, part, stage / "rows")
        if NO_PART not in files:
            files[NO_PART] = stage / "none"
            pl.DataFrame(schema=rows.collect_schema()).write_parquet(files[NO_PART])
        found_by = _scan(files).select(part.alias(_PART), **(finders or {}))
        keys = {} if finders is None else _split(found_by, pl.col(_PART), stage / "keys")
        if finders is not None and NO_PART not in keys:
            keys[NO_PART] = stage / "no keys"
            pl.DataFrame(schema=dict.fromkeys(finders, pl.UInt64())).write_parquet(keys[NO_PART])
        counts, made = _counts(files, lines), {}
        for when, path in sorted(files.items()):
            stored = _commit(lake, path, folder, _label(when))
            beside = _commit(lake, keys[when], folder, f"{_label(when)}.keys") if when in keys else None
            made[when] = Part(stored, *counts.get(when, (0, {})), beside)
        shutil.rmtree(stage, ignore_errors=True)
    return made


def _split(rows: pl.LazyFrame, part: pl.Expr, folder: Path) -> dict[dt.date, Path]:
    key = part.alias(_PART)
    found: dict[dt.date, Path] = {}

    def path_of(file: Any) -> str:
        when = file.partition_keys.item()
        if when in found:
            msg = f"{folder} would have two files of one part"
            raise AssertionError(msg)
        found[when] = folder / f"{when.isoformat()}.parquet"
        return found[when].name

    target = pl.PartitionBy(
        folder, key=key, include_key=False, file_path_provider=path_of, approximate_bytes_per_file=None
    )
    folder.mkdir(parents=True)
    rows.sink_parquet(target, compression="zstd", compression_level=1, row_group_size=ROW_GROUP, maintain_order=False)
    return found


def _scan(files: Mapping[dt.date, Path]) -> pl.LazyFrame:
    return pl.scan_parquet(list(files.values()), glob=False, hive_partitioning=False, include_file_paths="_path")


def _counts(files: Mapping[dt.date, Path], lines: tuple[str, str] | None) -> dict[dt.date, tuple[int, dict[int, int]]]:
    """Rows of each part, and of how many lines of each export they are made."""
    names = {str(path): when for when, path in files.items()}
    rows = dict[dt.date, tuple[int, dict[int, int]]]()
    export, amount = (pl.col(lines[0]), pl.col(lines[1])) if lines else (pl.lit(0), pl.lit(0))
    counted = _scan(files).group_by("_path", export.alias("export")).agg(pl.len(), amount.sum().alias("lines"))
    for path, rank, count, made_of in counted.collect(engine="streaming").iter_rows():
        before, of = rows.get(names[path], (0, {}))
        rows[names[path]] = before + count, {**of, rank: made_of} if lines else {}
    return rows


def _label(part: dt.date) -> str:
    return "undated" if part == NO_PART else f"{part:%Y-%m}"


def _commit(lake: Lake, written: Path, folder: Path, name: str) -> Stored:
    """Gives a file its final name, by its content.

    It is not flushed: there may be thousands, all can be made again, and none is used before its content was looked at.
    """
    written.chmod(0o600)
    digest = file_digest(written)
    final = folder / f"{name}.{digest[:12]}.parquet"
    written.replace(final)
    status = final.stat()
    return Stored(final.relative_to(lake.root).as_posix(), status.st_size, status.st_mtime_ns, digest)


__all__ = ["Part", "Snapshot", "SpoiledError", "Stored", "hashed", "hashes_of", "load", "save", "sweep", "write_table"]
