"""docs/operations.md, followed word by word: every line for an ordinary user runs, in order, on a home that is empty.

Lines with ``sudo`` are root's; they are held against the units and the cron lines that name the same paths.
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from other_users import STRANGER, as_user, given_to
from small_company import jobs
from support import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCE = ("src", "rules", "schema.sql", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml")
ROOTS = re.compile(r"\bsudo |\bsystemctl |\bjournalctl ")


def commands(heading: str) -> list[str]:
    """The lines of the shell blocks below a heading, without the prompt."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def own(heading: str) -> list[str]:
    """Those that need no other user's rights."""
    return [c for c in commands(heading) if not ROOTS.search(c)]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with this source unpacked and two exports downloaded, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-home-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        for name in SOURCE:
            there = ROOT / name
            (home / "rmetrics").mkdir(exist_ok=True)
            if there.is_dir():
                shutil.copytree(there, home / "rmetrics" / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(there, home / "rmetrics")
        (home / "Downloads").mkdir()
        export = jobs((1,), (2, "INS Repair", "Rely", "Wed Nov 06 2024"))
        (home / "Downloads" / "Import-1.csv").write_text(export, encoding="utf-8")
        if os.geteuid() == 0:
            given_to(STRANGER, home)
        yield home


def followed(home: Path, lines: list[str]) -> str:
    """What a shell of an ordinary user says to the lines; fails where one of them does."""
    python = next(p for p in (shutil.which("python3"), "/usr/bin/python3") if p)
    environment = {
        "HOME": str(home),
        "PATH": f"{home}/rmetrics-env/bin:{Path(python).parent}:/usr/bin:/bin",
        **{k: v for k, v in os.environ.items() if k.startswith("PIP_")},
    }
    script = "set -eu\n" + "\n".join(f"echo '+' {line!r} >&2\n{line}" for line in lines)
    if os.geteuid() == 0:
        done = as_user(STRANGER, ["bash", "-c", script], cwd=home, env=environment)
    else:
        done = subprocess.run(
            ["bash", "-c", script], cwd=home, env=environment, text=True, capture_output=True, check=False, timeout=600
        )
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-2500:]}"
    return done.stdout


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.slow
def test_every_line_for_an_ordinary_user_runs(home: Path) -> None:
    """Install and sync, open a port, back up, lose the folder, restore, upgrade."""
    said = followed(home, own("Install"))
    assert "Published" in said
    port = free_port()
    lines = [c.replace("5433", port) for c in own("Grafana or a BI tool on the same machine")]
    assert f"@127.0.0.1:{port}/postgres" in followed(home, ["cd ~/acme", *lines, "rmetrics db url --reader"])
    followed(home, own("Back up"))
    followed(home, ["cd ~/acme", "rmetrics db stop", "mv ~/acme ~/lost"])
    assert "Published" in followed(home, own("Restore"))
    assert "Nothing changed" in followed(home, own("Upgrade"))
    figures = "rmetrics sql 'SELECT source, sum(repairs) AS n FROM monthly_metrics GROUP BY 1 ORDER BY 1' --format csv"
    assert followed(home, ["cd ~/acme", figures]).split() == ["source,n", "Google,1", "Rely,1"]


@pytest.mark.deep
def test_the_line_for_an_ordinary_users_crontab_is_one_and_syncs() -> None:
    (line,) = re.findall(r"an ordinary user's is `([^`]*)`", TEXT)
    when, command = line.replace("\n", " ").split(" cd ", 1)
    assert when == "*/15 * * * *"
    assert command == "~/acme && ~/rmetrics-env/bin/rmetrics sync --quiet || [ $? -eq 5 ]"


def test_roots_lines_name_the_paths_of_the_units_and_of_cron() -> None:
    """Where the program is put, whose it is, and where the project lies, are the same in all three."""
    lines = "\n".join(c for c in commands("Install") if ROOTS.search(c))
    unit = (ROOT / "ops" / "rmetrics@.service").read_text(encoding="utf-8")
    cron = (ROOT / "ops" / "crontab").read_text(encoding="utf-8")
    assert "ExecStart=/opt/rmetrics/bin/rmetrics sync" in unit
    assert "User=rmetrics" in unit
    assert "cd /srv/acme && /opt/rmetrics/bin/rmetrics sync" in cron
    assert "useradd --system --create-home rmetrics" in lines
    made = {
        p
        for part in re.findall(r"install -d -o rmetrics -g rmetrics -m \d+ ([^&\n]+)", lines)
        for p in part.split()
        if p.startswith("/")
    }
    assert made == {"/opt/rmetrics", "/srv/acme"}, "what belongs to root by default is given to the user first"
    for place in ("venv /opt/rmetrics", "init /srv/acme"):
        assert lines.index(place) > lines.index("install -d")


def test_no_line_needs_a_folder_that_only_root_may_write() -> None:
    for heading in re.findall(r"^## (.*)$", TEXT, re.MULTILINE):
        for command in own(heading):
            assert not re.search(r"(?<![\w~])/(srv|opt|etc|backup)\b", command), command
