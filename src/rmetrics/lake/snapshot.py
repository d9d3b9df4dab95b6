"""The last computation: the files that hold the rows of each table.

Files are named by their content and never changed, and a snapshot lists the files that belong together. So replacing
the record that holds it (``state.json``) puts a whole new computation into force, or none of it; concurrent readers
keep the old one.

A table is a stack of layers. The lowest holds the rows computed from everything; a change adds a layer on top, with the
new rows and the positions (``rmetrics.positions``) of rows below that no longer hold. The cost of a change depends on
its size, not on the size of the table; layers are merged when there are many, or when they are large.
"""

import contextlib
import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from rmetrics.errors import LakeError
from rmetrics.lake import BatchWriter, Lake, Store, file_digest, writing
from rmetrics.parallel import in_order
from rmetrics.positions import POSITION

STATE = "state"
SMALL = 250_000  # rows of a table whose layers are merged as a whole
_GROUP = 50_000  # rows of a row group: readers hold several groups in memory


class UsedExport(NamedTuple):
    """An export that a computation used.

    Attributes:
        sha256: of its bytes.
        feed: the feed it was read as.
        rank: its place by age; the newest has the highest.
    """

    sha256: str
    feed: str
    rank: int


Exports = tuple[UsedExport, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file, and its size, time and hash when it was written.

    Attributes:
        name: below the lake's folder.
    """

    name: str
    size: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Layer:
    """The rows that one computation added to a table.

    Attributes:
        file: holds the rows.
        rows: their number.
        removed: holds the positions of rows in the layers below that no longer hold; None if all do.
    """

    file: Stored
    rows: int
    removed: Stored | None = None

    @property
    def files(self) -> tuple[Stored, ...]:
        """All files of the layer."""
        return (self.file,) if self.removed is None else (self.file, self.removed)


class CorruptError(LakeError):
    """A file of the snapshot fails its checksum. A computation rebuilds it; a reader reports the error."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__(
            f"{store.shown(name)} is damaged: its checksum does not match",
            "Run `rmetrics sync --full`, which rebuilds it from the exports.",
        )
        self.name = name


