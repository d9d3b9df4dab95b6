"""Ctrl-C at any time, and low limits of the machine: one line, an exit code, and a project that is whole."""

import signal
import subprocess
import sys
import time

import pytest

from command_line import shell
from small_company import jobs
from support import Project

LONG = "SELECT count(*) FROM range(100000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"


@pytest.mark.parametrize("command", [["sql", LONG], ["sql", "--csv", LONG]])
@pytest.mark.ordinary(0, deep=1)
def test_ctrl_c_in_a_long_query(published: Project, command: list[str]) -> None:
    done = interrupted(published, 4, *command)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("stopped")


@pytest.mark.parametrize("after", [1.6, *(pytest.param(s, marks=pytest.mark.slow) for s in (1.0, 2.2, 2.8))])
@pytest.mark.deep
def test_ctrl_c_at_any_time_of_a_sync(published: Project, after: float) -> None:
    project = published
    done = interrupted(project, after, "sync", "--full")
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 130, -signal.SIGINT}
    if done.returncode == 130:
        assert done.stderr.count("\n") == 1
    assert "failed" not in str(project.rows("SELECT DISTINCT status FROM sync_runs"))
    assert project.sync().status in {"published", "unchanged"}


def interrupted(project: Project, after: float, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run that gets Ctrl-C after so many seconds."""
    command = [sys.executable, "-m", "rmetrics", *arguments]
    with subprocess.Popen(
        command, cwd=project.root, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        time.sleep(after)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    return subprocess.CompletedProcess(command, running.returncode, out, err)


@pytest.mark.parametrize("limit", ["-n 64", "-v 2000000", "-v 1000000"])
@pytest.mark.ordinary(0, deep=3)
def test_low_limits(project: Project, limit: str) -> None:
    project.put("Import-1.csv", jobs((1,)))
    done = shell(project, f"ulimit {limit}; rmetrics sync")
    assert done.returncode in {0, 4}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "ulimit" in done.stderr
