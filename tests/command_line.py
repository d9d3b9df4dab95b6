"""The program, run as a user runs it."""

import subprocess
import sys

from support import Project

JOBS = ("Job #", "Job Type", "Source", "Created")


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
