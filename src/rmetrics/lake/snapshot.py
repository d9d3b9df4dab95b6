"""What was computed last: which files hold the rows of each table.

Files are named by their content and never changed, and a snapshot names the ones that belong together, so replacing the
record that holds it (``state.json``) puts a whole new computation into force, or none of it; who reads meanwhile keeps
what it had.

A table is a stack of layers. The first holds what was computed from everything; a change puts a layer on top, with the
rows that came and the positions (``newest.position``) of those below that no longer hold. So a change costs what it
changes, not what there is; when the layers grow many they are put together.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.errors import LakeError
from rmetrics.lake import ROW_GROUP, Lake, Store, file_digest, writing
from rmetrics.parallel import in_order
from rmetrics.positions import POSITION

STATE = "state"
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
class Layer:
    """The rows that one computation put into a table.

    Attributes:
        file: holds the rows.
        rows: how many.
        gone: holds the positions of the rows in the layers below that no longer hold; None where all do.
    """

    file: Stored
    rows: int
    gone: Stored | None = None

    @property
    def files(self) -> tuple[Stored, ...]:
        """All its files."""
        return (self.file,) if self.gone is None else (self.file, self.gone)


class CorruptError(LakeError):
    """A file of the snapshot fails its checksum; whoever computes makes it again, whoever reads is told."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__(
            f"{store.shown(name)} is damaged: its checksum does not match",
            "Run `rmetrics sync --full`, which makes it again from the exports.",
        )
        self.name = name


@dataclass(frozen=True)
class Snapshot:
    """One computation.

    Attributes:
        store: where its files live.
        inputs: digest of everything the numbers depend on; empty where nothing was computed.
        basis: digest of what all of them depend on but the exports: rules, program, engine.
        rules: digest of the rules.
        exports: hash, feed and rank of the exports used, oldest first.
        tables: the layers of each table, the lowest first.
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
            raise LakeError("nothing was computed yet", "Run: rmetrics sync")
        return self.tables[table]

    def rows(self, table: str) -> int:
        """How many rows its layers have, those that no longer hold among them."""
        return sum(layer.rows for layer in self.layers(table))

    def path(self, table: str) -> Path:
        """The file of a table that is never more than one layer."""
        (layer,) = self.layers(table)
        return self._at(layer.file)

    def paths(self, table: str) -> list[tuple[Path, list[Path]]]:
        """Of each layer the file of its rows, and the files of positions in it that no longer hold."""
        layers = self.layers(table)
        return [
            (self._at(layer.file), [self._at(above.gone) for above in layers[i + 1 :] if above.gone])
            for i, layer in enumerate(layers)
        ]

    def _at(self, stored: Stored) -> Path:
        return self.store.location(stored.name, stored.sha256)

    def scan(self, table: str) -> pl.LazyFrame:
        """The rows of a table that hold."""
        frames = []
        for path, gone in self.paths(table):
            rows = pl.scan_parquet(path, glob=False)
            if gone:
                rows = rows.join(pl.scan_parquet(gone, glob=False), on=POSITION, how="anti")
            frames.append(rows)
        return pl.concat(frames)

    def files(self) -> Iterator[Stored]:
        """Every file."""
        for layers in self.tables.values():
            for layer in layers:
                yield from layer.files

    # -- damage

    def altered(self) -> list[str]:
        """The files that are gone or fail their checksums, by name. Only those with another size or time are read."""
        return [f.name for f in self.files() if not self._untouched(f) and not self._sound(f)]

    def damaged(self) -> list[str]:
        """The files that are gone or fail their checksums, by name. All are read: bits flip without a trace."""
        files = list(self.files())
        return [f.name for f, sound in zip(files, in_order(self._sound, files), strict=True) if not sound]

    def verify(self, *tables: str) -> None:
        """Reads the files of tables before their rows are used.

        Raises:
            CorruptError: one fails its checksum.
        """
        new = [f for t in tables for layer in self.layers(t) for f in layer.files if f.name not in self._verified]
        for stored, sound in zip(new, in_order(self._sound, new), strict=True):
            if not sound:
                raise CorruptError(self.store, stored.name)
            self._verified.add(stored.name)

    def _untouched(self, stored: Stored) -> bool:
        there = self.store.head(stored.name)
        return there is not None and (there.size, there.modified_ns) == (stored.size, stored.modified_ns)

    def _sound(self, stored: Stored) -> bool:
        try:
            return self.store.has_content(stored.name, stored.sha256)
        except OSError:
            return False


def load(lake: Lake) -> Snapshot:
    """The computation in force; an empty one where there is none, or its record is damaged: it is only a cache."""
    there = lake.store.head(f"{STATE}.json")
    if there is None:
        return Snapshot(lake.store)
    key = (lake.store.shown(there.name), there.version)
    if key not in _loaded:
        while len(_loaded) >= _KEPT:
            del _loaded[next(iter(_loaded))]
        try:
            _loaded[key] = _from_json(lake.store, lake.load_json(STATE))
        except (KeyError, TypeError, ValueError, AttributeError):
            return Snapshot(lake.store)
    return replace(_loaded[key], store=lake.store, _verified=set())


_KEPT = 4
_loaded: dict[tuple[str, str], Snapshot] = {}  # by place and version of their record


def save(lake: Lake, snapshot: Snapshot) -> None:
    """Puts a computation into force."""
    lake.save_json(STATE, _to_json(snapshot))


def sweep(lake: Lake) -> int:
    """Removes computed files that the snapshot in force does not name: an earlier one's, and what a killed run wrote.

    Call it under the lock, before anything is computed. Returns how many.
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
    exports = tuple((sha256, feed, rank) for sha256, feed, rank in record["exports"])
    return Snapshot(store, record["inputs"], record["basis"], record["rules"], exports, tables)


