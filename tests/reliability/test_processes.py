"""P8, the process list: neither arguments nor environments of any process show the password or customers' data.

The environment of the command itself holds what the user put there: a DSN in ``RMETRICS_POSTGRES_DSN``, unless he keeps
it in ``.env``. On Linux only he and root can read it. No process that the command starts gets it from there.
"""

import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest
from openpyxl import Workbook

from reliability.figures import record
from reliability.test_privacy import CANARIES as CUSTOMERS
from rmetrics.postgres.embedded import embedded_running
from rmetrics.usecases.db import db_stop
from small_company import jobs
from support import Project, new_project

JOBS = ("Job #", "Job Type", "Source", "Created", "Primary Phone", "Name")
PROC = Path("/proc")
PASSWORD = f"s3cr3t{uuid.uuid4().hex}"  # of this process alone: other tests run beside it
CANARIES = (PASSWORD, *CUSTOMERS[1:])

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(not (PROC / "self" / "environ").exists(), reason="no /proc here"),
]


def shown(part: str, *, but: set[int]) -> dict[str, bytes]:
    """Arguments or environments of all processes but some, by process id."""
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) not in but:
            try:
                found[folder.name] = (folder / part).read_bytes()
            except OSError:  # it has ended
                continue
    return found


def of_process(pid: str, part: str) -> bytes:
    """The arguments or the environment of a process; none where it has ended."""
    try:
        return (PROC / pid / part).read_bytes()
    except OSError:
        return b""


def watched(command: list[str], project: Project, environment: dict[str, str]) -> tuple[int, set[str], list[str]]:
    """Runs a command and looks at all processes until it ends: exit code, processes seen, what leaked where."""
    running = subprocess.Popen(
        [sys.executable, "-m", "rmetrics", *command],
        env=environment, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seen, leaked = set[str](), list[str]()
    ours = {int(p) for p, text in shown("cmdline", but=set()).items() if PASSWORD.encode() in text}
    own = (PROC / str(running.pid) / "cmdline").read_bytes()
    while running.poll() is None:
        time.sleep(0.02)
        for part, but in (("cmdline", ours), ("environ", ours | {running.pid})):
            for pid, first in shown(part, but=but).items():
                text = first
                seen.add(pid)
                if part == "environ":
                    if of_process(pid, "cmdline") == own:  # a child that has not become another program yet
                        continue
                    text = of_process(pid, part) or text  # it may have become one since its environment was read
                leaked += [f"{part} of {pid}: {c}" for c in CANARIES if c.encode() in text]
    return running.returncode, seen, leaked


def customers(project: Project) -> None:
    person = ("(617) 555-9137", "Zebulon Quackenbush")
    project.put(
        "Import-1.csv", jobs((1, "COD Repair", "Google", "Tue Nov 05 2024", *person), more=("Primary Phone", "Name"))
    )
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for line in (JOBS, *((n, "COD Repair", "Google", "Tue Nov 05 2024", *person) for n in range(2, 4000))):
        sheet.append(line)
    book.save(project.inbox / "Import-2.xlsx")


def test_neither_password_nor_customers_stand_in_any_process_list(project: Project) -> None:
    customers(project)
    project.dsn = project.dsn.replace("postgres:@", f"postgres:{PASSWORD}@", 1)
    environment = project.environment | {"PGPASSWORD": PASSWORD}
    code, seen, leaked = watched(["sync", "--quiet"], project, environment)
    assert code == 0
    assert leaked == []
    assert project.rows("SELECT count(*) FROM jobs") == [(3999,)]
    record("processes looked at for a password and customers' data while a sync runs", f"{len(seen)} processes", 0)


def test_a_server_that_is_kept_does_not_keep_the_dsn() -> None:
    """``db start`` beside a DSN for another server: the server would hold its environment for as long as it runs."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        project = new_project(Path(folder) / "project", f"postgresql://u:{PASSWORD}@127.0.0.1:1/x")
        try:
            code, _, leaked = watched(["db", "start"], project, project.environment | {"PGPASSWORD": PASSWORD})
            assert code == 0
            assert embedded_running(project.settings.server_dir) is not None
            assert leaked == []
            servers = {p for p, text in shown("cmdline", but=set()).items() if folder.encode() in text}
            assert servers
            assert not [p for p in servers if PASSWORD.encode() in (PROC / p / "environ").read_bytes()]
        finally:
            db_stop(project.settings)