@dataclass(frozen=True)
class Snapshot:
    """One computation.

    Attributes:
        store: holds its files.
        inputs: digest of everything the figures depend on; empty if nothing was computed.
        basis: digest of everything all figures depend on except the exports: rules, program, engine.
        rules: digest of the rules.
        exports: the exports used, oldest first.
        tables: the layers of each table, lowest first.
    """

    store: Store = field(compare=False)
    inputs: str = ""
    basis: str = ""
    rules: str = ""
    exports: Exports = ()
    tables: Mapping[str, Sequence[Layer]] = field(default_factory=dict)
    _verified: set[str] = field(default_factory=set, compare=False)

    # -- reading

    def has(self, table: str) -> bool:
        """Whether the table was computed."""
        return table in self.tables

    def layers(self, table: str) -> Sequence[Layer]:
        """The layers of a table.

        Raises:
            LakeError: it was never computed.
        """
        if table not in self.tables:
            raise LakeError("nothing has been computed yet", "Run: rmetrics sync")
        return self.tables[table]

    def same_files(self, other: "Snapshot", tables: Iterable[str]) -> bool:
        """Whether both computations have tables of the same content: files are named by it.

        Raises:
            LakeError: one of the tables was never computed.
        """
        return all(
            [layer.files for layer in self.layers(t)] == [layer.files for layer in other.layers(t)] for t in tables
        )

    def rows(self, table: str) -> int:
        """The number of rows in its layers, including those that no longer hold."""
        return sum(layer.rows for layer in self.layers(table))

    def path(self, table: str) -> Path:
        """The file of a table that always has exactly one layer."""
        (layer,) = self.layers(table)
        return self._at(layer.file)

    def paths(self, table: str) -> list[tuple[Path, list[Path]]]:
        """For each layer, the file of its rows and the files with positions that no longer hold."""
        layers = self.layers(table)
        return [
            (self._at(layer.file), [self._at(above.removed) for above in layers[i + 1 :] if above.removed])
            for i, layer in enumerate(layers)
        ]

    def _at(self, stored: Stored) -> Path:
        return self.store.location(stored.name, stored.sha256)

    def scan(self, table: str) -> pl.LazyFrame:
        """The rows of a table that hold."""
        frames = []
        for path, removed in self.paths(table):
            rows = pl.scan_parquet(path, glob=False)
            if removed:
                rows = rows.join(pl.scan_parquet(removed, glob=False), on=POSITION, how="anti")
            frames.append(rows)
        return pl.concat(frames)

    def files(self) -> Iterator[Stored]:
        """Yields every file."""
        for layers in self.tables.values():
            for layer in layers:
                yield from layer.files

    # -- damage

    def altered(self) -> list[str]:
        """The names of files that are missing or fail their checksums; reads only those whose size or time changed."""
        return [f.name for f in self.files() if not self._untouched(f) and not self._is_intact(f)]

    def damaged(self) -> list[str]:
        """The names of files that are missing or fail their checksums; reads all, since flipped bits leave no trace."""
        files = list(self.files())
        return [f.name for f, intact in zip(files, in_order(self._is_intact, files), strict=True) if not intact]

    def verify(self, *tables: str) -> None:
        """Reads the files of tables completely before their rows are used.

        Raises:
            CorruptError: one fails its checksum.
        """
        new = [f for t in tables for layer in self.layers(t) for f in layer.files if f.name not in self._verified]
        for stored, intact in zip(new, in_order(self._is_intact, new), strict=True):
            if not intact:
                raise CorruptError(self.store, stored.name)
            self._verified.add(stored.name)

    def _untouched(self, stored: Stored) -> bool:
        entry = self.store.head(stored.name)
        return entry is not None and (entry.size, entry.modified_ns) == (stored.size, stored.modified_ns)

    def _is_intact(self, stored: Stored) -> bool:
        try:
            return self.store.has_content(stored.name, stored.sha256)
        except OSError:
            return False


def load(lake: Lake) -> Snapshot:
    """The computation in force; empty if there is none or its record is damaged, because it is only a cache."""
    entry = lake.store.head(f"{STATE}.json")
    if entry is None:
        return Snapshot(lake.store)
    key = (lake.store.shown(entry.name), entry.version)
    if key not in _loaded:
        while len(_loaded) >= _KEPT:
            del _loaded[next(iter(_loaded))]
        try:
            _loaded[key] = _from_json(lake.store, lake.load_json(STATE))
        except (KeyError, TypeError, ValueError, AttributeError):
            return Snapshot(lake.store)
    return replace(_loaded[key], store=lake.store, _verified=set())


_KEPT = 4
_loaded: dict[tuple[str, str], Snapshot] = {}  # by location and version of the record


def save(lake: Lake, snapshot: Snapshot) -> None:
    """Puts a computation into force."""
    lake.save_json(STATE, _to_json(snapshot))


def sweep(lake: Lake) -> int:
    """Removes computed files that the snapshot in force does not list: of earlier snapshots and killed runs.

    Call it under the lock, before computing. Returns their number.
    """
    named = {f.name for f in load(lake).files()}
    return lake.sweep_objects(f"{lake.metrics.name}/", named)


def _to_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "inputs": snapshot.inputs,
        "basis": snapshot.basis,
        "rules": snapshot.rules,
        "exports": [list(e) for e in snapshot.exports],
        "tables": {
            name: [
                {"rows": la.rows, "files": [[f.name, f.size, f.modified_ns, f.sha256] for f in la.files]}
                for la in layers
            ]
            for name, layers in snapshot.tables.items()
        },
    }


def _from_json(store: Store, record: Mapping[str, Any]) -> Snapshot:
    def made(entry: Mapping[str, Any]) -> Layer:
        files = [Stored(*f) for f in entry["files"]]
        return Layer(files[0], entry["rows"], files[1] if len(files) > 1 else None)

    tables = {name: tuple(made(entry) for entry in layers) for name, layers in record["tables"].items()}
    exports = tuple(UsedExport(*export) for export in record["exports"])
    return Snapshot(store, record["inputs"], record["basis"], record["rules"], exports, tables)


