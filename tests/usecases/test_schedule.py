"""``rmetrics schedule`` from the command line, with schedulers that only note what they are asked."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import rmetrics
from rmetrics.errors import SettingsError
from rmetrics.schedule.plan import Scheduler
from rmetrics.usecases.schedule import install, remove, show
from support import Project, new_project
from vendor import jobs, offsets, serving

HALF_PAST_SEVEN = dt.time(7, 30)
PULL = """\
[pulls.crm]
feed   = "jobs"
kind   = "http"
url    = "{url}/jobs"
params = {{ records = "{{size}}", offset = "{{offset}}" }}
paging = {{ kind = "offset", size = 50 }}
rows   = "data"
total  = "meta.total"
unique = ["UUID"]
"""

SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$FAKE/systemctl.log"
[ -e "$FAKE/systemctl.fails" ] && { echo "Failed to connect to bus" >&2; exit 1; }
exit 0
"""
CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then
    [ -e "$FAKE/table" ] || { echo "no crontab for anna" >&2; exit 1; }
    cat "$FAKE/table"
else
    cat > "$FAKE/table"; echo written >> "$FAKE/crontab.log"
fi
"""


class Machine:
    """A home folder and schedulers of its own."""

    def __init__(self, root: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.project = root, project
        for name, text in (("systemctl", SYSTEMCTL), ("crontab", CRONTAB)):
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{root}:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE", str(root))
        monkeypatch.setenv("HOME", str(root / "home"))
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs ``rmetrics schedule``."""
        return rmetrics(self.project, "schedule", *arguments)

    @property
    def units(self) -> list[Path]:
        """The files of systemd."""
        return sorted((self.root / "home/.config/systemd/user").glob("*"))

    def log(self, name: str) -> list[str]:
        """What a scheduler was asked."""
        path = self.root / f"{name}.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Machine:
    root = tmp_path / "machine"
    root.mkdir()
    return Machine(root, project, monkeypatch)


def test_systemd_is_installed_once_shown_and_removed(machine: Machine) -> None:
    first = machine("install", "--at", "06:45")
    assert first.returncode == 0, first.stderr
    service, timer = machine.units
    assert "OnCalendar=*-*-* 06:45:00 America/New_York" in timer.read_text()
    assert f'"-C" "{machine.project.root}" "schedule" "run"' in service.read_text()
    assert machine.log("systemctl")[1:] == ["--user daemon-reload", f"--user enable --now {timer.name}"]
    assert "Put them into .env" in first.stdout
    again = machine("install", "--at", "06:45")
    assert "nothing changed" in again.stdout
    assert [c for c in machine.log("systemctl") if "enable" in c] == [f"--user enable --now {timer.name}"]
    shown = machine("show")
    assert "OnCalendar=*-*-* 06:45:00" in shown.stdout
    assert "Every day at 06:45 (America/New_York) by systemd." in shown.stdout
    other = timer.with_name("rmetrics-of-somebody.timer")
    other.write_text("theirs")
    removed = machine("remove")
    assert removed.returncode == 0
    assert machine.units == [other]
    assert f"--user disable --now {timer.name}" in machine.log("systemctl")
    assert "No schedule of this project is installed." in machine("remove").stdout
    assert "No daily run is installed" in machine("show").stdout


def test_cron_where_there_is_no_user_manager(machine: Machine) -> None:
    (machine.root / "systemctl.fails").touch()
    theirs = "MAILTO=anna\n0 1 * * * backup 100\\%\n"
    (machine.root / "table").write_text(theirs)
    assert "by cron" in machine("install").stdout
    table = (machine.root / "table").read_text()
    assert table.startswith(theirs)
    assert "\n30 7 * * * " in table
    machine("install")
    assert (machine.root / "table").read_text() == table
    assert len(machine.log("crontab")) == 1
    machine("install", "--at", "08:00")
    assert "\n0 8 * * * " in (machine.root / "table").read_text()
    assert machine("remove").returncode == 0
    assert (machine.root / "table").read_text() == theirs


def test_another_scheduler_replaces_the_first(machine: Machine) -> None:
    machine("install")
    assert len(machine.units) == 2
    machine("install", "--kind", "cron")
    assert machine.units == []
    assert "schedule run" in (machine.root / "table").read_text()


def test_a_dry_run_writes_nothing(machine: Machine) -> None:
    told = machine("install", "--dry-run")
    assert "Would run pull, sync and brief every day at 07:30 (America/New_York) by systemd." in told.stdout
    assert "OnCalendar" in told.stdout
    assert machine.units == []
    assert not (machine.project.root / "data" / "schedule.json").exists()
    for kind, word in (("launchd", "StartCalendarInterval"), ("windows", "StartBoundary"), ("cron", "30 7 * * *")):
        document = json.loads(machine("install", "--dry-run", "--kind", kind, "--json").stdout)
        assert document["dry_run"] is True
        assert word in "".join(document["files"].values())
        assert "\t" not in "".join(document["files"].values())


def test_a_file_of_somebody_else_is_not_replaced(machine: Machine) -> None:
    machine("install")
    _, timer = machine.units
    machine("remove")
    timer.write_text("theirs")
    refused = machine("install")
    assert refused.returncode == 2
    assert "was not written by rmetrics" in refused.stderr
    machine("remove")
    assert timer.read_text() == "theirs"


