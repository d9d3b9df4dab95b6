"""The record of the installed schedule and of its last run: two small files in the data folder."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rmetrics.files import PRIVATE_FOLDER, replace_private
from rmetrics.schedule.plan import Scheduler

_INSTALLED, _LAST_RUN = "schedule.json", "schedule-run.json"
GRACE = dt.timedelta(hours=1)  # a run may start late and takes some time


@dataclass(frozen=True, slots=True)
class Installed:
    """A schedule that was installed.

    Attributes:
        kind: the scheduler.
        at: the time of day, HH:MM.
        zone: time zone of ``at``; empty for the machine's.
        files: paths of the files written.
        installed_at: when it was installed.
    """

    kind: str
    at: str
    zone: str
    files: tuple[str, ...]
    installed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last scheduled run.

    Attributes:
        started_at: when it started.
        finished_at: when it ended; None if it was killed or is still running.
        sync, brief: their exit codes; None if they were not run.
    """

    started_at: dt.datetime
    finished_at: dt.datetime | None = None
    sync: int | None = None
    brief: int | None = None


def keep_installed(data: Path, installed: Installed | None) -> None:
    """Records the installed schedule; None records that there is none."""
    if installed is None:
        (data / _INSTALLED).unlink(missing_ok=True)
        return
    _write(data / _INSTALLED, asdict(installed))


def installed_in(data: Path) -> Installed | None:
    """Returns the installed schedule; None if there is none or the record is unreadable."""
    kept = _read(data / _INSTALLED)
    try:
        return Installed(
            str(Scheduler(kept["kind"])), str(kept["at"]), str(kept["zone"]), tuple(kept["files"]),
            dt.datetime.fromisoformat(kept["installed_at"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None


def record_run(data: Path, ran: LastRun) -> None:
    """Records a scheduled run."""
    _write(data / _LAST_RUN, asdict(ran))


def last_run_of(data: Path) -> LastRun | None:
    """Returns the last scheduled run; None if there was none or the record is unreadable."""
    kept = _read(data / _LAST_RUN)
    try:
        end = kept["finished_at"]
        return LastRun(
            dt.datetime.fromisoformat(kept["started_at"]),
            dt.datetime.fromisoformat(end) if end else None,
            kept["sync"],
            kept["brief"],
        )
    except (KeyError, TypeError, ValueError):
        return None


def last_due(installed: Installed, now: dt.datetime) -> dt.datetime | None:
    """Returns the last time the run was due, at least an hour ago; None if it has not been due since the install."""
    local = (now - GRACE).astimezone(ZoneInfo(installed.zone) if installed.zone else None)
    time = dt.time.fromisoformat(installed.at)
    due = local.replace(hour=time.hour, minute=time.minute, second=0, microsecond=0)
    if due > local:
        due -= dt.timedelta(days=1)
    return due if due >= installed.installed_at else None


def trouble(installed: Installed, ran: LastRun | None, now: dt.datetime) -> str:
    """Describes what is wrong with the last scheduled run; empty if nothing is."""
    due = last_due(installed, now)
    if due is not None and (ran is None or ran.started_at < due - dt.timedelta(minutes=5)):
        before = f"it last ran {ran.started_at.astimezone(due.tzinfo):%Y-%m-%d %H:%M}" if ran else "it has never run"
        return f"the daily run was due {due:%Y-%m-%d %H:%M}, but {before}"
    if ran is not None and ran.finished_at is None and now - ran.started_at > GRACE:
        return f"the daily run of {ran.started_at:%Y-%m-%d %H:%M} UTC did not finish"
    if ran is not None and ran.sync:
        return f"the sync of the last daily run ended with exit code {ran.sync}"
    if ran is not None and ran.brief:
        return f"the brief of the last daily run ended with exit code {ran.brief}"
    return ""


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    replace_private(path, json.dumps(value, default=str, indent=2).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
