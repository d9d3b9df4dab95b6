"""The lease of a lake in a bucket: an object with the writing run and the time at which the lease expires.

It only saves work: conflicts are decided where records are replaced. So differing clocks, a lease that expires while
its run continues, or one that is removed do no harm.
"""

import contextlib
import datetime as dt
import json
import os
import socket
import threading
from collections.abc import Iterator

from rmetrics.errors import BusyError, LakeError
from rmetrics.lake.s3 import Connection

SECONDS = 60.0
_RENEWED = SECONDS / 4
_FORM = "%Y-%m-%d %H:%M:%S UTC"


@contextlib.contextmanager
def lease(connection: Connection, name: str) -> Iterator[None]:
    """Holds the lease and renews it until the end of the block.

    Raises:
        BusyError: another run holds it; names machine, process and since when.
        LakeError: the bucket cannot be used.
    """
    since = dt.datetime.now(dt.UTC)
    version = _acquire(connection, name, since)
    over = threading.Event()
    current = [version]

    def renew() -> None:
        while not over.wait(_RENEWED):
            with contextlib.suppress(LakeError, OSError):  # removed or unreachable: nothing depends on it
                current[0] = _write_lease(connection, name, since, current[0])

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        with contextlib.suppress(LakeError, OSError):
            found = connection.head(name)
            if found is not None and found.version == current[0]:
                connection.delete(name)


def refuse_if_leased(connection: Connection, name: str) -> str | None:
    """Checks the lease; returns the version of an expired one, None if there is none.

    Raises:
        BusyError: another run holds it; names machine, process and since when.
        LakeError: the bucket cannot be used.
    """
    try:
        content, version = connection.get(name)
    except FileNotFoundError:
        return None
    if holder := _holder(content):
        raise _busy(holder)
    return version


def _acquire(connection: Connection, name: str, since: dt.datetime) -> str:
    version = refuse_if_leased(connection, name)
    try:
        return _write_lease(connection, name, since, version)
    except FileExistsError:
        raise _busy("it has just begun") from None


def _write_lease(connection: Connection, name: str, since: dt.datetime, version: str | None) -> str:
    record = {
        "machine": socket.gethostname(),
        "pid": os.getpid(),
        "since": since.strftime(_FORM),
        "until": (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=SECONDS)).timestamp(),
    }
    return connection.put(name, json.dumps(record).encode(), new=version is None, version=version)


def _holder(content: bytes) -> str:
    """The holder of a lease; empty if it has expired, or its process on this machine has ended."""
    try:
        record = json.loads(content)
        machine, pid, since, until = (record[k] for k in ("machine", "pid", "since", "until"))
        if float(until) <= dt.datetime.now(dt.UTC).timestamp():
            return ""
        if machine == socket.gethostname() and _ended(int(pid)):
            return ""
    except (ValueError, TypeError, KeyError):
        return ""  # not a valid lease: only rmetrics writes it
    return f"pid {pid} on {machine}, since {since}"


def _ended(pid: int) -> bool:
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False


def _busy(holder: str) -> BusyError:
    return BusyError(f"another run holds the lock of the lake ({holder})", "Wait for it to finish, then run again.")
