"""Command lines of tests run in forked children: what they write and their exit codes are those of a fresh Python."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import command_line as lines
from command_line import MODULE, SCRIPT, command_line, rmetrics, started
from support import Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each command line starts a Python")


def no_fresh_python(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
    pytest.fail("a fresh Python was started")


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("script", ("--help",)),
        ("module", ("sync", "--json", "--no-such")),
        ("script", ("sql", "SELECT job_id, source FROM jobs", "--csv")),
        ("module", ("explain", "--source", "Google", "--month", "2024-11", "--json")),
        ("script", ("rules", "--json")),
        ("module", ("rejected", "list", "--json")),
        ("script", ("exports", "list", "--json")),
        ("module", ("target", "set", "2026-13", "--repairs", "1")),
        ("script", ("spend", "set", "2026-01", "abc")),
        ("module", ("db", "url")),
        ("script", ("schedule", "show")),
    ],
    ids=lambda v: v[0] if isinstance(v, tuple) else v,
)
@pytest.mark.ordinary(2, deep=9)
def test_a_forked_run_is_the_same_as_a_started_one(
    published: Project, program: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each group of commands, by the console script or as a module."""
    start = SCRIPT if program == "script" else MODULE
    fresh = started(*arguments, folder=published.root, environment=published.environment, program=start)
    monkeypatch.setattr(lines, "started", no_fresh_python)
    forked = rmetrics(published, *arguments)
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)
    assert "Traceback" not in forked.stderr


def test_each_run_has_its_own_folder_and_environment(project: Project) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RMETRICS_")}
    for name in ("first", "second"):
        (project.root / name).mkdir()
        assert command_line("init", "shop", folder=project.root / name, environment=environment).returncode == 0
        assert (project.root / name / "shop" / "rules").is_dir()
    assert rmetrics(project, "rules", RMETRICS_RULES_DIR="nowhere").returncode == 2
    assert rmetrics(project, "rules").returncode == 0


@pytest.mark.deep
def test_a_run_that_does_not_end_is_killed_and_the_next_one_runs(project: Project) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        command_line("serve", "--port", "0", folder=project.root, environment=project.environment, timeout=2)
    assert rmetrics(project, "--version").returncode == 0


@pytest.mark.parametrize("variable", ["PYTHONIOENCODING", "LC_ALL", "POLARS_MAX_THREADS", "TZ"])
def test_what_is_read_while_a_program_starts_starts_one(
    project: Project, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(lines, "started", lambda *arguments, **_: asked.append(arguments))
    rmetrics(project, "--version", **{variable: "1"})
    assert asked == [("--version",)]


SPY = """
import os, sys
read = set()
get = os._Environ.__getitem__
os._Environ.__getitem__ = lambda self, name: (read.add(name), get(self, name))[1]
import fork_server
fork_server.import_everything()
sys.stdout.write(" ".join(read))
"""


@pytest.mark.slow
def test_nothing_else_is_read_while_everything_is_imported() -> None:
    """HOME alone is asked for too, for folders that no command uses."""
    environment = {**os.environ, "PYTHONPATH": str(Path(lines.__file__).parent)}
    done = subprocess.run([sys.executable, "-c", SPY], env=environment, capture_output=True, text=True, check=True)
    read = set(done.stdout.split())
    assert "LANG" in read
    assert {name for name in read if not name.startswith(lines.READ_AT_START)} <= {"HOME"}
