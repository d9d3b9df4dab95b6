"""``make setup`` shows how far it is, and fails where pip does: with a Python that only says what pip would."""

import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support import ROOT

STUB = """#!/bin/sh
case "$*" in
  --version) echo "Python 3.11.9";;
  "-c "*) exit 0;;
  *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python;;
  *require-hashes*)
    for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "Collecting package$n==1.$n"; echo "  Downloading x.whl"; done
    echo "Processing /somewhere/else/last-1.0.whl"
    echo "Installing collected packages: a, b"
    exit ${STUB_FAILS:-0};;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    stub = tmp_path / "stub"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)
    return tmp_path


def setup(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "setup", "PYTHON=./stub"],
        cwd=checkout, env={**os.environ, **environment}, text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def test_setup_says_what_it_does(checkout: Path) -> None:
    done = setup(checkout)
    assert done.returncode == 0, done.stderr
    assert "Making .venv with Python 3.11.9" in done.stdout
    assert "Installing what rmetrics needs into .venv" in done.stdout
    packages = re.findall(r"^[a-z].*==", (checkout / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"  10 of {len(packages)}: package10==1.10" in done.stdout
    assert "installing them ..." in done.stdout
    assert "Collecting" not in done.stdout
    assert (checkout / ".venv" / ".setup").exists()
    again = setup(checkout)
    assert "Installing" not in again.stdout, "nothing to do"


def test_setup_fails_where_pip_fails(checkout: Path) -> None:
    done = setup(checkout, STUB_FAILS="3")
    assert done.returncode != 0
    assert "done" not in done.stdout
    assert not (checkout / ".venv" / ".setup").exists()


def test_on_a_terminal_one_line_is_written_over_and_over(checkout: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.Popen(["make", "setup", "PYTHON=./stub"], cwd=checkout, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the end of a terminal, on Linux
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert done.wait(60) == 0
    text = shown.decode()
    assert text.count("\r\x1b[K") == 15
    assert "13 of " in text
    assert ": last-1.0.whl" in text
