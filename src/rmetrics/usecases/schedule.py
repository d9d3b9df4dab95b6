"""``rmetrics schedule``: installs, shows, removes and runs the daily run of a project."""

import contextlib
import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from rmetrics.environment import project_folder
from rmetrics.errors import RmetricsError, SettingsError
from rmetrics.files import replace_private
from rmetrics.notify.sending import channels_of
from rmetrics.rules import load_rules
from rmetrics.schedule.cron import block_in, cron_lines, with_block, without_block
from rmetrics.schedule.plan import UNLOAD, DailyRun, Scheduler, commands_of, files_of
from rmetrics.schedule.record import (
    Installed,
    LastRun,
    installed_in,
    keep_installed,
    last_due,
    last_run_of,
    record_run,
    trouble,
)
from rmetrics.settings import Settings

_SECONDS = 60
_LINGER = "A user timer runs while you are logged in. To run it always: loginctl enable-linger"


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """Instructions given to a scheduler, or that would be given.

    Attributes:
        files: path to text of the files, as they are or would be; cron's lines under ``crontab``.
        commands: the commands run, or that would be run.
        changed: whether anything differed.
        notes: remarks for the user.
    """

    kind: str
    at: str
    zone: str
    files: dict[str, str]
    commands: tuple[tuple[str, ...], ...]
    changed: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownSchedule:
    """The installed schedule, its last run, and its trouble; None if there is none."""

    installed: Installed | None
    ran: LastRun | None
    due: dt.datetime | None
    trouble: str
    files: dict[str, str]


def install(settings: Settings, at: dt.time, kind: Scheduler | None = None, *, dry_run: bool = False) -> ScheduleResult:
    """Makes the system run pull, sync and brief every day; doing so again unchanged has no effect.

    Args:
        settings: of the project.
        at: the time of day.
        kind: the scheduler; None for the platform's.
        dry_run: only return the files and commands.

    Raises:
        SettingsError: there is no scheduler, it refuses, or a file of that name is not ours.
        RulesError: the rules do not load.
    """
    zone = load_rules(settings.rules_dir, settings.company).business.timezone
    kind = kind or scheduler_here()
    plan = _plan(at, zone)
    before = installed_in(settings.data_dir)
    known = before is not None and before.kind == kind
    result = _installed(settings, kind, plan, known=known, dry_run=True)  # a trial shows whether anything differs
    if dry_run:
        return result
    if result.changed:
        result = _installed(settings, kind, plan, known=known, dry_run=False)
    if before is not None and not known:  # the new one is in place: a refusal above left the old one as it was
        remove(settings)
    if result.changed or not known:
        zone = plan.zone if kind is Scheduler.SYSTEMD else ""
        now = dt.datetime.now(dt.UTC)
        keep_installed(settings.data_dir, Installed(kind, f"{at:%H:%M}", zone, tuple(result.files), now))
    return result


def scheduler_here() -> Scheduler:
    """Returns the scheduler of this platform.

    Raises:
        SettingsError: none was found.
    """
    if sys.platform == "darwin":
        return Scheduler.LAUNCHD
    if sys.platform == "win32":
        return Scheduler.WINDOWS
    if shutil.which("systemctl") and _run(["systemctl", "--user", "show-environment"]).returncode == 0:
        return Scheduler.SYSTEMD
    if shutil.which("crontab"):
        return Scheduler.CRON
    raise SettingsError(
        "neither systemd's user manager nor crontab is available",
        "Have your scheduler run this command every day: rmetrics -C FOLDER schedule run",
    )


def _plan(at: dt.time, zone: str) -> DailyRun:
    project = project_folder().resolve()
    program = (sys.executable, "-m", "rmetrics", "-C", str(project), "schedule", "run")
    return DailyRun(project, at, zone, program)


def _files(kind: Scheduler, plan: DailyRun, settings: Settings) -> dict[Path, bytes]:
    config = os.environ.get("XDG_CONFIG_HOME")
    data = settings.data_dir.resolve()
    return dict(files_of(kind, plan, Path.home(), data, Path(config) if config else None))


