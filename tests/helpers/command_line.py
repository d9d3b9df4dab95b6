"""The program, run as a user runs it: each command line a process of its own."""

import array
import atexit
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import fork_server
from rmetrics.cli import run
from support import Project

Line = Callable[..., subprocess.CompletedProcess[str]]

MODULE = (sys.executable, "-m", "rmetrics")
SCRIPT = (str(Path(sys.executable).with_name("rmetrics")),)
"""How a user starts the program: both are the same."""
_PROGRAM = " ".join(MODULE)

READ_AT_START = (
    "PYTHON", "PY_", "PYDANTIC", "_PYTHON", "TZ", "LANG", "LC_", "LD_", "GLIBC", "MALLOC", "_RJEM", "JE_", "RUST", "POLARS", "ARROW", "DUCKDB", "OMP",
    "TMP", "TEMP", "XDG_", "SSL_", "OPENSSL", "PGSERVER", "TYPER", "PSUTIL", "SETUPTOOLS", "ANDROID", "BUILDING",
)  # fmt: skip
"""How variables begin that Python or a library may read while it starts; all others are read when they are needed."""


def rmetrics(project: Project, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One run of the program in a project."""
    return command_line(*arguments, folder=project.root, environment={**project.environment, **variables})


def command_line(
    *arguments: str, folder: Path, environment: Mapping[str, str], timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """One run of ``python -m rmetrics``, what it wrote and its exit code.

    In a forked child of a process that has imported everything (``fork_server``), which saves a second of processor
    time. Where it would not be the same it is started as it is by a user: see ``started``.
    """
    forked = _server() if _same_start(environment) and _BUSY.acquire(blocking=False) else None
    if forked is None:
        return started(*arguments, folder=folder, environment=environment, timeout=timeout)
    try:
        return forked.run(arguments, folder, environment, timeout)
    finally:
        _BUSY.release()


def started(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str],
    timeout: float = 120,
    program: tuple[str, ...] = MODULE,
) -> subprocess.CompletedProcess[str]:
    """The same in a fresh Python: for tests of what happens while the program starts."""
    return subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def shell(project: Project, script: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which ``rmetrics`` is the program."""
    return subprocess.run(
        ["bash", "-c", f'rmetrics() {{ {_PROGRAM} "$@"; }}\n{script}'],
        cwd=project.root, env={**project.environment, **extra}, capture_output=True, text=True, check=False,
        errors="replace", timeout=120,
    )  # fmt: skip


def in_process(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs of the program in this process, in the project's folder; quicker where the process does not matter."""
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)

    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return said


_BUSY = threading.Lock()  # the server runs one command line at a time; a second one at the same moment is started
_SERVERS: list["_ForkServer"] = []


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that may be read while a program starts."""
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


_AT_START = _at_start(os.environ)


def _same_start(environment: Mapping[str, str]) -> bool:
    """Whether Python and its libraries would start in this environment as the fork server did."""
    return sys.platform == "linux" and _at_start(environment) == _AT_START


def _server() -> "_ForkServer":
    """The fork server of this process, started when it is first asked for."""
    if not _SERVERS:
        _SERVERS.append(_ForkServer())
        atexit.register(_SERVERS[0].close)
    return _SERVERS[0]


class _ForkServer:
    """The side of the tests: asks for command lines and reads what they write."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, fork_server.__file__, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                env={**os.environ, **fork_server.NO_THREADS}, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def close(self) -> None:
        """Lets it end."""
        self.socket.close()
        self.process.wait(10)

    def run(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """One command line.

        Raises:
            TimeoutExpired: it did not end in time, and was killed.
        """
        until = time.monotonic() + timeout
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        with os.fdopen(out, "rb") as stdout, os.fdopen(err, "rb") as stderr, Path(os.devnull).open("rb") as nothing:
            try:
                socket.send_fds(self.socket, [json.dumps(request).encode()], [nothing.fileno(), their_out, their_err])
            finally:
                os.close(their_out)
                os.close(their_err)
            child = self._number()
            written = _read(until, stdout, stderr)
            self.socket.settimeout(max(until - time.monotonic(), 0.001) if written else 0.001)
            try:
                code = self._number()
            except TimeoutError:
                os.kill(child, signal.SIGKILL)
                self.socket.settimeout(None)
                self._number()
                raise subprocess.TimeoutExpired(["rmetrics", *arguments], timeout) from None
            finally:
                self.socket.settimeout(None)
        said, told = (b.decode().replace("\r\n", "\n").replace("\r", "\n") for b in written)
        return subprocess.CompletedProcess(["rmetrics", *arguments], code, said, told)

    def _number(self) -> int:
        answer = self.socket.recv(8)
        if not answer:
            raise RuntimeError(f"the fork server has ended with exit code {self.process.wait()}")
        return array.array("q", answer)[0]


def _read(until: float, *pipes: io.BufferedReader) -> list[bytes]:
    """What comes out of each pipe to its end; nothing if that is not reached in time."""
    found: dict[int, list[bytes]] = {pipe.fileno(): [] for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(until - time.monotonic(), 0))
            if not ready:
                return []
            for key, _ in ready:
                block = os.read(key.fd, 1 << 16)
                found[key.fd].append(block)
                if not block:
                    selector.unregister(key.fd)
    return [b"".join(blocks) for blocks in found.values()]