def test_a_scheduler_that_refuses_is_told(machine: Machine) -> None:
    (machine.root / "systemctl.fails").touch()
    refused = machine("install", "--kind", "systemd")
    assert refused.returncode == 2
    assert "Failed to connect to bus" in refused.stderr
    assert "No daily run is installed" in machine("show").stdout


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose project needs no database, for what needs no process either."""
    root = tmp_path / "machine"
    root.mkdir()
    made = Machine(root, new_project(tmp_path / "project", ""), monkeypatch)
    monkeypatch.chdir(made.project.root)
    return made


def test_what_a_scheduler_refused_is_not_called_installed(local: Machine) -> None:
    settings, refuses = local.project.settings, local.root / "systemctl.fails"
    refuses.touch()
    with pytest.raises(SettingsError, match="Failed to connect"):
        install(settings, HALF_PAST_SEVEN, Scheduler.SYSTEMD)
    assert local.units == []
    refuses.unlink()
    assert install(settings, HALF_PAST_SEVEN, Scheduler.SYSTEMD).changed
    _, timer = local.units
    before = timer.read_text()
    refuses.touch()
    with pytest.raises(SettingsError, match="Failed to connect"):
        install(settings, dt.time(9, 15), Scheduler.SYSTEMD)
    assert timer.read_text() == before


def test_files_that_the_scheduler_never_took_are_handed_to_it(local: Machine) -> None:
    install(local.project.settings, HALF_PAST_SEVEN, Scheduler.SYSTEMD)
    (local.project.root / "data" / "schedule.json").unlink()
    told = len(local.log("systemctl"))
    assert install(local.project.settings, HALF_PAST_SEVEN, Scheduler.SYSTEMD).changed
    assert len(local.log("systemctl")) == told + 2


def test_a_scheduler_that_refuses_leaves_the_other_one_in_place(local: Machine) -> None:
    settings = local.project.settings
    install(settings, HALF_PAST_SEVEN, Scheduler.CRON)
    table = (local.root / "table").read_text()
    (local.root / "systemctl.fails").touch()
    with pytest.raises(SettingsError, match="Failed to connect"):
        install(settings, HALF_PAST_SEVEN, Scheduler.SYSTEMD)
    assert (local.root / "table").read_text() == table
    installed = show(settings).installed
    assert installed is not None
    assert installed.kind == Scheduler.CRON


def test_without_its_record_a_schedule_is_found_and_removed(local: Machine) -> None:
    settings, record = local.project.settings, local.project.root / "data" / "schedule.json"
    install(settings, HALF_PAST_SEVEN, Scheduler.CRON)
    record.unlink()
    assert remove(settings).changed
    assert "schedule run" not in (local.root / "table").read_text()
    install(settings, HALF_PAST_SEVEN, Scheduler.SYSTEMD)
    record.unlink()
    assert remove(settings).changed
    assert local.units == []
    (local.root / "systemctl.fails").touch()
    assert not remove(settings).changed  # and no complaint of a scheduler that is not there


def test_on_windows_there_is_no_number_of_a_user(local: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getuid")
    made = install(local.project.settings, HALF_PAST_SEVEN, Scheduler.WINDOWS, dry_run=True)
    assert made.commands[0][0] == "schtasks"


@pytest.mark.parametrize("at", ["7", "25:00", "half past seven"])
def test_a_time_that_is_none(machine: Machine, at: str) -> None:
    assert "not a time of day" in machine("install", "--at", at).stderr


@pytest.mark.slow
def test_the_daily_run_leaves_a_note_that_doctor_reads(machine: Machine) -> None:
    from rmetrics.usecases.doctor import doctor

    machine("install")
    (check,) = (c for c in doctor(machine.project.settings).checks if c.name == "daily run")
    assert check.severity is None
    assert "not due yet" in check.message
    assert machine("run").returncode == 0
    note = json.loads((machine.project.root / "data" / "schedule-run.json").read_text())
    assert (note["sync"], note["brief"]) == (0, None)
    (machine.project.rules / "own.toml").write_text("nonsense = 1\n")
    assert machine("run").returncode == 2
    (check,) = (c for c in doctor(machine.project.settings).checks if c.name == "daily run")
    assert check.severity == "warning"
    assert "exit code 2" in check.message
    kept = machine.project.root / "data" / "schedule.json"
    old = json.loads(kept.read_text())
    kept.write_text(json.dumps({**old, "installed_at": "2020-01-01T00:00:00+00:00"}))
    (machine.project.root / "data" / "schedule-run.json").unlink()
    (check,) = (c for c in doctor(machine.project.settings).checks if c.name == "daily run")
    assert "it has never run" in check.message


@pytest.mark.deep
def test_the_program_that_is_scheduled_runs(machine: Machine) -> None:
    """The very line of crontab, run by a shell as cron would, from another folder and without its environment's PATH."""
    machine("install", "--kind", "cron")
    line = next(x for x in (machine.root / "table").read_text().splitlines() if x.startswith("30 7"))
    command = line.split(maxsplit=5)[5].replace(r"\%", "%")
    environment = {**machine.project.environment, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (machine.project.root / "data" / "schedule-run.json").exists()
    assert sys.executable in command


@pytest.mark.deep
def test_the_daily_run_pulls_first_where_pulls_are_declared(machine: Machine) -> None:
    rows = jobs(3)
    with serving(offsets(rows)) as server:
        (machine.project.rules / "pulls.toml").write_text(PULL.format(url=server.url))
        done = machine("run")
    assert done.returncode == 0, done.stderr
    assert machine.project.rows("SELECT count(*)::int FROM jobs") == [(3,)]
