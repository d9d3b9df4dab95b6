"""Running programs as another system user of the machine: only root can; elsewhere those tests are skipped, and say so."""

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from support import ROOT

needs_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can run a program as another user"
)
STRANGER, NEIGHBOUR = "nobody", "daemon"


def as_user(
    name: str, command: Sequence[str], *, cwd: Path = Path("/"), env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program as a user, with nothing in its environment but what is given."""
    entry = pwd.getpwnam(name)
    return subprocess.run(
        command, user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], cwd=cwd, text=True, capture_output=True,
        env={"PATH": "/usr/bin:/bin", **(env or {})}, check=False, timeout=300,
    )  # fmt: skip


def rmetrics_as(
    name: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs rmetrics as a user, with a Python that this user may run."""
    python, paths = _python(name)
    return as_user(name, [python, "-m", "rmetrics", *arguments], cwd=cwd, env={**paths, **(env or {})})


@cache
def _python(name: str) -> tuple[str, dict[str, str]]:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = next(p for p in sys.path if p.endswith("site-packages"))
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{site}", "PYTHONDONTWRITEBYTECODE": "1"}
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            if as_user(name, [python, "-c", "import rmetrics, polars"], env=paths).returncode == 0:
                return python, paths
        except PermissionError:
            continue
    pytest.skip(f"{name} may not run {version} or read this checkout")


def given_to(name: str, folder: Path) -> None:
    """Makes a folder and what is in it a user's."""
    entry = pwd.getpwnam(name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
