"""The record of a landed export, and the Parquet file of frames that contains its bytes.

A raw file holds the bytes of one export, or of many small ones of a feed, one row per frame: the export, the frame's
offset in it, the line that begins there (0 if the frame cannot be read without the previous ones), the SHA-256 of the
bytes, and the bytes. A large export has one row group per frame, so that each can be read alone. The file's metadata
contains the records of its exports.
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
_GROUP = 8 * 2**20  # maximum bytes of small exports in a row group
_WRITTEN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)  # no export landed before this code existed
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
        encoding, delimiter, sheet, header_line, body_line, preamble, notes: the layout of the text.
        headers: names of the columns, in order.
        rows: number of records in the export, including faulty ones.
        file: the Parquet file with its bytes, inside ``raw/``; small exports share one.
        parquet_sha256, parquet_size: of that file, to detect damage.
        delivered_ns: modification time of the newest file with this content; 0 if it was delivered only once.
        withdrawn: when the export was withdrawn (ISO, UTC); empty if it counts.
        restored: when it was restored after a withdrawal; empty if never, or if withdrawn again.
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
        """Sort key from old to new: modification time of the last delivery, then name, then content."""
        return max(self.modified_ns, self.delivered_ns), self.name, self.sha256

    @property
    def undecided(self) -> "RawFile":
        """The record without the facts that were recorded apart from the export's content (``Lake.decisions``)."""
        if not (self.delivered_ns or self.withdrawn or self.restored):
            return self
        return replace(self, delivered_ns=0, withdrawn="", restored="")

    @property
    def exported_at(self) -> dt.datetime:
        """When the export file was last modified, in UTC."""
        return dt.datetime.fromtimestamp(self.modified_ns / 1e9, dt.UTC)

    @property
    def existed_at(self) -> dt.datetime:
        """The latest time at which the export certainly existed, in UTC: when written, delivered or, if later, landed.

        A copy may have a time older than its rows (from an archive of another time zone), and clocks can be wrong.
        """
        delivered = dt.datetime.fromtimestamp(self.delivered_ns / 1e9, dt.UTC)
        return max(self.exported_at, delivered, dt.datetime.fromisoformat(self.landed_at), _WRITTEN)


@dataclass(frozen=True, slots=True)
class Frame:
    """A byte range of an export.

    Attributes:
        line: the line that begins with it; 0 if it cannot be read without the previous frames.
    """

    offset: int
    line: int
    data: bytes


# -- records as JSON


def records_of(files: Sequence[RawFile]) -> dict[str, Any]:
    """The records of some exports as JSON; common values of a file and of a layout are written once."""
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
        KeyError, TypeError, ValueError: the records are damaged.
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
    """``one`` with the name and times of ``other``, the first landing of the same export."""
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
        """Completes the file, with the records of its exports in its metadata."""
        if records:
            self._writer.add_key_value_metadata({_RECORDS: sealed(records_of(records)).encode()})
        self._writer.close()


def read_frames(path: Path, exports: Mapping[str, str], first: int = 0) -> Iterator[tuple[str, Frame]]:
    """Yields the frames of some exports in order, each with its export, starting at a row group.

    Args:
        path: the raw file.
        exports: the names of the exports by hash.
        first: the first row group to read.

    Raises:
        LakeError: the file cannot be read, or a frame fails its checksum; names the export to deliver again.
    """
    import pyarrow.parquet as pq

    any_export = next(iter(exports.values()), "")
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
    except (OSError, ValueError) as error:  # includes Arrow's own errors
        raise damaged(path, "it cannot be read", any_export) from error


def lines_of(path: Path, export: str) -> list[int]:
    """The first line of each row group, for an export with a file of its own; empty if the file is shared.

    Raises:
        OSError, ValueError: the file cannot be read.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as source:
        table = source.read(columns=["export", "line"])
        only_export = source.num_row_groups == table.num_rows and set(table.column("export").to_pylist()) == {export}
        return list(table.column("line").to_pylist()) if only_export else []


def recorded(path: Path) -> list[RawFile]:
    """The exports in a raw file's metadata, after checking that the bytes match their hashes.

    Raises:
        OSError, ValueError, TypeError, KeyError, LakeError: a checksum does not match, or the file cannot be read.
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