def _installed(settings: Settings, kind: Scheduler, plan: DailyRun, *, known: bool, dry_run: bool) -> ScheduleResult:
    """Installs the schedule if it differs; with ``dry_run`` only returns what would change.

    ``known``: the scheduler accepted it before. Files alone prove nothing: it may have refused them.
    """
    files = _files(kind, plan, settings)
    commands = commands_of(kind, plan, files, _user(), install=True)
    shown = {str(p): _text(kind, content) for p, content in files.items()}
    changed = not known or any(_content(p) != content for p, content in files.items())
    if kind is Scheduler.CRON:
        table = _crontab() if shutil.which("crontab") or not dry_run else ""
        block = cron_lines(plan.name, plan.mark, plan.at, plan.program)
        wanted = with_block(table, plan.name, block)
        shown, changed, commands = {"crontab": block}, wanted != table, [["crontab", "-"]]
        if changed and not dry_run:
            _must(commands[0], wanted)
    elif changed and not dry_run:
        _hand_over(kind, files, commands)
    zone = plan.zone if kind is Scheduler.SYSTEMD else ""
    issued = tuple(tuple(c) for c in commands) if changed else ()
    return ScheduleResult(kind, f"{plan.at:%H:%M}", zone, shown, issued, changed, _notes(kind, plan))


def _hand_over(kind: Scheduler, files: Mapping[Path, bytes], commands: Sequence[Sequence[str]]) -> None:
    """Writes the files and informs the scheduler; restores the files if it refuses."""
    for path in files:
        _refuse_foreign(path, kind)
    old = {path: _content(path) for path in files}
    try:
        for path, content in files.items():
            _write(path, content)
        for command in commands:
            if command[:2] == UNLOAD:
                _run(command)  # it fails if there is nothing to forget
            else:
                _must(command)
    except SettingsError:
        for path, previous in old.items():
            if previous is None:
                path.unlink(missing_ok=True)
            else:
                _write(path, previous)
        raise


def _notes(kind: Scheduler, plan: DailyRun) -> tuple[str, ...]:
    notes = []
    if kind is Scheduler.SYSTEMD:
        notes.append(_LINGER)
    now = dt.datetime.now().astimezone()
    if kind is not Scheduler.SYSTEMD and now.utcoffset() != now.astimezone(ZoneInfo(plan.zone)).utcoffset():
        zoned = now.replace(hour=plan.at.hour, minute=plan.at.minute).astimezone(ZoneInfo(plan.zone))
        notes.append(
            f"{kind} uses this machine's clock: {plan.at:%H:%M} here is now {zoned:%H:%M} in {plan.zone}; "
            "choose --at accordingly."
        )
    only_here = sorted(n for n in os.environ if n.startswith("RMETRICS_"))
    if only_here:
        notes.append(
            f"The daily run does not see these variables of this shell: {', '.join(only_here)}. Put them into .env."
        )
    return tuple(notes)


def remove(settings: Settings) -> ScheduleResult:
    """Removes the schedule of this project, and nothing else.

    Raises:
        SettingsError: the scheduler refuses.
    """
    before = installed_in(settings.data_dir)
    at = dt.time.fromisoformat(before.at) if before else dt.time(0)
    plan = _plan(at, "UTC")
    kind = Scheduler(before.kind) if before else _found(settings, plan)
    if kind is None:
        return ScheduleResult("", f"{at:%H:%M}", "", {}, (), changed=False)
    if kind is Scheduler.CRON:
        table = _crontab()
        block, changed = block_in(table, plan.name), without_block(table, plan.name) != table
        if changed:
            _must(["crontab", "-"], without_block(table, plan.name))
        keep_installed(settings.data_dir, None)
        return ScheduleResult(kind, f"{at:%H:%M}", "", {"crontab": block} if block else {}, (), changed)
    files = {p: c for p in _files(kind, plan, settings) if (c := _content(p)) is not None and _ours(c, kind)}
    commands = commands_of(kind, plan, files, _user(), install=False) if files else []
    for command in commands:
        _run(command)  # it may have forgotten it already: the files are removed in any case
    for path in files:
        path.unlink()
    if files and kind is Scheduler.SYSTEMD:
        commands.append(["systemctl", "--user", "daemon-reload"])
        _run(commands[-1])
    keep_installed(settings.data_dir, None)
    shown = {str(p): _text(kind, c) for p, c in files.items()}
    return ScheduleResult(kind, f"{at:%H:%M}", "", shown, tuple(map(tuple, commands)), bool(files))


