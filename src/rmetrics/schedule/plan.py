"""What is to run when, and the files and commands by which each kind of scheduler learns of it."""

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

FORGET_FIRST = ["launchctl", "bootout"]
"""How an install begins where the scheduler refuses what it has already; it may fail, for there may be none."""


class Kind(StrEnum):
    """A scheduler."""

    SYSTEMD = "systemd"
    CRON = "cron"
    LAUNCHD = "launchd"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True)
class Plan:
    """A daily run of one project.

    Attributes:
        project: its folder.
        at: the time of day.
        zone: whose clocks ``at`` is read by, where the scheduler knows zones (systemd); the machine's elsewhere.
        program: the command and its arguments.
    """

    project: Path
    at: dt.time
    zone: str
    program: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name that no other project's has: from the folder's name and a digest of its path."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.project.name.lower()).strip("-") or "project"
        return f"rmetrics-{slug[:32]}-{hashlib.sha256(str(self.project).encode()).hexdigest()[:8]}"

    @property
    def mark(self) -> str:
        """The words by which a file of ours is known."""
        return f"Written by rmetrics schedule install for {self.project}; rmetrics schedule remove takes it away."


def files_of(kind: Kind, plan: Plan, home: Path, data: Path, config: Path | None = None) -> Mapping[Path, bytes]:
    """The files that a scheduler reads; none for cron, whose table is not a file of ours.

    Args:
        kind: the scheduler.
        plan: what runs when.
        home: the user's home folder.
        data: the project's data folder, for files that need no place of the system's.
        config: ``XDG_CONFIG_HOME``, where it is set.
    """
    match kind:
        case Kind.SYSTEMD:
            folder = (config or home / ".config") / "systemd" / "user"
            return {
                folder / f"{plan.name}.service": service_text(plan.mark, plan.project, plan.program).encode(),
                folder / f"{plan.name}.timer": timer_text(plan.mark, plan.project, plan.at, plan.zone).encode(),
            }
        case Kind.LAUNCHD:
            path = home / "Library" / "LaunchAgents" / f"{plan.name}.plist"
            return {path: plist_text(plan.name, plan.mark, plan.project, plan.at, plan.program)}
        case Kind.WINDOWS:
            path = data / "schedule" / f"{plan.name}.xml"
            return {path: task_xml(plan.mark, plan.project, plan.at, plan.program).encode("utf-16")}
        case Kind.CRON:
            return {}


def commands_of(kind: Kind, plan: Plan, files: Mapping[Path, bytes], user: int, *, install: bool) -> list[list[str]]:
    """The commands that make a scheduler read the files, or forget them."""
    match kind:
        case Kind.SYSTEMD:
            timer, base = f"{plan.name}.timer", ["systemctl", "--user"]
            if install:
                return [[*base, "daemon-reload"], [*base, "enable", "--now", timer]]
            return [[*base, "disable", "--now", timer]]
        case Kind.LAUNCHD:
            domain = f"gui/{user}"
            gone = [*FORGET_FIRST, f"{domain}/{plan.name}"]
            # launchd does not take an agent that it has: a new time would be refused.
            return [gone, *(["launchctl", "bootstrap", domain, str(p)] for p in files)] if install else [gone]
        case Kind.WINDOWS:
            if install:
                return [["schtasks", "/Create", "/TN", plan.name, "/XML", str(p), "/F"] for p in files]
            return [["schtasks", "/Delete", "/TN", plan.name, "/F"]]
        case Kind.CRON:
            return []
