"""Stopped anywhere, the inbox is whole: every file in it is one that was proved complete, with its manifest."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pulls.declared import TABLE, Declared
from rmetrics.pulls.landing import finish
from vendor import jobs, offsets, serving

# Puts a file into the inbox and is killed before or after the n-th call that a disk would notice.
KILLED = """
import os, signal, sys
from pathlib import Path
from rmetrics.pulls import landing
from rmetrics.pulls.manifest import Manifest
folder, number, after = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "after"
calls = 0
def deadly(real):
    def called(*args, **kwargs):
        global calls
        calls += 1
        if calls == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **kwargs)
        finally:  # also where there was nothing to remove
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
    return called
for name in ("mkdir", "open", "fsync", "rename", "replace", "unlink", "utime"):
    setattr(os, name, deadly(getattr(os, name)))
content = ("a,b\\r\\n" + "1,2\\r\\n" * 1000).encode()
manifest = Manifest("crm", "http", "jobs", "new.csv", "2026-01-02T00:00:00", "2026-01-02", None, 1000, 1, None, None, 0)
landing.put(folder, content, manifest, lambda path, name: "", 1_700_000_000_000_000_000)
print("done", calls)
"""


def whole(folder: Path) -> list[str]:
    """The files that sync would read; fails where one is not the whole file that its manifest names."""
    seen = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        if path.name.startswith(".") or path.suffix == ".json":
            continue
        manifest = json.loads(path.with_name(f"{path.name}.manifest.json").read_bytes())
        assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest["sha256"]
        seen.append(path.name)
    return seen


def killed_at(folder: Path, number: int, when: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(folder), str(number), when]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_of_landing_the_inbox_is_whole(tmp_path: Path, when: str) -> None:
    found = set()
    for number in range(1, 40):
        folder = tmp_path / f"inbox{number}" / "pulls" / "crm"
        folder.parent.parent.mkdir()
        done = killed_at(folder, number, when)
        before = whole(folder)
        finish(folder)
        after = whole(folder)
        assert set(before) <= set(after)
        assert list(folder.glob(".*")) == [] or not folder.is_dir()
        # A manifest without its file would be taken for a good pull.
        assert {p.name.removesuffix(".manifest.json") for p in folder.glob("*.json")} == set(after)
        found.add((len(before), len(after)))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    else:
        pytest.fail("landing never ended")
    assert found == {(0, 0), (0, 1), (1, 1)}
    assert number > 6


def killed_somewhere(declared: Declared, times: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    with serving(offsets(jobs(9))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        for _ in range(times):
            process = subprocess.Popen([sys.executable, "-m", "rmetrics", "pull", "--json"], stdout=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.2, 2.0))
            process.kill()
            process.wait()
            whole(declared.folder)
        assert declared.pull().status in {"complete", "unchanged"}
        (name,) = whole(declared.folder)
        assert len((declared.folder / name).read_text().splitlines()) == 10
        assert list(declared.folder.glob(".*")) == []


@pytest.mark.deep
def test_the_program_killed_at_some_moments(declared: Declared) -> None:
    killed_somewhere(declared, 3, 1)


@pytest.mark.slow
def test_the_program_killed_at_many_moments(declared: Declared) -> None:
    killed_somewhere(declared, 60, 2)