# -- writing


def write_layer(lake: Lake, table: str, rows: pl.LazyFrame | pl.DataFrame, removed: pl.Series | None = None) -> Layer:
    """Writes a layer of a table; it takes effect once a snapshot that lists it is saved.

    Args:
        lake: the lake to write to.
        table: its name.
        rows: the rows; with ``POSITION`` if layers may be added on top.
        removed: the positions of rows in the layers below that no longer hold; None if all do.

    Raises:
        LakeError: it cannot be written.
    """
    folder = lake.metrics / table.replace(":", ".")
    lake.folder(folder)
    part = folder / f"{uuid.uuid4().hex}.part"  # several tasks of a cluster may write the same table at once
    with writing(folder, part):
        stored, count = _written(lake, part, rows.lazy())
        if removed is None or removed.is_empty():
            return Layer(stored, count)
        gone, _ = _written(lake, part, removed.alias(POSITION).sort().to_frame().lazy())
        return Layer(stored, count, gone)


def stack(lake: Lake, table: str, layers: Sequence[Layer]) -> Sequence[Layer]:
    """Merges the layers of a table if there are many, or if those on top are large compared with those below.

    The layers on top are merged with each other, so that a change does not rewrite the table: what lies below stands
    until an eighth of it has changed. Small tables are merged as a whole.
    """
    lowest, small = 1, sum(la.rows for la in layers) <= SMALL
    if not small:  # a computation of everything makes a layer per bucket; they remove nothing
        plain = list(itertools.takewhile(lambda la: la.removed is None, layers))
        largest = max((la.rows for la in plain), default=0)
        lowest = max((i for i, la in enumerate(plain, 1) if la.rows * _LARGE >= largest), default=1)
    below, top = layers[:lowest], layers[lowest:]
    rows = sum(la.rows for la in below)
    whole = sum(la.rows for la in top) * _LARGE > rows or len(below) > _MAX_BELOW
    if not whole and len(top) < _MAX_TOP:
        return layers
    if not whole and not small:
        gone = _removed_from(Snapshot(lake.store, tables={table: below}).scan(table), lake, top)
        if gone.len() * _LARGE <= rows:
            return (*below, write_layer(lake, table, Snapshot(lake.store, tables={table: top}).scan(table), gone))
    return (write_layer(lake, table, Snapshot(lake.store, tables={table: layers}).scan(table)),)


def _removed_from(rows: pl.LazyFrame, lake: Lake, top: Sequence[Layer]) -> pl.Series:
    """Returns the positions of rows that layers on top of them have removed."""
    files = [lake.store.location(la.removed.name, la.removed.sha256) for la in top if la.removed]
    removed = [pl.LazyFrame(schema={POSITION: pl.Int64()}), *(pl.scan_parquet(f, glob=False) for f in files)]
    found = rows.select(POSITION).join(pl.concat(removed), on=POSITION, how="semi")
    return found.collect(engine="streaming")[POSITION]


_LARGE = 8  # what is not an eighth of a table is small
_MAX_TOP = 8
_MAX_BELOW = 64


def _written(lake: Lake, part: Path, rows: pl.LazyFrame) -> tuple[Stored, int]:
    """Writes rows to a file with a final name from its content; returns it and the number of rows.

    It is not flushed: it can be rebuilt, and is verified before use.
    """
    with contextlib.closing(BatchWriter(part)) as writer:
        writer.write_all(rows, _GROUP)
    digest = file_digest(part)
    name = (part.parent / f"{digest[:16]}.parquet").relative_to(lake.root).as_posix()
    entry = lake.store.write_new(part, name)
    return Stored(name, entry.size, entry.modified_ns, digest), writer.rows


__all__ = ["CorruptError", "Layer", "Snapshot", "Stored", "load", "save", "stack", "sweep", "write_layer"]
