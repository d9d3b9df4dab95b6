"""Starts and stops the server of a folder."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rmetrics.errors import PostgresError
from rmetrics.postgres.embedded.binaries import OWN_SERVER_HINT, ServerUser, passable, programs, shell
from rmetrics.postgres.embedded.cluster import HERE, LOOPBACK, give_back, secure
from rmetrics.postgres.embedded.process import Process, alive, mark, recorded, running, works_in
from rmetrics.postgres.embedded.sockets import PORT, remove_socket_folder, socket_folder

_START_SECONDS = 120  # after a crash the server first replays its write-ahead log
_STOP_SECONDS = 60
_POLL_SECONDS = 0.01
_LOG_BYTES = 10 * 2**20


def start(folder: Path, version: int, user: ServerUser, port: int = 0) -> Process:
    """Starts the server and waits until it accepts connections. Call it under the start lock.

    Args:
        folder: the server's folder.
        version: the PostgreSQL version that created the folder.
        user: the user it runs as.
        port: the loopback port to listen on; 0: on its socket only.

    Raises:
        PostgresError: it does not start; quotes the last error of its log.
        OSError: a file of the folder cannot be written.
    """
    give_back(folder, user)
    _clear_stale(folder, user)
    secure(folder, user, network=bool(port))
    sockets = socket_folder(folder, user)
    log, before = _opened_log(folder, user)
    try:
        pid = _launched(_command(folder, version, user, sockets, port), folder, log, user)
        return _wait_until_ready(folder, pid)
    except PostgresError as error:
        remove_socket_folder(sockets, user)
        raise _failed(folder, before, error) from error
    finally:
        os.close(log)


def _command(folder: Path, version: int, user: ServerUser, sockets: str, port: int) -> list[str]:
    place = str(folder)
    if "\n" in place or not passable(folder, user):
        if sys.platform != "linux":  # pragma: no cover - macOS
            raise PostgresError(f"{user.name} may not enter the folders above {folder}", "Run as an ordinary user.")
        place = HERE
    settings = (
        f"listen_addresses={LOOPBACK if port else ''}",
        f"port={port or PORT}",
        "unix_socket_permissions=0700",
        "external_pid_file=",
        mark(folder),
    )
    command = [str(programs(version, user) / "postgres"), "-D", place, "-k", sockets]
    return [
        *command,
        *(part for s in settings for part in ("-c", s)),
        "-c",
        f"rmetrics.path={folder}".replace("\n", " "),
    ]


def _launched(command: list[str], folder: Path, log: int, user: ServerUser) -> int:
    """Starts the server detached, because it may outlive this command; returns its process id."""
    done = subprocess.run(  # noqa: S603 - our own programs, each argument by itself
        [shell(), "-c", '"$@" >&2 & echo $!', "rmetrics", *command],
        cwd=folder, stdout=subprocess.PIPE, stderr=log, start_new_session=True, check=False, **user.options,
    )  # fmt: skip
    try:
        return int(done.stdout)
    except ValueError:
        raise PostgresError("no process could be started", "") from None


def _wait_until_ready(folder: Path, pid: int) -> Process:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        found = recorded(folder)
        if found is not None and found.pid == pid and found.ready and works_in(pid, folder):
            return found
        if not alive(pid):
            raise PostgresError("it stopped immediately", "")
        time.sleep(_POLL_SECONDS)
    os.kill(pid, signal.SIGINT)
    raise PostgresError(f"it accepts no connections after {_START_SECONDS} s", "")


def _clear_stale(folder: Path, user: ServerUser) -> None:
    """Removes the files left by a killed server, whose process id may belong to another process by now.

    PostgreSQL itself checks the id only, and would refuse to start while any process of this user has it. Call it when
    no server runs. Remaining processes of a killed server end by themselves; it waits for them.
    """
    stale = recorded(folder)
    if stale is not None:
        remove_socket_folder(stale.socket_folder, user)
    until = time.monotonic() + _STOP_SECONDS
    while sys.platform == "linux" and (pids := list(_workers(folder))):
        if time.monotonic() > until:
            raise PostgresError(
                f"the embedded PostgreSQL in {folder} was killed, but its process {pids[0]} is still running",
                f"Stop it (kill {pids[0]}) and run the command again.",
            )
        time.sleep(_POLL_SECONDS)
    for path in (folder / "postmaster.pid", *folder.glob(".s.PGSQL.*")):
        path.unlink(missing_ok=True)


def _workers(folder: Path) -> Iterator[int]:
    if (folder / "postmaster.pid").exists():
        yield from (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and works_in(int(p.name), folder))


# -- the log


def _opened_log(folder: Path, user: ServerUser) -> tuple[int, int]:
    """Opens the log for appending and returns its size; moves a large one aside first."""
    path = folder / "log"
    if not path.is_symlink() and path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(folder / "log.1")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    user.own(descriptor)
    os.fchmod(descriptor, 0o600)
    return descriptor, os.fstat(descriptor).st_size


def _failed(folder: Path, before: int, error: PostgresError) -> PostgresError:
    with (folder / "log").open("rb") as file:
        file.seek(before)
        lines = file.read().decode("utf-8", "replace").splitlines()
    fatal = [m[1] for line in lines if (m := re.search(r"\b(?:FATAL|PANIC): +(.*)", line))]
    reason = fatal[0] if fatal else next((line for line in reversed(lines) if line.strip()), error.message)
    free = shutil.disk_usage(folder).free
    hint = "Free some space on its disk" if free < _LOG_BYTES else f"See {folder / 'log'}"
    return PostgresError(f"the embedded PostgreSQL in {folder} does not start: {reason}", f"{hint}; {OWN_SERVER_HINT}.")


# -- stopping


def stop(folder: Path, user: ServerUser) -> bool:
    """Stops the server: ends connections and keeps committed data. False if it was not running.

    Raises:
        PostgresError: it does not stop.
    """
    found = running(folder)
    if found is None:
        return False
    # Fast, then immediate, then kill: after the latter two, the next start recovers committed data from the log.
    for sign, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        os.kill(found.pid, sign)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not alive(found.pid):
                remove_socket_folder(found.socket_folder, user)
                return True
            time.sleep(_POLL_SECONDS)
        if not works_in(found.pid, folder):
            return True
    raise PostgresError(f"the embedded PostgreSQL in {folder} (pid {found.pid}) does not stop", "Restart the machine.")
