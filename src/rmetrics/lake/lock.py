"""The lock of a lake: one run at a time. The kernel releases it when the process ends, however it ends."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rmetrics.errors import BusyError, LakeError
from rmetrics.lake.files import unwritable
from rmetrics.locks import lock, lock_file, named_holder


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds the lock for the duration of a block.

    Raises:
        BusyError: another run holds it; names the process and since when.
    """
    with _opened(path) as file:
        if not _try_lock(file):
            raise _busy(file)
        file.seek(0)
        file.truncate()
        file.write(f"pid {os.getpid()}, since {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC")
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def refuse_if_held(path: Path) -> None:
    """Checks whether a run could start now; changes nothing.

    Raises:
        BusyError: another run holds the lake; names the process and since when.
    """
    if path.exists():
        with _opened(path) as file:
            if not _try_lock(file):
                raise _busy(file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(lock_file(path))
        except OSError as error:
            raise unwritable(path, error) from error
        yield file


def _try_lock(file: IO[str]) -> bool:
    try:
        return lock(file, exclusive=True)
    except OSError as error:  # the file system has no locks: refuse, or two runs at once could go unnoticed
        raise LakeError(
            f"{file.name} cannot be locked: {error.strerror}",
            "Move the data folder to a file system that supports locks.",
        ) from error


def _busy(file: IO[str]) -> BusyError:
    file.seek(0)
    holder = file.read().strip() or named_holder(file)
    return BusyError(f"another run holds the lock of the lake ({holder})", "Wait for it to finish, then run again.")
