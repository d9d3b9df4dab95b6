"""The embedded PostgreSQL server: any command that needs it starts it, and the last one to use it stops it.

Each command holds a shared lock on a file next to the server's folder while it uses the server; the kernel releases it
however the command ends. At its end, a command that obtains the exclusive lock stops the server, including one that a
killed command left running. ``rmetrics db start`` records in that file which server must keep running. A second file is
locked only while the server is created, started or stopped.

Only the folder's owner (and root) can reach the server or the locks: ``cluster``, ``sockets``, ``locks``. It listens on
the network only after ``db start --port``, on the loopback, and only for roles with a password.
"""

import contextlib
import hashlib
import stat
import subprocess
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO

from rmetrics.errors import BusyError, PostgresError
from rmetrics.files import PRIVATE_FOLDER
from rmetrics.locks import foreign_holder, lock, lock_file, named_holder
from rmetrics.postgres.connection import Server, server_of
from rmetrics.postgres.embedded import cluster, ports, postmaster, process, sockets
from rmetrics.postgres.embedded.binaries import OWN_SERVER_HINT, ServerUser, owner_of, server_user

_WAIT_SECONDS = 30.0


class Owner(StrEnum):
    """The reason why the embedded server runs."""

    KEPT = "kept"
    USED = "used"
    NOBODY = "nobody"


@contextlib.contextmanager
def server(dsn: str | None, folder: Path, stopped: Callable[[str], None] | None = None) -> Iterator[Server]:
    """Yields the server to publish to: the one that the DSN names, otherwise the embedded one; see ``embedded``."""
    if dsn:
        yield server_of(dsn)
    else:
        with embedded(folder, stopped) as own:
            yield own


@contextlib.contextmanager
def server_in_background(
    dsn: str | None, folder: Path, stopped: Callable[[str], None] | None = None
) -> Iterator[Callable[[], Server]]:
    """Like ``server``, but creates and starts it in a thread while the block does preparatory work.

    Yields:
        A function that waits for the server. It raises the error if the start failed; if it is never called, the error
        is dropped. However the block ends, it waits for a start in progress.
    """
    if dsn:
        yield lambda: server_of(dsn)
        return
    from concurrent.futures import ThreadPoolExecutor  # imports logging, which a sync with nothing to do avoids

    with contextlib.ExitStack() as used, ThreadPoolExecutor(1, thread_name_prefix="postgres") as threads:
        yield threads.submit(used.enter_context, embedded(folder, stopped)).result


@contextlib.contextmanager
def embedded(folder: Path, stopped: Callable[[str], None] | None = None) -> Iterator[Server]:
    """Yields the embedded server; starts it if necessary, and stops it at the end if nobody else needs it.

    Args:
        folder: the server's folder.
        stopped: receives the server's ``state_at_rest`` once this command has stopped it, before any other command can
            restart it. Not called if the block failed or the server keeps running.

    Raises:
        PostgresError: it does not start, or is not this user's; states the reason.
        BusyError: another command is stopping or starting it and does not finish in time.
    """
    user = server_user(folder)
    with _used(folder) as file:
        own = _started(folder, user, file)
        done = False
        try:
            yield own
            done = True
        finally:
            if lock(file, exclusive=True) and _kept(folder, file) is None:
                stop_embedded(folder)
                if done and stopped is not None and (state := state_at_rest(folder)) is not None:
                    stopped(state)


