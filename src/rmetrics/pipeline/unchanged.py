"""Fast path for a sync with nothing to do: nothing it depends on differs from the state the last one left.

Compared are the rules (by content), the inbox, the lake and this installation (by size, time and inode of each file),
the settings and the day. An embedded server that nobody has started since the last sync stopped it need not be asked; a
running one is asked whether it still holds what was published. If anything differs, a full sync finds out whether that
matters.

Imports nothing that is slow to load.
"""

import datetime as dt
import hashlib
import json
import os
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from rmetrics.errors import RmetricsError
from rmetrics.files import write_private
from rmetrics.findings import BY_HAND, NEWLY_ACCEPTED, PULL_INCOMPLETE, Finding, Severity
from rmetrics.locks import lock, lock_file
from rmetrics.month_line import MonthLine
from rmetrics.pipeline.summary import FileResult, MeasureLine, SyncResult
from rmetrics.postgres.embedded import embedded_running, state_at_rest
from rmetrics.version import __version__

NOT_NEEDED = "not needed: nothing changed"
L = TypeVar("L", MonthLine, MeasureLine)

_NAME = "unchanged.json"
_OURS = frozenset({"lock", _NAME, f"{_NAME}.part"})  # files of the lake that every run writes
_ONCE = frozenset(
    {"damaged-cache", NEWLY_ACCEPTED, "explanation-failed", BY_HAND, PULL_INCOMPLETE}
)  # findings that belong to a single run

_FILE = tuple(f.name for f in fields(FileResult))
_PROGRAM = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class SyncPlaces:
    """What a sync reads and writes on this machine, as plain values that are quick to import.

    Attributes:
        schema: to publish to.
        memory: the limit of a run in bytes.
        local: whether lake and inbox are on this machine; the state of a bucket shows in requests only.
        dsn: of a server of the user's own; not in ``repr``.
    """

    rules_dir: Path
    inbox_dir: Path
    lake_dir: Path
    server_dir: Path
    schema: str
    memory: int
    local: bool
    dsn: str | None = field(default=None, repr=False)


def fingerprint(places: SyncPlaces) -> str:
    """Returns a digest of a sync's inputs: rules, inbox, installation, settings, day. Take it before the sync."""
    digest = hashlib.sha256()
    for value in (__version__, dt.datetime.now(dt.UTC).date(), places.schema, places.memory, places.dsn):
        digest.update(f"{value}\n".encode())
    for path in sorted(places.rules_dir.glob("*.toml*")):
        digest.update(f"{path.name}\0".encode() + (path.read_bytes() if path.is_file() else b"") + b"\0")
    for folder in (places.inbox_dir, _PROGRAM):
        digest.update("\n".join(sorted(_files(folder))).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def remember(places: SyncPlaces, read: str, state: str, inputs: str, result: SyncResult) -> None:
    """Saves the result that a sync with nothing to do will report.

    Args:
        places: of the sync.
        read: ``fingerprint`` from before the sync.
        state: the embedded server's state at rest after the sync stopped it; empty if the server keeps running.
        inputs: digest of everything the published figures depend on.
        result: of the sync; not saved if it describes this run alone, or if not all places are local.
    """
    if not places.local:
        return
    if any(f.status == "landed" and f.reason for f in result.files) or any(f.code in _ONCE for f in result.findings):
        return
    files = tuple(replace(f, status="unchanged") if f.status == "landed" else f for f in result.files)
    kept = {
        "key": _key(places, read, state),
        "inputs": inputs,
        "files": [{n: getattr(f, n) for n in _FILE} for f in files],  # ``asdict`` is slow for many thousands of files
        "findings": [asdict(f) for f in result.findings],
        "months": [asdict(m) for m in result.months],
        "measures": [asdict(m) for m in result.measures],
    }
    write_private(places.lake_dir / _NAME, json.dumps(kept, default=str).encode())


def nothing_to_do(places: SyncPlaces) -> SyncResult | None:
    """Returns the result of a sync that has nothing to do; None if it may have something to do.

    Raises:
        PostgresError: the embedded server's folder is not this user's.
    """
    started = time.monotonic()
    if not places.local or not _free(places.lake_dir / "lock"):
        return None
    try:
        kept = json.loads((places.lake_dir / _NAME).read_bytes())
        state = None if places.dsn else state_at_rest(places.server_dir)
        if kept["key"] != _key(places, fingerprint(places), state or ""):
            return None
        if state is None and not _still_published(places, kept["inputs"]):
            return None
        return SyncResult(
            run_id=new_run_id(dt.datetime.now(dt.UTC)),
            status="unchanged",
            files=tuple(FileResult(**f) for f in kept["files"]),
            published={},
            findings=tuple(Finding(**{**f, "severity": Severity(f["severity"])}) for f in kept["findings"]),
            months=tuple(_line(MonthLine, m) for m in kept["months"]),
            seconds=time.monotonic() - started,
            cross_check=NOT_NEEDED,
            measures=tuple(_line(MeasureLine, m) for m in kept["measures"]),
        )
    except (OSError, ValueError, TypeError, KeyError, ArithmeticError):  # missing or malformed: it is only a cache
        return None


def new_run_id(started: dt.datetime) -> str:
    """Returns the name of a run that starts now; names sort by time."""
    return f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"


def _free(path: Path) -> bool:
    """Tests whether no other run holds the lake."""
    try:
        with lock_file(path, create=False) as file:
            return lock(file, exclusive=True)
    except OSError:
        return False


def _still_published(places: SyncPlaces, inputs: str) -> bool:
    """Tests whether a running server holds these inputs' figures; False if it cannot be asked."""
    from rmetrics.postgres.connection import connect, server_of
    from rmetrics.postgres.run_log import still_published
    from rmetrics.shipped import schema_script

    try:
        server = server_of(places.dsn) if places.dsn else embedded_running(places.server_dir)
        if server is None:
            return False
        with connect(server, schema=places.schema) as session:
            return still_published(session, schema_script(), inputs)
    except RmetricsError:  # a full sync reports it
        return False


def _line(kind: type[L], kept: dict[str, Any]) -> L:
    """Returns a line of the summary as it was before it was saved."""
    exact = {f.name for f in fields(kind) if "Decimal" in str(f.type)}
    values: dict[str, Any] = {n: Decimal(v) if n in exact and v is not None else v for n, v in kept.items()}
    values["month"] = dt.date.fromisoformat(kept["month"])
    return kind(**values)


def _key(places: SyncPlaces, read: str, state: str) -> str:
    lake = "\n".join(sorted(_files(places.lake_dir, _OURS)))
    return hashlib.sha256(f"{read}\n{state}\n{lake}".encode("utf-8", "surrogateescape")).hexdigest()


def _files(folder: Path, ignored: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yields a line for each file and folder under ``folder``, and for the target of each link."""
    for place, folders, files in os.walk(folder):
        plain = frozenset(files)
        folders[:] = [f for f in folders if f != "__pycache__"]
        for name in (*folders, *files):
            if name in ignored and place == str(folder):
                continue
            path, stats = f"{place}/{name}", (os.lstat, os.stat)  # pathlib is slow for many thousands of files
            for look in stats:
                try:
                    at = look(path)
                except OSError:  # gone, or a link to nothing
                    yield f"{path}\0{look.__name__}"
                    continue
                size = (at.st_size, at.st_mtime_ns, at.st_ino, at.st_ctime_ns) if name in plain else ()
                yield f"{path}\0{look.__name__}\0{at.st_mode}\0{size}"
                if not stat.S_ISLNK(at.st_mode):
                    break
