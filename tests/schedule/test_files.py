"""The files of each scheduler: read back by what reads them, whatever the folder is called."""

import datetime as dt
import plistlib
import shlex
import subprocess
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree as ET

import pytest

from rmetrics.schedule.cron import block_in, cron_lines, with_block, without_block
from rmetrics.schedule.plan import DailyRun, Scheduler, commands_of, files_of
from rmetrics.schedule.record import Installed, LastRun, last_due, trouble

AT = dt.time(7, 5)
ODD = Path('/srv/O\'Brien & "Sons" 100% $HOME\\x')
HOME, DATA = Path("/home/anna"), Path("/srv/data")


def plan(project: Path = Path("/srv/Acme Repair")) -> DailyRun:
    return DailyRun(
        project, AT, "America/New_York", ("/opt/py", "-m", "rmetrics", "-C", str(project), "schedule", "run")
    )


def only(kind: Scheduler, made: DailyRun) -> str:
    """The text of the file that says what to run."""
    files = files_of(kind, made, HOME, DATA)
    return next(c for p, c in files.items() if p.suffix != ".timer").decode(
        "utf-16" if kind is Scheduler.WINDOWS else "utf-8"
    )


def test_two_projects_of_one_name_have_two_names() -> None:
    one, other = plan(Path("/a/Acme Repair")), plan(Path("/b/Acme Repair"))
    assert one.name != other.name
    assert one.name.startswith("rmetrics-acme-repair-")


def test_systemd() -> None:
    files = files_of(Scheduler.SYSTEMD, plan(), HOME, DATA)
    service, timer = (c.decode() for c in files.values())
    assert [p.parent for p in files] == [HOME / ".config/systemd/user"] * 2
    assert "OnCalendar=*-*-* 07:05:00 America/New_York\nPersistent=true\n" in timer
    assert 'ExecStart="/opt/py" "-m" "rmetrics" "-C" "/srv/Acme Repair" "schedule" "run"\n' in service
    assert next(iter(files_of(Scheduler.SYSTEMD, plan(), HOME, DATA, Path("/xdg")))).parent == Path("/xdg/systemd/user")
    odd = only(Scheduler.SYSTEMD, plan(ODD))
    assert r'''"-C" "/srv/O'Brien & \"Sons\" 100%% $$HOME\\x" "schedule"''' in odd
    assert commands_of(Scheduler.SYSTEMD, plan(), files, 7, install=True)[1][-1] == f"{plan().name}.timer"


def test_launchd() -> None:
    for project in (Path("/srv/x"), ODD):
        read = plistlib.loads(only(Scheduler.LAUNCHD, plan(project)).encode())
        assert read["ProgramArguments"] == list(plan(project).program)
        assert (read["StartCalendarInterval"], read["WorkingDirectory"]) == ({"Hour": 7, "Minute": 5}, str(project))
        assert read["Label"] == plan(project).name
    files = files_of(Scheduler.LAUNCHD, plan(), HOME, DATA)
    assert b"\t" not in next(iter(files.values()))  # a screen would write them out
    assert commands_of(Scheduler.LAUNCHD, plan(), files, 501, install=True) == [
        ["launchctl", "bootout", f"gui/501/{plan().name}"],  # launchd refuses an agent that it has
        ["launchctl", "bootstrap", "gui/501", str(HOME / "Library/LaunchAgents" / f"{plan().name}.plist")],
    ]
    assert commands_of(Scheduler.LAUNCHD, plan(), files, 501, install=False) == [
        ["launchctl", "bootout", f"gui/501/{plan().name}"]
    ]


def test_windows() -> None:
    windows = str(PureWindowsPath("C:/Acme & Co"))
    made = DailyRun(
        Path(windows), AT, "America/New_York", ("C:\\py.exe", "-m", "rmetrics", "-C", windows, "schedule", "run")
    )
    text = only(Scheduler.WINDOWS, made)
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    root = ET.fromstring(text.encode("utf-16"))  # noqa: S314 - our own text
    assert root.findtext(".//t:StartBoundary", namespaces=space) == "2026-01-01T07:05:00"
    assert root.findtext(".//t:Command", namespaces=space) == "C:\\py.exe"
    assert root.findtext(".//t:Arguments", namespaces=space) == '-m rmetrics -C "C:\\Acme & Co" schedule run'
    assert commands_of(Scheduler.WINDOWS, made, {}, 0, install=False) == [
        ["schtasks", "/Delete", "/TN", made.name, "/F"]
    ]


