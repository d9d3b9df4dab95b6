"""Locks between commands: ``flock`` on a file that only its owner can open (Windows: ``rmetrics.flock``).

Anyone who can open a file, even read-only, can lock it: with a lock file readable by others they could block every
command. The kernel releases a lock when the process that holds it ends, however it ends.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rmetrics.files import PRIVATE_FILE, current_user, restrict_to_owner, user_name
from rmetrics.flock import try_lock

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def lock_file(path: Path, *, create: bool = True) -> Iterator[IO[str]]:
    """Opens a lock file for reading and writing, closed to others; does not lock it yet.

    Raises:
        OSError: it cannot be opened. ``PermissionError`` if it belongs to another user, ``ELOOP`` if it is a symbolic
            link, ``FileNotFoundError`` without ``create``.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | (os.O_CREAT if create else 0)
    user = current_user()
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE)
    except PermissionError as error:
        owner = path.lstat().st_uid if os.path.lexists(path) else user
        if owner is not None and user is not None and owner != user:
            raise _foreign(path, owner) from error
        raise
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(22, "it is not a regular file", str(path))
        if user not in (None, 0, found.st_uid):
            raise _foreign(path, found.st_uid)
        restrict_to_owner(descriptor, found)
        yield file


def lock(file: IO[str], *, exclusive: bool, seconds: float = 0.0) -> bool:
    """Locks the file, shared or exclusively; False if another process still holds it after ``seconds``.

    Raises:
        OSError: the file system does not support locks.
    """
    until = time.monotonic() + seconds
    while not try_lock(file.fileno(), exclusive=exclusive):
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def holders(file: IO[str]) -> list[int]:
    """The other processes that hold a lock on the file; empty if the system does not list them."""
    found = os.fstat(file.fileno())
    if os.name != "posix":
        return []
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError):  # only Linux lists locks
        lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
        pids = [int(w[4]) for w in lines if len(w) > 5 and w[1] == "FLOCK" and w[5] == place]
        return [p for p in pids if p > 0 and p != os.getpid()]
    return []


def held(path: Path) -> bool:
    """Whether another process holds a lock on a file; takes no lock, not even briefly.

    False if the file does not exist or the system does not list locks.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return bool(holders(file))
    except OSError:
        return False


def named_holder(file: IO[str]) -> str:
    """A description of the process that holds a lock on the file."""
    for pid in holders(file):
        with contextlib.suppress(OSError):  # it has ended in the meantime
            uid = Path(f"/proc/{pid}").stat().st_uid
            return f"pid {pid}" if uid == current_user() else f"pid {pid} of {user_name(uid)}"
    return "pid unknown"


def foreign_holder(file: IO[str]) -> bool:
    """Whether a process of another user holds a lock on the file."""
    for pid in holders(file):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}").stat().st_uid != current_user():
                return True
    return False


def _foreign(path: Path, owner: int) -> PermissionError:
    return PermissionError(13, f"it belongs to {user_name(owner)}", str(path))
