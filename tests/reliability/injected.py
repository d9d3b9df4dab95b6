"""A process that runs syncs which fail at their N-th step, as a disk, a server or a kill would make them fail.

It imports everything once and forks for each request, a JSON line on stdin: ``{"environment", "arguments", "fault",
"at", "log"}``. The child counts every rename, flush, removal and writing of a file and every statement and commit, and
fails at step ``at``. The answer is a JSON line: its exit status and the steps it passed. A step counts before it is
taken, so N = 1, 2, ... until a run completes stops a sync at every place there is.

Faults: ``kill`` (SIGKILL; a file being written is left torn), ``kill-statement`` (at statements only), ``EIO``, ``ENOSPC`` and ``EACCES`` (files only), and
``disconnect`` (statements only: the server ends the connection first).
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILES, STATEMENTS = "file", "statement"


class Steps:
    """Counts the steps of a sync and fails at one of them."""

    def __init__(self, fault: str, at: int, log: Path) -> None:
        self.fault, self.at, self.log = fault, at, log
        self.kinds = {"kill": (FILES, STATEMENTS)}.get(
            fault, (STATEMENTS,) if fault in ("disconnect", "kill-statement") else (FILES,)
        )
        self.passed: list[str] = []
        self.counting = threading.Lock()  # exports land in several threads

    def __call__(self, kind: str, name: str, torn: Path | None = None, session: Any = None) -> None:
        """One step; does not return if it is the one to fail at, or raises."""
        if kind not in self.kinds:
            return
        with self.counting:
            self.passed.append(name)
            at = len(self.passed)
            with self.log.open("a") as file:
                file.write(name + "\n")
        if at != self.at:
            return
        if self.fault.startswith("kill"):
            if torn is not None:
                torn.write_bytes(b"PAR1 torn")
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "disconnect":
            _end_connection(session)
            return
        number = getattr(errno, self.fault)
        raise OSError(number, os.strerror(number), name)


def _end_connection(session: Any) -> None:
    from adbc_driver_postgresql import dbapi

    backend = _backend[id(session)]
    with dbapi.connect(session.server.dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend({backend}, 5000)")
        cursor.fetchall()


_backend: dict[int, int] = {}


def _folder_of(target: Any) -> Path:
    return Path(target._pl_partition_by.base_path)  # noqa: SLF001 - it does not say otherwise


def _name(path: Any) -> str:
    return Path(os.fsdecode(path)).name


def install(steps: Steps) -> None:
    """Puts the counter before every step."""
    import polars as pl

    from rmetrics.postgres import connection as postgres

    def counted(name: str, path: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(os, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            steps(FILES, f"{name} {path(*arguments)}")
            return original(*arguments, **options)

        return wrapped

    os.replace = counted("replace", lambda _old, new: _name(new))
    os.unlink = counted("unlink", lambda path, *_: _name(path))
    os.mkdir = counted("mkdir", lambda path, *_: _name(path))
    os.fsync = counted("fsync", lambda handle: Path(f"/proc/self/fd/{handle}").readlink().name)

    sink = pl.LazyFrame.sink_parquet

    def sunk(self: Any, target: Any, *arguments: Any, **options: Any) -> Any:
        path = _folder_of(target) / "torn.parquet" if isinstance(target, pl.PartitionBy) else Path(target)
        steps(FILES, f"write {path.name}", torn=path)
        return sink(self, target, *arguments, **options)

    pl.LazyFrame.sink_parquet = sunk  # type: ignore[method-assign,assignment]

    opened = postgres.Session.__init__

    def with_backend(self: Any, connection: Any, server: Any, schema: str | None) -> None:
        opened(self, connection, server, schema)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            _backend[id(self)] = cursor.fetchone()[0]

    postgres.Session.__init__ = with_backend  # type: ignore[method-assign]
    for name in ("execute", "query", "arrow", "ingest", "commit"):
        _count_statement(postgres.Session, name, steps)


def trace(log: Path) -> None:
    """Writes down every flush and rename in order, and what the file was like then: its size and time."""

    def note(**what: Any) -> None:
        main = threading.current_thread() is threading.main_thread()
        with log.open("a") as file:
            file.write(json.dumps({"thread": 0 if main else threading.get_ident(), **what}) + "\n")

    def state(path: str) -> list[int]:
        status = os.stat(path)  # noqa: PTH116 - by name or by handle
        return [status.st_size, status.st_mtime_ns]

    flush, moves = os.fsync, {name: getattr(os, name) for name in ("replace", "rename")}

    def flushed(handle: int) -> None:
        flush(handle)
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        note(did="flush", path=path, state=state(path))

    def moved(move: Callable[..., None]) -> Callable[..., None]:
        def wrapped(old: Any, new: Any, **options: Any) -> None:
            note(did="rename", path=os.fsdecode(old), to=os.fsdecode(new), state=state(os.fsdecode(old)))
            move(old, new, **options)

        return wrapped

    os.fsync = flushed  # type: ignore[assignment]
    for name, move in moves.items():
        setattr(os, name, moved(move))


def _count_statement(session: Any, name: str, steps: Steps) -> None:
    original = getattr(session, name)

    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        what = str(arguments[0]).split() if arguments else []
        steps(STATEMENTS, " ".join([name, *what])[:60], session=self)
        return original(self, *arguments, **options)

    setattr(session, name, wrapped)


def _keep_only(rights: int) -> None:
    """Gives up root's rights but these, also for child processes: what files permit holds as for anybody's own files."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, version = 38, 0x20080522
    sets = (ctypes.c_uint32 * 6)(rights, rights, 0, 0, 0, 0)
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.capset((ctypes.c_uint32 * 2)(version, 0), sets):
        raise OSError(ctypes.get_errno(), "cannot give up root's rights")


def child(request: dict[str, Any]) -> int:
    """Runs one command line in this (forked) process; returns its exit code."""
    from rmetrics.cli import run

    os.environ.update(request["environment"])
    out = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if request.get("file_size"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], request["file_size"]))
    if request.get("rights") is not None:
        _keep_only(request["rights"])
    if request["fault"] == "trace":
        trace(Path(request["log"]))
    elif request["fault"]:
        install(Steps(request["fault"], request["at"], Path(request["log"])))
    try:
        return run(request["arguments"])
    except BaseException:  # noqa: BLE001 - what a user would see as a crash
        import traceback

        traceback.print_exc()
        return 1


def main() -> None:
    """Answers requests until stdin ends."""
    # Everything a sync needs, so that a fork starts at once. Nothing of it may start threads before the fork.
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import rmetrics.cli
    import rmetrics.output.sync  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            code = 1
            with contextlib.suppress(BaseException):
                code = child(request)
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"exit": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
