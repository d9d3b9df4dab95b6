"""Runs rmetrics as on a system without ``flock``, ``fork``, users with numbers and modes of files: what Windows lacks.

Not Windows: paths, file systems and the engines are this machine's. ``msvcrt`` is one that locks as Windows does: one
byte, for one holder, freed with the process.
"""

import asyncio  # noqa: F401 - the standard library looks for Windows by the same names: it is loaded as it is here
import fcntl
import multiprocessing.popen_spawn_posix
import multiprocessing.util  # noqa: F401
import os
import runpy
import shutil  # noqa: F401
import subprocess  # noqa: F401
import sys
import tempfile  # noqa: F401
import types

LACKING = (
    "fork", "forkpty", "geteuid", "getuid", "getegid", "getgid", "fchmod", "fchown", "chown", "lchown", "setsid",
    "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY",
)  # fmt: skip


def locking(descriptor: int, _: int, count: int) -> None:
    """What msvcrt.locking does with LK_NBLCK."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(descriptor, 0, os.SEEK_CUR))
    except BlockingIOError as error:
        raise PermissionError(13, "Permission denied") from error


def main() -> None:
    """Takes away what Windows has not, and starts the program."""
    msvcrt = types.ModuleType("msvcrt")
    msvcrt.locking, msvcrt.LK_NBLCK = locking, 2  # type: ignore[attr-defined]
    sys.modules["msvcrt"] = msvcrt
    for name in ("fcntl", "pwd", "grp", "resource", "termios"):
        sys.modules[name] = None  # type: ignore[assignment]
    for name in LACKING:
        if hasattr(os, name):
            delattr(os, name)
    sys.argv[0] = "rmetrics"
    runpy.run_module("rmetrics", run_name="__main__")


if __name__ == "__main__":
    main()
