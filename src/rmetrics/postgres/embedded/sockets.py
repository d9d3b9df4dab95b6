"""The location of the embedded server's socket, and its URL.

Normally it is in the server's own folder, which is closed to others. The path of a socket is limited to about 100
bytes, so in a deeply nested project the socket gets a folder of its own: created by rmetrics under an unpredictable
name, closed to others, below folders in which only root and this user can rename it.
"""

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from rmetrics.errors import PostgresError
from rmetrics.files import PRIVATE_FOLDER
from rmetrics.postgres.embedded.binaries import OWN_SERVER_HINT, ServerUser

OWN = "."  # the server's own folder, relative to the server
PORT = 5432
"""The port of a server that does not listen on the network; it only affects the name of the socket."""
MAX_PORT_NUMBER = 65_535
_NAME = f"/.s.PGSQL.{MAX_PORT_NUMBER}"
_MAX_LENGTH = (107 if sys.platform == "linux" else 103) - len(_NAME)  # bytes
_PREFIX = "rmetrics-pg-"


def fits(folder: Path) -> bool:
    """Whether a socket in this folder can be opened: the kernel limits the path, and libpq splits folders at commas."""
    text = os.fsencode(folder)
    return len(text) <= _MAX_LENGTH and b"," not in text


def socket_folder(folder: Path, user: ServerUser) -> str:
    """The folder for the socket of the server in ``folder``, in the form that the server is given.

    Raises:
        PostgresError: no folder is both short enough and safe from other users.
    """
    if fits(folder):
        return OWN
    refused = []
    for place in _places(user):
        reason = _unsafe(place, user)
        if reason is None:
            with contextlib.suppress(OSError):  # full, read-only or not writable: try the next
                made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
                user.own(made)
                if fits(made):
                    return str(made)
                made.rmdir()
            reason = "cannot be written, or is too long"
        refused.append(f"{place} {reason}")
    raise PostgresError(
        f"the embedded PostgreSQL in {folder} needs a safe folder with a short path for its socket, and none is "
        "available: " + "; ".join(refused or ["no temporary folder"]),
        f"Set XDG_RUNTIME_DIR or TMPDIR to a folder that only you can write, with a name of at most "
        f"{_MAX_LENGTH - len(_PREFIX) - 9} characters; or move the project to a shorter path; {OWN_SERVER_HINT}.",
    )


def _places(user: ServerUser) -> Iterator[Path]:
    named = [os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{user.uid}", os.environ.get("TMPDIR"), "/tmp", "/var/tmp"]  # noqa: S108
    seen = set()
    for name in named:
        if name and Path(name).is_absolute() and name not in seen:
            seen.add(name)
            yield Path(name)


def _unsafe(place: Path, user: ServerUser) -> str | None:
    """Why others could replace a folder created in this place; None if only root and the user can."""
    try:
        real = place.resolve(strict=True)
        for folder in (real, *real.parents):
            found = folder.stat()
            if found.st_uid not in (0, user.uid, os.geteuid()):
                return f"is in {folder}, which belongs to another user"
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX:
                return f"is in {folder}, where other users can rename files"
            if user.other and not found.st_mode & stat.S_IXOTH and found.st_uid != user.uid:
                return f"is in {folder}, which is not accessible to {user.name}"
    except OSError as error:
        return f"cannot be used ({error.strerror})"
    return None if real.is_dir() else "is not a folder"


def socket_path(folder: Path, given: str) -> Path:
    """The folder of the running server's socket, as other programs see it."""
    return folder if given in ("", OWN) else Path(given)


def loose_socket(place: Path, user: ServerUser) -> str | None:
    """Why others could reach or replace a socket in this folder; None if they cannot."""
    try:
        found = place.lstat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "is a link, not a folder"
    if found.st_uid not in (user.uid, os.geteuid()):
        return "belongs to another user"
    mode = stat.S_IMODE(found.st_mode)
    return f"has mode {mode:04o}, not 0700" if mode != PRIVATE_FOLDER else None


def remove_socket_folder(given: str, user: ServerUser) -> None:
    """Removes the folder created for the socket of a server that has ended; never any other folder."""
    place = Path(given)
    if place.is_absolute() and place.name.startswith(_PREFIX) and loose_socket(place, user) is None:
        shutil.rmtree(place, ignore_errors=True)


def url(place: Path, port: int) -> str:
    """The URL of the server whose socket is in a folder, for the driver, psql and other libpq clients."""
    return f"postgresql://postgres:@/postgres?port={port}&host={quote(os.fsencode(place))}"  # overrides PGPORT
