"""Files readable by their owner only: they contain customers' rows or a company's figures.

In a folder that others can write to, somebody could create the file in advance and keep access to it. So rmetrics never
writes into another user's file.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def open_private(path: Path) -> BinaryIO:
    """Opens one of our files for writing from its start; creates it with 0600 if it does not exist.

    Pipes and devices (``/dev/stdout``) are opened as they are.

    Raises:
        OSError: as for ``os.open``; ``PermissionError`` if the file belongs to another user.
    """
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb")
    except FileExistsError:
        file = os.fdopen(os.open(path, os.O_WRONLY), "wb")
    try:
        _truncate_private(path, file)
    except BaseException:
        file.close()
        raise
    return file


def _truncate_private(path: Path, file: BinaryIO) -> None:
    """Truncates an existing file and closes it to others."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        return
    if current_user() not in (None, found.st_uid):
        raise PermissionError(errno.EPERM, f"it belongs to {user_name(found.st_uid)}", str(path))
    restrict_to_owner(file.fileno(), found)
    file.truncate()


def write_private(path: Path, content: bytes) -> None:
    """Writes a whole file with 0600.

    Raises:
        OSError: as for ``open_private``.
    """
    with open_private(path) as file:
        file.write(content)


def write_durably(path: Path, content: bytes, *, modified_ns: int | None = None) -> None:
    """Writes a whole file with 0600 that survives a power failure, once its folder is synced.

    Args:
        path: of the file; an existing one is removed first.
        content: its bytes.
        modified_ns: its modification time; None for now.

    Raises:
        OSError: as for ``open_private``.
    """
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with open_private(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if modified_ns is not None:
        os.utime(path, ns=(modified_ns, modified_ns))


def move_into_place(part: Path, final: Path) -> None:
    """Renames a flushed file to its final name and makes the rename durable."""
    part.replace(final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder durable, if the system supports it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def part_of(path: Path) -> Path:
    """The temporary name for writing a file: next to it, hidden, so that no inbox picks it up."""
    return path.with_name(f".{path.name}.part")


def replace_private(path: Path, content: bytes) -> None:
    """Writes a file with 0600 atomically: an interrupted write leaves the old file unchanged.

    Raises:
        OSError: as for ``open_private``.
    """
    part = part_of(path)
    try:
        write_durably(part, content)
        move_into_place(part, path)
    finally:
        part.unlink(missing_ok=True)  # remove the partial file of a failed write


def restrict_to_owner(descriptor: int, found: os.stat_result) -> None:
    """Removes other users' rights to an open file. Windows has no modes; there the folder's rights apply."""
    if os.name == "posix" and stat.S_IMODE(found.st_mode) & ~PRIVATE_FILE:
        os.fchmod(descriptor, PRIVATE_FILE)


def current_user() -> int | None:
    """The effective user id of this process; None on Windows, which has none."""
    ask = getattr(os, "geteuid", None)
    return None if ask is None else int(ask())


def user_name(uid: int) -> str:
    """The name of a system user, or its id if it has none."""
    try:
        import pwd
    except ModuleNotFoundError:  # Windows
        return f"user {uid}"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
