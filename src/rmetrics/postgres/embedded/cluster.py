"""The folder of the embedded server: how it is created, who may enter it, and who may log in.

A new one is created under another name and renamed once complete: if the command is killed, it leaves nothing that a
later start would mistake for a server.
"""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rmetrics.errors import PostgresError
from rmetrics.files import PRIVATE_FOLDER, user_name
from rmetrics.postgres.embedded.binaries import OWN_SERVER_HINT, ServerUser, programs
from rmetrics.postgres.embedded.process import Process

MAP = "rmetrics"
LOOPBACK = "127.0.0.1"
_INIT_SECONDS = 120
_SUPERUSER = "postgres"
HERE = "/proc/self/cwd"  # a program started in a folder needs no search permission on the folders above it

# For new servers. Text sorts by code point, regardless of the machine's locale. Nobody replicates from a server that
# stops with the command that uses it, and ``minimal`` writes a first load once instead of twice. Nothing here weakens
# a commit: fsync, full_page_writes and synchronous_commit stay on.
_SETTINGS = """
# rmetrics: written once, when this server was created. You may edit it.
wal_level = minimal
max_wal_senders = 0
max_wal_size = 2GB
"""
_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8")


def version_of(folder: Path) -> int | None:
    """The PostgreSQL version that created the folder; None if there is no server yet.

    Raises:
        PostgresError: the folder contains something else, or an incomplete server.
    """
    try:
        text = (folder / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if folder.exists() and any(folder.iterdir()):
            raise PostgresError(
                f"{folder} contains files, but no PostgreSQL server",
                f"Move them away, or set RMETRICS_DATA_DIR; {OWN_SERVER_HINT}.",
            ) from None
        return None
    if not text.isdigit() or not (folder / "global" / "pg_control").exists():
        raise PostgresError(
            f"the embedded PostgreSQL in {folder} is incomplete",
            f"Remove that folder and run `rmetrics sync`: it makes all tables from the lake; {OWN_SERVER_HINT}.",
        )
    return int(text)


def make_cluster(folder: Path, user: ServerUser, lock: IO[str]) -> None:
    """Creates a new server's folder. ``lock`` stays held until ``initdb`` has ended, even if this process is killed.

    Raises:
        PostgresError: ``initdb`` failed; quotes its error.
        OSError: the folder cannot be created.
    """
    part = folder if os.path.ismount(folder) else folder.with_name(f"{folder.name}.part")
    if part != folder and os.path.lexists(part):
        shutil.rmtree(part)
    with contextlib.suppress(FileExistsError):
        part.mkdir(mode=PRIVATE_FOLDER)
    user.own(part)
    _initdb(part, user, lock)
    with (part / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(_SETTINGS)
    secure(part, user)
    _flush(part)
    if part != folder:
        part.rename(folder)
        _flush(folder.parent)


def _initdb(part: Path, user: ServerUser, lock: IO[str]) -> None:
    linux = sys.platform == "linux"
    place = HERE if linux else str(part)
    flush = ("--sync-method=syncfs",) if linux else ()  # one flush instead of one for each of 1,000 files
    command = [
        str(programs(None, user) / "initdb"),
        "-D",
        place,
        "-U",
        _SUPERUSER,
        "--auth=reject",
        "--no-instructions",
    ]
    done = subprocess.run(  # noqa: S603 - our own programs
        [*command, *_LOCALE, *flush], cwd=part, pass_fds=(lock.fileno(),), check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_INIT_SECONDS, **user.options,
    )  # fmt: skip
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no output"]
        reason = next((line for line in last if "error" in line.lower()), last[-1])
        raise PostgresError(
            f"the embedded PostgreSQL in {part} cannot be created: {reason}",
            f"Check the disk and its permissions, {OWN_SERVER_HINT}.",
        )


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- access


def give_back(folder: Path, user: ServerUser) -> None:
    """Gives a folder that root copied or restored to the user that its server runs as.

    Only where nobody but root can have put a file: such a file could be a link to one of somebody else's.
    """
    found = folder.lstat()
    if not (user.other and stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022):
        return
    for above, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            user.own(Path(above, name))
    user.own(folder)  # last: a folder that is root's has not been given back in full


def secure(folder: Path, user: ServerUser, running: Process | None = None, *, network: bool = False) -> None:
    """Closes a server's folder to others and lets only its owner (and root) log in, without a password, by `peer`.

    If it listens on the network, roles with a password may log in from this machine; the superuser, who has none, may
    not.

    Also secures servers of older versions, which trusted every local user; a running server reloads its configuration.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode != PRIVATE_FOLDER:
        folder.chmod(PRIVATE_FOLDER)
    network = network or bool(running and running.network_port)
    changed = [n for n, text in _access(user, network=network).items() if _replaced(folder / n, text, user)]
    if changed and running is not None:
        os.kill(running.pid, signal.SIGHUP)


def _access(user: ServerUser, *, network: bool) -> dict[str, str]:
    head = "# Written by rmetrics at every start: edits are lost.\n"
    names = dict.fromkeys((user.name, user_name(0)))
    remote = f"host all {_SUPERUSER} all reject\nhost all all {LOOPBACK}/32 scram-sha-256\n" if network else ""
    return {
        "pg_hba.conf": f"{head}local all all peer map={MAP}\n{remote}",
        "pg_ident.conf": head + "".join(f'{MAP} "{name}" all\n' for name in names),
    }


def _replaced(path: Path, text: str, user: ServerUser) -> bool:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if not path.is_symlink() and path.read_text(encoding="utf-8") == text:
            return False
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        user.own(descriptor)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    return True


def weak_rules(folder: Path) -> Iterator[str]:
    """The lines of ``pg_hba.conf`` that let in anyone who can reach the server.

    Raises:
        OSError: the file cannot be read.
    """
    for line in (folder / "pg_hba.conf").read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.partition("#")[0].split()
        if "trust" in words:
            yield line.strip()