@pytest.mark.parametrize("project", [Path("/srv/x"), ODD])
def test_cron_runs_what_is_meant(project: Path) -> None:
    """As cron does: the line up to a bare percent sign, an escaped one for itself, and a shell reads the rest."""
    made = plan(project)
    block = cron_lines(made.name, made.mark, AT, made.program)
    line = block.splitlines()[2]
    when, command = line[: len("5 7 * * *")], line[len("5 7 * * *") + 1 :].replace(r"\%", "%")
    assert when == "5 7 * * *"
    assert shlex.split(command) == list(made.program)
    shown = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == list(made.program)


TABLES = [
    "",
    "MAILTO=x\n",
    "0 1 * * * a\n# >>> rmetrics-other-1\n1 1 * * * b\n# <<< rmetrics-other-1\n",
    "0 1 * * * no newline",
]


@pytest.mark.parametrize("table", TABLES)
def test_only_our_lines_of_crontab_change(table: str) -> None:
    made = plan()
    block = cron_lines(made.name, made.mark, AT, made.program)
    once = with_block(table, made.name, block)
    assert with_block(once, made.name, block) == once
    assert block_in(once, made.name) == block
    end = "" if not table or table.endswith("\n") else "\n"
    assert without_block(once, made.name) == table + end
    other = block.replace("5 7", "6 8")
    assert with_block(once + "# after\n", made.name, other) == table + end + other + "# after\n"
    assert without_block(table, made.name) == table


NEW_YORK = "America/New_York"
SINCE = dt.datetime(2026, 11, 1, 15, tzinfo=dt.UTC)


def installed(at: str = "07:30") -> Installed:
    return Installed("systemd", at, NEW_YORK, ("x",), SINCE)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-10T14:00", "2026-11-10T12:30"), ("2026-11-10T13:29", "2026-11-09T12:30"),
        ("2026-11-02T13:29", None), ("2026-11-02T13:31", "2026-11-02T12:30"),
        ("2027-07-10T14:00", "2027-07-10T11:30"),
    ],
)  # fmt: skip
def test_when_it_was_due(now: str, due: str | None) -> None:
    """07:30 in New York: 12:30 UTC in winter, 11:30 in summer; an hour of grace; not before it was installed."""
    found = last_due(installed(), dt.datetime.fromisoformat(f"{now}:00+00:00"))
    assert found == (None if due is None else dt.datetime.fromisoformat(f"{due}:00+00:00"))


@pytest.mark.parametrize(
    ("ran", "told"),
    [
        (None, "it has never run"),
        (LastRun(SINCE, SINCE, 0, 0), "was due 2026-11-10 07:30, but it last ran 2026-11-01 10:00"),
        (LastRun(dt.datetime(2026, 11, 10, 12, 31, tzinfo=dt.UTC)), "did not finish"),
        (
            LastRun(dt.datetime(2026, 11, 10, 12, 31, tzinfo=dt.UTC), SINCE, 4, 0),
            "the sync of the last daily run ended with exit code 4",
        ),
        (
            LastRun(dt.datetime(2026, 11, 10, 12, 31, tzinfo=dt.UTC), SINCE, 0, 3),
            "the brief of the last daily run ended with exit code 3",
        ),
        (LastRun(dt.datetime(2026, 11, 10, 12, 30, tzinfo=dt.UTC), SINCE, 0, None), ""),
    ],
)
def test_what_is_wrong_with_it(ran: LastRun | None, told: str) -> None:
    found = trouble(installed(), ran, dt.datetime(2026, 11, 10, 14, tzinfo=dt.UTC))
    assert told in found if told else found == ""
