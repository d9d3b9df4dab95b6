"""Streams for stdout and stderr whose failure does not end a run.

A run writes about its work after doing it, and a table that nobody can read is no reason to stop halfway. Therefore a
broken stream records its error and discards further output; the exit code is decided at the end (``rmetrics.cli``).
"""

import errno
import io
import os
import sys
from typing import IO, Any, TextIO

_PIPE_CLOSED = (errno.EPIPE, errno.ECONNRESET)  # the reader closed the pipe


class _Pipe(io.FileIO):
    """A file descriptor that records its first error and discards everything written after it."""

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
    """Replaces stdout and stderr with such streams; opens descriptors that were closed at the start on the null device.

    Closed descriptors are opened first: otherwise the next opened file would get the number of one, and a library that
    writes to stdout would write into that file.
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
    """Returns the error that stopped output to a stream; None if it works."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failed if isinstance(raw, _Pipe) else None


def close_streams() -> OSError | None:
    """Flushes both streams, and returns the error of stdout.

    None if everything was written, and if the reader closed the pipe.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    failed = lost(sys.stdout)
    return None if failed is None or failed.errno in _PIPE_CLOSED else failed


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