def _found(settings: Settings, plan: DailyRun) -> Scheduler | None:
    """Returns the scheduler that has this project's files, in case the record of it is lost."""
    for kind in Scheduler:
        if any(_ours(c, kind) for p in _files(kind, plan, settings) if (c := _content(p)) is not None):
            return kind
    return Scheduler.CRON if shutil.which("crontab") and block_in(_crontab(), plan.name) else None


def show(settings: Settings, now: dt.datetime | None = None) -> ShownSchedule:
    """Returns what is installed, with the text of its files, and whether it ran when due."""
    now = now or dt.datetime.now(dt.UTC)
    installed, ran = installed_in(settings.data_dir), last_run_of(settings.data_dir)
    if installed is None:
        return ShownSchedule(None, ran, None, "", {})
    kind = Scheduler(installed.kind)
    plan = _plan(dt.time.fromisoformat(installed.at), installed.zone or "UTC")
    if kind is Scheduler.CRON:
        files = {"crontab": block} if (block := block_in(_crontab(), plan.name)) else {}
    else:
        files = {p: _text(kind, c) for p in installed.files if (c := _content(Path(p))) is not None}
    files_missing = "" if len(files) == len(installed.files) else "its files are missing: rmetrics schedule install"
    return ShownSchedule(installed, ran, last_due(installed, now), files_missing or trouble(installed, ran, now), files)


def run_now(settings: Settings) -> LastRun:
    """Runs, for the scheduler, a sync and then the brief to its channels, whatever the result of the sync.

    The sync pulls first if pulls are declared. Each is a process of its own, so that a crash of one spares the other.
    """
    started = dt.datetime.now(dt.UTC)
    record_run(settings.data_dir, LastRun(started))
    base = [sys.executable, "-m", "rmetrics", "-C", str(project_folder().resolve())]
    pull = ["--pull"] if _pulls(settings) else []
    synced = subprocess.run([*base, "sync", "--quiet", *pull], check=False).returncode  # noqa: S603 - our own program
    briefed = None
    if _gets_the_brief(settings):
        briefed = subprocess.run([*base, "brief", "--send", "--quiet"], check=False).returncode  # noqa: S603
    ran = LastRun(started, dt.datetime.now(dt.UTC), synced, briefed)
    record_run(settings.data_dir, ran)
    return ran


def _pulls(settings: Settings) -> bool:
    try:
        return bool(load_rules(settings.rules_dir, settings.company).pulls)
    except RmetricsError:  # the sync reports what is wrong with the rules
        return False


def _gets_the_brief(settings: Settings) -> bool:
    try:
        return bool(channels_of(load_rules(settings.rules_dir, settings.company).notify, "brief"))
    except RmetricsError:  # the sync has reported what is wrong with the rules
        return False


# -- the system


def _user() -> int:
    """Returns the number by which launchd knows the user; Windows has none."""
    return os.getuid() if hasattr(os, "getuid") else 0


def _run(command: Sequence[str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 - fixed commands of the system's scheduler
            command, input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SettingsError(f"cannot run {command[0]}: {error}", "Choose another scheduler with --kind.") from error


def _must(command: Sequence[str], text: str | None = None) -> None:
    done = _run(command, text)
    if done.returncode:
        why = " ".join((done.stderr or done.stdout).split())[:300]
        raise SettingsError(
            f"{' '.join(command)} failed: {why or f'exit code {done.returncode}'}",
            "Choose another scheduler with --kind, or see its commands with --dry-run.",
        )


def _crontab() -> str:
    """Returns the user's table; empty if there is none."""
    done = _run(["crontab", "-l"])
    if done.returncode and "no crontab" not in done.stderr:
        raise SettingsError(f"crontab -l failed: {' '.join(done.stderr.split())[:300]}", "Choose another --kind.")
    return done.stdout if not done.returncode else ""


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def _text(kind: Scheduler, content: bytes) -> str:
    return content.decode("utf-16" if kind is Scheduler.WINDOWS else "utf-8", "replace")


def _ours(content: bytes, kind: Scheduler) -> bool:
    return "rmetrics schedule install" in _text(kind, content)


def _refuse_foreign(path: Path, kind: Scheduler) -> None:
    previous = _content(path)
    if previous is not None and not _ours(previous, kind):
        raise SettingsError(f"{path} exists and was not written by rmetrics", "Move it, then install again.")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_private(path, content)
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or path}: {error.strerror}", "Check its permissions."
        ) from error
