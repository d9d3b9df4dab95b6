"""The running server of a folder, from its ``postmaster.pid`` and the system's process table.

The file remains when a server is killed or the machine goes down, and is copied along with its folder. Its process id
may then be unused, another program's, or that of the server in the original folder: a process counts only if it is a
``postgres`` whose working directory is this very folder.
"""

import datetime as dt
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_LINES = 8
MARK = "rmetrics.folder"


@dataclass(frozen=True, slots=True)
class Process:
    """A running server.

    Attributes:
        pid: of its first process.
        started: in seconds since 1970.
        socket_folder: as given to the server; ``.`` is its own folder.
        ready: whether it accepts connections.
        addresses: network addresses it listens on besides its socket; empty for none.
        port: of its socket, and of the network if it listens there.
    """

    pid: int
    started: int
    socket_folder: str
    ready: bool
    addresses: str = ""
    port: int = 5432

    @property
    def network_port(self) -> int:
        """The port on which it listens on the network; 0 if it does not."""
        return self.port if self.addresses else 0

    @property
    def identity(self) -> str:
        """Distinguishes this server from earlier and later ones."""
        return f"pid {self.pid}, started {dt.datetime.fromtimestamp(self.started):%Y-%m-%d %H:%M:%S}"  # noqa: DTZ006


def recorded(folder: Path) -> Process | None:
    """The contents of ``postmaster.pid``; None if the file is missing or incomplete."""
    try:
        lines = (folder / "postmaster.pid").read_bytes().split(b"\n")
        pid, started, port = int(lines[0]), int(lines[2]), int(lines[3])
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    lines += [b""] * _LINES
    return Process(
        pid,
        started,
        os.fsdecode(lines[4].strip()),
        lines[7].strip() == b"ready",
        lines[5].decode("ascii", "replace").strip(),
        port,
    )


def running(folder: Path) -> Process | None:
    """The server running in a folder, ready or not."""
    found = recorded(folder)
    return found if found is not None and works_in(found.pid, folder) else None


def works_in(pid: int, folder: Path) -> bool:
    """Whether a process is alive, is a ``postgres``, and works in a folder."""
    if not alive(pid):
        return False
    if sys.platform != "linux":  # pragma: no cover - macOS
        return _listed(pid, folder)
    process = Path("/proc", str(pid))
    try:
        if process.joinpath("comm").read_bytes().strip() != b"postgres":
            return False
        try:
            return process.joinpath("cwd").stat().st_ino == folder.stat().st_ino and os.path.samestat(
                process.joinpath("cwd").stat(), folder.stat()
            )
        except PermissionError:  # root in a container that may not inspect other users' processes
            return mark(folder).encode() in process.joinpath("cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def mark(folder: Path) -> str:
    """A setting that identifies the folder on the server's command line, even after the folder is moved."""
    found = folder.stat()
    return f"{MARK}={found.st_dev}:{found.st_ino}"


def alive(pid: int) -> bool:
    """Whether a process is running; zombies do not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return sys.platform != "linux"
    return state not in (b"Z", b"X")


def _listed(pid: int, folder: Path) -> bool:  # pragma: no cover - macOS
    listed = subprocess.run(  # noqa: S603 - fixed words
        ["/usr/sbin/lsof", "-a", "-d", "cwd", "-c", "postgres", "-p", str(pid), "-Fn"], capture_output=True, check=False
    )
    names = [os.fsdecode(line[1:]) for line in listed.stdout.splitlines() if line.startswith(b"n")]
    return any(os.path.exists(n) and os.path.samefile(n, folder) for n in names)  # noqa: PTH110, PTH121 - as lsof says it
