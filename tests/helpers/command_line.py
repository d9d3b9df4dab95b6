"""The program, run as a user runs it."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from rmetrics.cli import run
from support import Project

Line = Callable[..., subprocess.CompletedProcess[str]]


def rmetrics(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One run of the program."""
    return subprocess.run(
        [sys.executable, "-m", "rmetrics", *arguments],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def in_process(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs of the program in this process, in the project's folder; quicker where the process does not matter."""
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)

    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return said