# -- writing


def write_layer(lake: Lake, table: str, rows: pl.LazyFrame | pl.DataFrame, gone: pl.Series | None = None) -> Layer:
    """Writes a layer of a table; it is in force once a snapshot that names it is saved.

    Args:
        lake: where to.
        table: its name.
        rows: the rows; with ``POSITION`` where layers may come on top.
        gone: the positions of rows in the layers below that no longer hold; None where all do.

    Raises:
        LakeError: it cannot be written.
    """
    folder = lake.metrics / table.replace(":", ".")
    lake.folder(folder)
    part = folder / f"{uuid.uuid4().hex}.part"  # several tasks of a cluster may write a table at once
    with writing(folder, part):
        rows.lazy().sink_parquet(part, compression="zstd", compression_level=1, row_group_size=ROW_GROUP)
        if isinstance(rows, pl.DataFrame):
            count = rows.height
        else:
            count = pl.scan_parquet(part, glob=False).select(pl.len()).collect().item()
        stored = _commit(lake, part, folder)
        if gone is None or gone.is_empty():
            return Layer(stored, count)
        gone.alias(POSITION).sort().to_frame().write_parquet(part, compression="zstd", compression_level=1)
        return Layer(stored, count, _commit(lake, part, folder))


def stack(lake: Lake, table: str, layers: Sequence[Layer], *, most: int = 8) -> Sequence[Layer]:
    """Layers that came on top of each other, put together where they grew many or large beside the lowest."""
    if len(layers) <= 1 or (len(layers) <= most and sum(la.rows for la in layers[1:]) * 8 <= layers[0].rows):
        return layers
    whole = Snapshot(lake.store, tables={table: layers})
    return (write_layer(lake, table, whole.scan(table)),)


def _commit(lake: Lake, written: Path, folder: Path) -> Stored:
    """Gives a file its final name, by its content.

    It is not flushed: it can be made again, and is not used before its content was looked at.
    """
    digest = file_digest(written)
    name = (folder / f"{digest[:16]}.parquet").relative_to(lake.root).as_posix()
    entry = lake.store.write_new(written, name)
    return Stored(name, entry.size, entry.modified_ns, digest)


__all__ = ["CorruptError", "Layer", "Snapshot", "Stored", "load", "save", "stack", "sweep", "write_layer"]
