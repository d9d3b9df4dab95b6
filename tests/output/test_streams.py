"""stdout and stderr that are closed, full or no longer read; odd terminals."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import shell
from small_company import jobs, payments
from support import Project
from templates import Templates


def many_sources(project: Project) -> None:
    """Publishes jobs of forty sources."""
    lines = [(i, "COD Repair", f"Source {i % 40}", "Tue Nov 05 2024") for i in range(1, 400)]
    project.put("Import-1.csv", jobs(*lines))
    project.sync()


@pytest.fixture
def synced(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """A project with many sources, for a test of its own."""
    with templates.of(many_sources).copy(tmp_path) as project:
        yield project


@pytest.mark.parametrize(
    ("redirected", "code", "told"),
    [(">&-", 0, ""), ("2>&-", 0, ""), (">&- 2>&-", 0, ""), ("<&-", 0, ""), (">/dev/full", 4, "cannot write to stdout"),
     (">/dev/full 2>&-", 4, ""), ("2>/dev/full", 0, ""), (">/dev/full 2>/dev/full", 4, "")],
)  # fmt: skip
@pytest.mark.ordinary(0, deep=2)
def test_a_sync_is_whole_whatever_becomes_of_its_output(
    project: Project, redirected: str, code: int, told: str
) -> None:
    project.put("Import-1.csv", jobs((1,)))
    done = shell(project, f"rmetrics sync {redirected}")
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert told in done.stderr
    assert project.rows("SELECT count(*) FROM jobs") == [(1,)]
    assert project.rows("SELECT status FROM sync_runs") == [("ok",)]


@pytest.mark.parametrize(
    "command", ["status", "check --offline", "sql --csv 'SELECT * FROM job_facts'", "rules", "--help"]
)
@pytest.mark.ordinary(0, deep=1)
def test_a_reader_that_has_read_enough_is_no_error(synced: Project, command: str) -> None:
    done = shell(synced, f"rmetrics {command} | head -1; echo ${{PIPESTATUS[0]}}")
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


@pytest.mark.deep
def test_a_query_ends_when_nobody_reads_it_any_more(synced: Project) -> None:
    began = time.monotonic()
    done = shell(synced, "rmetrics sql --csv 'SELECT * FROM range(400000000)' | head -2; echo ${PIPESTATUS[0]}")
    assert done.stdout.splitlines() == ["range", "0", "0"]
    assert time.monotonic() - began < 60


@pytest.mark.deep
def test_findings_keep_their_exit_code_where_the_output_is_lost(project: Project) -> None:
    project.put("payments.csv", payments((1, "2024-11-05", "1.005")))
    assert shell(project, "rmetrics sync --strict >/dev/full").returncode == 3


@pytest.mark.parametrize(
    "extra",
    [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii", "HOME": "/nonexistent", "COLUMNS": "0"},
     *(pytest.param(more, marks=pytest.mark.slow) for more in (
         {"COLUMNS": "20"}, {"COLUMNS": "x"}, {"TMPDIR": "/nonexistent"}, {"TERM": "dumb"},
         {"PYTHONIOENCODING": "latin-1"}))],
)  # fmt: skip
@pytest.mark.ordinary(0, deep=1)
def test_odd_surroundings(project: Project, extra: dict[str, str]) -> None:
    project.put("Import-1.csv", jobs((1, "COD Repair", "Café 日本")))
    script = "rmetrics sync && rmetrics status && rmetrics sql 'SELECT * FROM job_facts' && rmetrics check --json"
    done = shell(project, script, **extra)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_csv_refuses_an_encoding_that_would_change_it(project: Project) -> None:
    project.put("Import-1.csv", jobs((1, "COD Repair", "Café")))
    project.sync()
    done = shell(project, "rmetrics sql --csv 'SELECT source FROM job_facts'", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "PYTHONIOENCODING=utf-8" in done.stderr


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.ordinary(1)
def test_on_a_terminal(synced: Project, width: int) -> None:
    shown = on_terminal(synced, width, "status")
    assert "Feeds" in shown
    assert "Traceback" not in shown


def on_terminal(project: Project, width: int, *arguments: str) -> str:
    """What a run writes to a terminal of so many columns."""
    controller, terminal = pty.openpty()
    subprocess.run(["stty", "cols", str(width)], stdin=terminal, check=True)
    environment = {k: v for k, v in project.environment.items() if k != "COLUMNS"}
    with subprocess.Popen(
        [sys.executable, "-m", "rmetrics", *arguments], cwd=project.root, env=environment, stdout=terminal,
        stderr=terminal,
    ) as running:  # fmt: skip
        os.close(terminal)
        parts = []
        while True:
            try:
                part = os.read(controller, 4096)
            except OSError:  # Linux says so when the other side is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(controller)
    assert running.returncode == 0
    assert Path(project.root).exists()
    return b"".join(parts).decode()
