"""The record of a landed export, and the Parquet file of frames that its bytes stand in.

A raw file holds the bytes of one export, or of many small ones of a feed, one row per frame: of which export, where in
it the frame begins, the line that begins there (0 where the frame cannot be read without those before it), the SHA-256
of its bytes, and the bytes. A large export's frames are a row group each, so one can be read alone. The records of the
exports stand in the file's metadata, too.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rmetrics.lake.files import CORRUPT, damaged, sealed, unsealed

RAW_FORMAT = 2
_RECORDS = b"rmetrics"
_GROUP = 8 * 2**20  # bytes of small exports in a row group
_WRITTEN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)  # no export landed before this was written
_OF_FILE = ("feed", "file", "parquet_sha256", "parquet_size")
_LAYOUT = ("encoding", "delimiter", "sheet", "header_line", "body_line", "preamble", "headers", "notes")
_OWN = ("sha256", "name", "size", "modified_ns", "landed_at", "rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A landed export.

    Attributes:
        sha256: of the export's bytes.
        feed: the feed it was landed as.
        name: the export's path inside the inbox.
        size, modified_ns: of the export when it landed; the time decides which export is newer.
        landed_at: ISO, UTC.
        encoding, delimiter, sheet, header_line, body_line, preamble, notes: how the text is laid out.
        headers: names of the columns, in order.
        rows: records of the export, faulty ones included.
        file: the Parquet file with its bytes, inside ``raw/``; small exports share one.
        parquet_sha256, parquet_size: of that file, to find damage.
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
    body_line: int
    preamble: tuple[str, ...]
    headers: tuple[str, ...]
    notes: tuple[str, ...]
    rows: int = 0
    file: str = ""
    parquet_sha256: str = ""
    parquet_size: int = 0
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
class Frame:
    """Some bytes of an export.

    Attributes:
        line: the line that begins with them; 0 where they cannot be read without those before them.
    """

    offset: int
    line: int
    data: bytes


# -- records as JSON


def records_of(files: Sequence[RawFile]) -> dict[str, Any]:
    """The records of some exports; what those of a feed and a layout have in common is written once."""
    layouts: dict[tuple[Any, ...], int] = {}
    found: dict[str, dict[str, Any]] = {}
    for raw in files:
        of_file = found.setdefault(raw.file, {**{n: getattr(raw, n) for n in _OF_FILE}, "exports": []})
        layout = layouts.setdefault(tuple(getattr(raw, n) for n in _LAYOUT), len(layouts))
        of_file["exports"].append({**{n: getattr(raw, n) for n in _OWN}, "layout": layout})
    named = [dict(zip(_LAYOUT, values, strict=True)) for values in layouts]
    return {"format": RAW_FORMAT, "layouts": named, "files": list(found.values())}


def files_of(records: Mapping[str, Any]) -> list[RawFile]:
    """The exports of ``records_of``.

    Raises:
        KeyError, TypeError, ValueError: they fail their checksums.
    """
    if records["format"] != RAW_FORMAT:
        raise ValueError(CORRUPT)
    layouts = [{n: tuple(v) if isinstance(v, list) else v for n, v in layout.items()} for layout in records["layouts"]]
    return [
        RawFile(**{n: of_file[n] for n in _OF_FILE}, **{n: export[n] for n in _OWN}, **layouts[export["layout"]])
        for of_file in records["files"]
        for export in of_file["exports"]
    ]


def same_export(one: RawFile, other: RawFile) -> RawFile:
    """``one`` with the name and the times of ``other``, which is the same export as it landed for the first time."""
    return replace(one, name=other.name, modified_ns=other.modified_ns, landed_at=other.landed_at)


# -- the Parquet file


class RawWriter:
    """Writes the frames of one or more exports to a Parquet file."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self._schema = pa.schema(
            [
                ("export", pa.string()),
                ("offset", pa.int64()),
                ("line", pa.int64()),
                ("sha256", pa.string()),
                ("bytes", pa.large_binary()),
            ]
        )
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False
        )

    def write(self, frames: Sequence[tuple[str, Frame]]) -> None:
        """Appends a row group of frames, each with the SHA-256 of its export."""
        import pyarrow as pa

        columns = [
            [export for export, _ in frames],
            [f.offset for _, f in frames],
            [f.line for _, f in frames],
            [hashlib.sha256(f.data).hexdigest() for _, f in frames],
            [f.data for _, f in frames],
        ]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def write_small(self, exports: Mapping[str, Frame]) -> None:
        """Appends exports of one frame each, by hash, many to a row group."""
        group, size = list[tuple[str, Frame]](), 0
        for export, frame in exports.items():
            if size and size + len(frame.data) > _GROUP:
                self.write(group)
                group, size = [], 0
            group.append((export, frame))
            size += len(frame.data)
        if group:
            self.write(group)

    def close(self, records: Sequence[RawFile] = ()) -> None:
        """Ends the file, with the records of its exports in its metadata."""
        if records:
            self._writer.add_key_value_metadata({_RECORDS: sealed(records_of(records)).encode()})
        self._writer.close()


def read_frames(path: Path, exports: Mapping[str, str], first: int = 0) -> Iterator[tuple[str, Frame]]:
    """Yields the frames of some exports in order, each with its export, from a row group on.

    Args:
        path: the raw file.
        exports: the names of the exports by hash.
        first: the row group to begin with.

    Raises:
        LakeError: the file cannot be read, or a frame fails its checksum; names the export to put back.
    """
    import pyarrow.parquet as pq

    some = next(iter(exports.values()), "")
    try:
        with pq.ParquetFile(path) as source:
            for group in range(first, source.num_row_groups):
                table = source.read_row_group(group)
                named = table.column("export").to_pylist()
                for i, export in enumerate(named):
                    if export not in exports:
                        continue
                    _, offset, line, digest, data = (c[i].as_py() for c in table.columns)
                    if hashlib.sha256(data).hexdigest() != digest:
                        raise damaged(path, CORRUPT, exports[export])
                    yield export, Frame(offset, line, data)
    except (OSError, ValueError) as error:  # Arrow's own errors are among them
        raise damaged(path, "it cannot be read", some) from error


def lines_of(path: Path, export: str) -> list[int]:
    """The line that each row group of an export of its own begins with; empty where a group has several exports.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as source:
        table = source.read(columns=["export", "line"])
        alone = source.num_row_groups == table.num_rows and set(table.column("export").to_pylist()) == {export}
        return list(table.column("line").to_pylist()) if alone else []


def recorded(path: Path) -> list[RawFile]:
    """The exports of a raw file as its metadata has them, each with bytes that have its hash.

    Raises:
        OSError, ValueError, TypeError, KeyError, LakeError: its checksum does not match.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as source:
        text = (source.metadata.metadata or {})[_RECORDS]
    found = files_of(unsealed(text.decode()))
    digests = {raw.sha256: hashlib.sha256() for raw in found}
    for export, frame in read_frames(path, {raw.sha256: raw.name for raw in found}):
        digests[export].update(frame.data)
    if any(digest.hexdigest() != sha256 for sha256, digest in digests.items()):
        raise ValueError(CORRUPT)
    return found
