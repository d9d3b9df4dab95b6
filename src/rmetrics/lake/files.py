"""Atomic file writes: a ``.part`` file, flushed if it must be durable, then renamed."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.errors import LakeError

MISSING = "it is missing"
CORRUPT = "its checksum does not match"
_SUM = "record_sha256"
_OPEN_SEAL = f'"{_SUM}": "'
_REPEATS = 20  # average repeats of a value that justify a dictionary
_FULL_DISK = ("No space left", "os error", "File too large")


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of the lake that fails its checksum.

    Attributes:
        what: the kind of damage.
        sha256: of the export; empty if no record has it.
        export: the name of the export to deliver again; empty if no record has it.
    """

    path: Path
    what: str
    feed: str = ""
    sha256: str = ""
    export: str = ""

    @property
    def missing(self) -> bool:
        """Whether the file is missing rather than corrupt."""
        return self.what == MISSING


class BatchWriter:
    """Writes frames of one schema to one Parquet file, a row group each; also creates the file if all frames are empty.

    Attributes:
        rows: the number of rows written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._writer: Any = None
        self._empty: pl.DataFrame | None = None

    def close(self) -> None:
        """Completes the file."""
        if self._writer is None and self._empty is not None:
            self._append(self._empty)
        self.discard()

    def discard(self) -> None:
        """Closes the writer, whatever has been written."""
        if self._writer is not None:
            self._writer.close()

    def write(self, batch: pl.DataFrame) -> None:
        """Appends a row group."""
        if batch.height:
            self._append(batch)
            self.rows += batch.height
        else:
            self._empty = batch

    def write_all(self, rows: pl.LazyFrame, group: int) -> None:
        """Appends the rows of a query, ``group`` of them to a row group."""
        self.write(pl.DataFrame(schema=rows.collect_schema()))
        rows.sink_batches(self.write, chunk_size=group)  # unlike collect_batches, raises if Polars panics midway

    def _append(self, batch: pl.DataFrame) -> None:
        import pyarrow.parquet as pq

        table = batch.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            # Dictionaries of values that rarely repeat and min/max statistics of text columns would double the
            # writing time, and nothing uses them.
            spellings = batch.select(pl.all().approx_n_unique()).row(0, named=True)
            repeat = [name for name, count in spellings.items() if count * _REPEATS <= batch.height]
            ordered = [s.name for s in batch if s.dtype != pl.String]
            # Lines, ids and times are near the ones before: their differences take half the bytes or less. Times even
            # where those of the first rows repeat: those of later rows may not.
            times = [s.name for s in batch if s.dtype == pl.Datetime]
            near = [s.name for s in batch if s.dtype.is_integer() and s.name not in repeat] + times
            self._writer = pq.ParquetWriter(
                self.path,
                table.schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=[name for name in repeat if name not in times],
                write_statistics=ordered,
                column_encoding=dict.fromkeys(near, "DELTA_BINARY_PACKED"),
            )
        self._writer.write_table(table)


def flush(path: Path) -> tuple[str, int]:
    """Makes a written file durable and private (0600); returns its SHA-256 and size."""
    path.chmod(0o600)
    with path.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return digest, file.tell()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(value: Mapping[str, Any]) -> str:
    """Serialises a record with its own checksum: a flipped bit could change, for instance, which export is newer.

    The checksum comes last and is that of the text before it, so that nobody has to serialise a record to verify it.
    """
    text = json.dumps({**value, _SUM: ""}, ensure_ascii=False).removesuffix(_OPEN_SEAL + '"}')
    return f'{text}{_OPEN_SEAL}{_text_sum(text)}"}}'


def unsealed(text: str) -> dict[str, Any]:
    """Parses a sealed record.

    Raises:
        ValueError, TypeError: the text is not a record, or fails its checksum.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        msg = "a record is an object"
        raise TypeError(msg)
    seal = record.pop(_SUM, None)
    if seal is None or seal == _text_sum(text.rpartition(_OPEN_SEAL)[0]):
        return record
    # Lakes of earlier versions: the checksum of the values, with sorted keys.
    if seal != _text_sum(json.dumps(record, sort_keys=True)):
        raise ValueError(CORRUPT)
    return record


def _text_sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def writing(final: Path, *parts: Path) -> Iterator[None]:
    """Raises disk errors as ``LakeError`` and removes partial files.

    Nothing remains under the final name: only the rename creates it.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(final, error) from error
    except pl.exceptions.ComputeError as error:
        if any(text in str(error) for text in _FULL_DISK):
            raise LakeError(
                f"cannot write {final}: {str(error).splitlines()[0]}",
                "Free some space, then run again: partial files are removed.",
            ) from error
        raise
    finally:
        for part in parts:
            with contextlib.suppress(OSError):  # the next run sweeps it; the original error matters more
                part.unlink(missing_ok=True)


def damaged(path: Path, what: str, export: str = "") -> LakeError:
    """The error for a damaged file of the raw layer."""
    remedy = f"put the export {export!r} into the inbox" if export else "put its export into the inbox"
    return LakeError(f"{path} is damaged: {what}", f"Delete this file, {remedy}, and sync again.")


def unwritable(path: Path, error: OSError) -> LakeError:
    """The error for a file that cannot be written."""
    return LakeError(f"cannot write {path}: {error.strerror or error}", "Check the disk's free space and permissions.")
