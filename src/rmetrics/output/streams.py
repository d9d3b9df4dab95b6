"""stdout and stderr that cannot end a run.

A run has done its work before it writes about it, and a table that nobody can read is no reason to end it half way. So
a stream that breaks is noted and swallows the rest; the exit code is decided at the end (``rmetrics.cli``).
"""

import errno
import io
import os
import sys
from typing import IO, Any, TextIO

_NOT_WANTED = (errno.EPIPE, errno.ECONNRESET)  # whoever read has read enough


class _Pipe(io.FileIO):
    """A file descriptor whose first failure is kept and that swallows what is written after it."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if self.failed is None:
            try:
                return super().write(data) or 0
            except OSError as error:
                self.failed = error
        return size


def open_streams() -> None:
    """Puts such streams in the place of stdout and stderr. One that was closed when the program began goes nowhere.

    A closed descriptor is taken first: the next file that is opened would get its number, and a library that writes to
    stdout would write into it.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for number in closed:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
    sys.stdout = _stream(1, sys.stdout, "strict")
    sys.stderr = _stream(2, sys.stderr, "backslashreplace")


def lost(stream: IO[str]) -> OSError | None:
    """Why nothing that is written to a stream arrives any more; None while it does."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failed if isinstance(raw, _Pipe) else None


def close_streams() -> OSError | None:
    """Writes what is still held back; returns why stdout could not be written.

    None where all was written, and where its reader had enough.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    failed = lost(sys.stdout)
    return None if failed is None or failed.errno in _NOT_WANTED else failed


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _stream(number: int, before: TextIO | None, errors: str) -> io.TextIOWrapper:
    terminal = os.isatty(number)
    raw = _Pipe(number, "w", closefd=False)
    encoding = (before.encoding if before else None) or "utf-8"
    line_buffering = terminal or number == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=line_buffering)
