"""Workbooks (.xlsx, .xlsm, .xls) as rows of text, sheet by sheet, a bounded number of rows at a time."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from rmetrics.ingest import workbook
from rmetrics.ingest.sniff import RefusedError

_MEMORY_GB = workbook.MAX_MEMORY >> 30


class _Spool:
    """An anonymous temporary file, removed when its last reader is gone, however the run ends."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="rmetrics-")  # noqa: SIM115 - closed below

    def __del__(self) -> None:
        self.file.close()


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of an unpacked workbook.

    Attributes:
        head: its first rows, all text, null = blank.
    """

    name: str
    head: pl.DataFrame
    _spool: _Spool
    _start: int

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yields all rows, in order."""
        import pyarrow as pa

        self._spool.file.seek(self._start)
        with pa.ipc.open_stream(self._spool.file) as stream:
            for batch in stream:
                yield _frame(batch)


def open_workbook(path: Path, head: int) -> tuple[list[Sheet], tuple[str, ...]]:
    """Returns the non-empty sheets, and notes about unreadable cells.

    Real dates become ``2024-01-01 00:00:00``; numbers appear as in Excel, without float noise.

    Args:
        path: the workbook.
        head: number of rows in each sheet's ``head``.

    Raises:
        RefusedError: it is damaged or protected, or grows far larger than an export would.
    """
    import pyarrow as pa

    spool = _Spool()
    file = spool.file
    _unpack(path, file)
    file.seek(0)
    sheets: list[Sheet] = []
    while True:
        start = file.tell()
        with pa.ipc.open_stream(file) as stream:
            facts = stream.schema.metadata
            if b"notes" in facts:
                return sheets, tuple(json.loads(facts[b"notes"]))
            rows: pl.DataFrame | None = None
            for batch in stream:
                rows = _frame(batch.slice(0, head)) if rows is None else rows
            if rows is not None:
                sheets.append(Sheet(facts[b"sheet"].decode(), rows, spool, start))


def _frame(batch: Any) -> pl.DataFrame:
    frame = pl.from_arrow(batch)
    if not isinstance(frame, pl.DataFrame):  # pragma: no cover - a record batch is always a frame
        raise TypeError
    return frame


def _unpack(path: Path, out: IO[bytes]) -> None:
    """Runs ``workbook`` as a separate process, so that a malicious or broken file cannot bring this one down."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RMETRICS_", "PG"))}
    ran = subprocess.run(  # noqa: S603 - our own interpreter and module; the path is an argument, not a command
        [sys.executable, "-P", workbook.__file__, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    if ran.returncode == 0:
        return
    if ran.returncode == 3:
        raise RefusedError(ran.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    raise RefusedError(
        f"is a workbook that needs more than {_MEMORY_GB} GB of memory or {workbook.MAX_SECONDS // 60} minutes to "
        "open, or crashes the reader; save it as CSV, or delete the empty cells far to the right or below the table"
    )
