"""The plan of a daily run, and the files and commands that register it with each kind of scheduler."""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rmetrics.schedule.launchd import plist_text
from rmetrics.schedule.systemd import service_text, timer_text
from rmetrics.schedule.windows import task_xml

UNLOAD = ["launchctl", "bootout"]
"""Start of the command that precedes an install on launchd; it may fail, because there may be no earlier agent."""


class Scheduler(StrEnum):
    """A scheduler."""

    SYSTEMD = "systemd"
    CRON = "cron"
    LAUNCHD = "launchd"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class DailyRun:
    """A daily run of one project.

    Attributes:
        project: the project's folder.
        at: the time of day.
        zone: time zone of ``at`` if the scheduler supports zones (systemd); others use the machine's zone.
        program: the command and its arguments.
    """

    project: Path
    at: dt.time
    zone: str
    program: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name unique to the project: the folder's name and a digest of its path."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.project.name.lower()).strip("-") or "project"
        return f"rmetrics-{slug[:32]}-{hashlib.sha256(str(self.project).encode()).hexdigest()[:8]}"

    @property
    def mark(self) -> str:
        """The text that marks a file as written by this program."""
        return f"Written by rmetrics schedule install for {self.project}; to remove it: rmetrics schedule remove."


def files_of(
    kind: Scheduler, plan: DailyRun, home: Path, data: Path, config: Path | None = None
) -> Mapping[Path, bytes]:
    """Returns the scheduler's files by path; none for cron, whose crontab belongs to the user.

    Args:
        kind: the scheduler.
        plan: the daily run.
        home: the user's home folder.
        data: the project's data folder, for files with no place prescribed by the system.
        config: the value of ``XDG_CONFIG_HOME``, if set.
    """
    match kind:
        case Scheduler.SYSTEMD:
            folder = (config or home / ".config") / "systemd" / "user"
            return {
                folder / f"{plan.name}.service": service_text(plan.mark, plan.project, plan.program).encode(),
                folder / f"{plan.name}.timer": timer_text(plan.mark, plan.project, plan.at, plan.zone).encode(),
            }
        case Scheduler.LAUNCHD:
            path = home / "Library" / "LaunchAgents" / f"{plan.name}.plist"
            return {path: plist_text(plan.name, plan.mark, plan.project, plan.at, plan.program)}
        case Scheduler.WINDOWS:
            path = data / "schedule" / f"{plan.name}.xml"
            return {path: task_xml(plan.mark, plan.project, plan.at, plan.program).encode("utf-16")}
        case Scheduler.CRON:
            return {}


def commands_of(
    kind: Scheduler, plan: DailyRun, files: Mapping[Path, bytes], user: int, *, install: bool
) -> list[list[str]]:
    """Returns the commands that register the files with a scheduler, or remove them from it."""
    match kind:
        case Scheduler.SYSTEMD:
            timer, base = f"{plan.name}.timer", ["systemctl", "--user"]
            if install:
                return [[*base, "daemon-reload"], [*base, "enable", "--now", timer]]
            return [[*base, "disable", "--now", timer]]
        case Scheduler.LAUNCHD:
            domain = f"gui/{user}"
            unload = [*UNLOAD, f"{domain}/{plan.name}"]
            # launchd refuses an agent that is already loaded, so a new time needs a bootout first.
            return [unload, *(["launchctl", "bootstrap", domain, str(p)] for p in files)] if install else [unload]
        case Scheduler.WINDOWS:
            if install:
                return [["schtasks", "/Create", "/TN", plan.name, "/XML", str(p), "/F"] for p in files]
            return [["schtasks", "/Delete", "/TN", plan.name, "/F"]]
        case Scheduler.CRON:
            return []