def state_at_rest(folder: Path) -> str | None:
    """A digest that changes with every start of the server; None if it is running or was never created.

    PostgreSQL rewrites its control file with a new checkpoint at each start and stop. As long as this digest is the
    same, nobody has started the server, so nobody has written to it.

    Raises:
        PostgresError: its folder is not this user's.
    """
    if owner_of(folder) is None:
        return None
    server_user(folder)
    if process.running(folder.resolve()) is not None:
        return None
    try:
        return hashlib.sha256((folder / "global" / "pg_control").read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def embedded_running(folder: Path) -> Server | None:
    """The embedded server if it is running; does not start it.

    Raises:
        PostgresError: its folder is not this user's.
    """
    found = _ready(folder)
    return _server(found, folder) if found is not None else None


def embedded_owner(folder: Path) -> Owner | None:
    """Why the embedded server runs; None if it does not.

    Raises:
        PostgresError: its folder is not this user's.
    """
    if _ready(folder) is None:
        return None
    with contextlib.suppress(OSError), lock_file(_lock_path(folder), create=False) as file:
        if _kept(folder, file) is not None:
            return Owner.KEPT
        return Owner.NOBODY if lock(file, exclusive=True) else Owner.USED
    return Owner.NOBODY


def start_embedded(folder: Path, port: int = 0) -> Server:
    """Starts the embedded server and leaves it running; restarts it if it listens on another port.

    Args:
        folder: the server's folder.
        port: the loopback port to listen on; 0: on its socket only.

    Raises:
        PostgresError: as ``embedded``; or the port is not available.
        BusyError: as ``embedded``; or the server listens on another port and another command uses it.
    """
    user = server_user(folder)
    with _used(folder) as file:
        own = _started(folder, user, file, port)
        found = _ready(folder)
        if found is None:
            raise PostgresError(f"the embedded PostgreSQL in {folder} has stopped again", f"See {folder / 'log'}.")
        file.seek(0)
        file.truncate()
        file.write(_mark(found))
        file.flush()
        return own


def network_port(folder: Path) -> int:
    """The loopback port on which the embedded server listens; 0 if none or if it does not run.

    Raises:
        PostgresError: its folder is not this user's.
    """
    found = _ready(folder)
    return found.network_port if found is not None else 0


def stop_embedded(folder: Path) -> bool:
    """Stops the embedded server even if others use it; False if it was not running.

    Raises:
        PostgresError: it is not this user's, or does not stop.
        BusyError: another command is starting or stopping it and does not finish in time.
    """
    user = server_user(folder)
    if process.running(folder.resolve()) is None:
        return False
    with _changing(folder):
        return postmaster.stop(folder.resolve(), user)


def weaknesses(folder: Path) -> list[str]:
    """Ways in which other users of this machine could reach the embedded server; empty if there are none.

    Raises:
        PostgresError: its folder is not this user's.
    """
    if owner_of(folder) is None:
        return []
    user, real = server_user(folder), folder.resolve()
    found = []
    if (mode := stat.S_IMODE(real.stat().st_mode)) & 0o077:
        found.append(f"{folder} has mode {mode:04o}, not 0700: other users can enter the server's folder")
    with contextlib.suppress(FileNotFoundError):  # not created yet
        found += [f"{folder / 'pg_hba.conf'} allows anyone to log in: {line}" for line in cluster.weak_rules(real)]
    if (running := process.running(real)) is not None:
        place = sockets.socket_path(real, running.socket_folder)
        if (why := sockets.loose_socket(place, user)) is not None:
            found.append(f"the folder of the server's socket, {place}, {why}")
        if running.addresses not in ("", "127.0.0.1", "::1", "localhost"):
            found.append(f"the server listens on the network: {running.addresses}")
    for path in (_lock_path(folder), _start_path(folder)):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_IMODE(path.lstat().st_mode) & 0o077:
                found.append(f"{path} can be opened, and therefore locked, by other users")
    return found


# -- users of the server


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _start_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.start.lock")


@contextlib.contextmanager
def _used(folder: Path) -> Iterator[IO[str]]:
    """Marks the server as needed for the duration of a block; waits for a command that is stopping it."""
    with _opened(folder, _lock_path(folder), f"is stopping the server in {folder}", exclusive=False) as file:
        yield file


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[IO[str]]:
    """Keeps others from creating, starting or stopping the server for the duration of a block."""
    with _opened(
        folder, _start_path(folder), f"is starting or stopping the server in {folder}", exclusive=True
    ) as file:
        yield file


@contextlib.contextmanager
def _opened(folder: Path, path: Path, doing: str, *, exclusive: bool) -> Iterator[IO[str]]:
    with contextlib.ExitStack() as stack:
        try:
            folder.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            file = stack.enter_context(lock_file(path))
            locked = lock(file, exclusive=exclusive, seconds=_WAIT_SECONDS)
        except OSError as error:
            raise _no_start(folder, error) from error
        if not locked:
            raise _locked_error(path, file, doing)
        yield file


def _locked_error(path: Path, file: IO[str], doing: str) -> BusyError | PostgresError:
    holder = named_holder(file)
    if foreign_holder(file):
        return PostgresError(
            f"{path} is held by another user's process ({holder}); waited {_WAIT_SECONDS:.0f} s",
            "Stop this process or have its user stop it; no other user can open the file from now on.",
        )
    return BusyError(
        f"another rmetrics ({holder}) {doing}; waited {_WAIT_SECONDS:.0f} s", "Wait for it to finish, then run again."
    )


def _kept(folder: Path, file: IO[str]) -> str | None:
    """The mark of ``db start`` if it names the running server; None if the server was restarted since."""
    found = _ready(folder)
    file.seek(0)
    mark = file.read()
    return mark if found is not None and mark == _mark(found) else None


def _mark(found: process.Process) -> str:
    return f"kept: {found.identity}"


# -- the server


def _ready(folder: Path) -> process.Process | None:
    if owner_of(folder) is None:
        return None
    server_user(folder)
    found = process.running(folder.resolve())
    return found if found is not None and found.ready else None


def _started(folder: Path, user: ServerUser, file: IO[str], port: int | None = None) -> Server:
    """Returns the server, running and reachable.

    Args:
        folder: the server's folder.
        user: the user it runs as.
        file: this command's shared lock.
        port: the loopback port it must listen on; 0: on its socket only; None: leave as it is.
    """
    real = folder.resolve()
    try:
        found = process.running(real)
        if found is not None and found.ready and _reachable(found, real) and port in (None, found.network_port):
            cluster.secure(real, user, found)
            return _server(found, folder)
        if port:
            ports.require_free(port)
        with _changing(folder) as changing:
            return _server(_create_and_start(real, user, file, changing, port), folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise _no_start(folder, error) from error


def _create_and_start(
    folder: Path, user: ServerUser, used: IO[str], changing: IO[str], port: int | None
) -> process.Process:
    version = cluster.version_of(folder)
    if version is None:
        cluster.make_cluster(folder, user, changing)
        version = cluster.version_of(folder)
    found = process.running(folder)  # another command may have started it while this one waited
    if found is not None and (not found.ready or not _reachable(found, folder)):
        _stop_unusable(folder, user, used, f"(pid {found.pid}) cannot be reached: its socket is missing")
        found = None
    if found is not None and port not in (None, found.network_port):
        listen = f"listen on port {port}" if port else "listen on its socket only"
        _stop_unusable(folder, user, used, f"(pid {found.pid}) must be restarted to {listen}")
        found = None
    if found is not None:
        return found
    if version is None:
        raise PostgresError(f"initdb created no server in {folder}", f"Check the disk, {OWN_SERVER_HINT}.")
    return postmaster.start(folder, version, user, port or 0)


def _reachable(found: process.Process, folder: Path) -> bool:
    """Whether the socket still exists at a usable path: a cleaned temporary folder or a moved project may break it."""
    place = sockets.socket_path(folder, found.socket_folder)
    return sockets.fits(place) and (place / f".s.PGSQL.{found.port}").is_socket()


def _stop_unusable(folder: Path, user: ServerUser, used: IO[str], why: str) -> None:
    """Stops a server that is unreachable or must restart with other settings, unless another command uses it."""
    exclusive = lock(used, exclusive=True)
    try:
        if not exclusive:
            raise BusyError(
                f"the embedded PostgreSQL in {folder} {why}, and another rmetrics still uses the server",
                "Wait for that command to finish, then run again.",
            )
        postmaster.stop(folder, user)
    finally:
        if exclusive and not lock(used, exclusive=False, seconds=_WAIT_SECONDS):
            raise BusyError(f"another rmetrics has taken the lock of {folder}", "Run the command again.")


def _no_start(folder: Path, error: Exception) -> PostgresError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    return PostgresError(
        f"the embedded PostgreSQL in {folder} does not start: {reason}{where}",
        f"Check the disk and the permissions of {folder.parent}, {OWN_SERVER_HINT}.",
    )


def _server(found: process.Process, folder: Path) -> Server:
    place = sockets.socket_path(folder.resolve(), found.socket_folder)
    return Server(sockets.url(place, found.port), f"embedded PostgreSQL in {folder}", embedded=True)
