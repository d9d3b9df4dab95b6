"""Folders that an ordinary user may not write or read: exit 4 with what and how to mend, and nothing is changed.

Root may do anything, so these commands run without root's rights; what files permit then holds as for anybody.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from reliability.test_faults import not_recovered
from reliability.world import World, differences, tables
from support import Project

pytestmark = pytest.mark.deep

READS = 1 << 2  # CAP_DAC_READ_SEARCH: the tests' server stands in a folder that is closed to others


def content(project: Project) -> dict[str, str]:
    """Every file of the project, by what is in it; the lock says who held it last."""
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(project.root.rglob("*"))
        if p.is_file() and p.name != "lock"
    }


@contextmanager
def closed(*folders: Path, bits: int) -> Iterator[None]:
    """Takes permission bits from folders and all below for the length of a block."""
    modes = {p: p.stat().st_mode & 0o777 for folder in folders for p in (folder, *folder.rglob("*"))}
    for path, mode in reversed(modes.items()):
        path.chmod(mode & ~bits)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize(
    "folder",
    ["lake", *(pytest.param(f"lake/{n}", marks=pytest.mark.slow) for n in ("raw", "typed", "metrics"))],
)
def test_a_lake_that_may_not_be_written_is_told_and_left_alone(world: World, tmp_path: Path, folder: str) -> None:
    with world.copy(tmp_path / "p") as project:
        before = content(project)
        with closed(project.root / "data" / folder, bits=0o222):
            done = world.run(project, rights=READS)
            told = world.run(project, "doctor", rights=READS)
        assert done.exit == 4, done.output
        assert done.output.startswith(f"error: cannot write {project.root / 'data' / folder}"), done.output
        assert "Permission denied" in done.output
        assert "permissions" in done.output.splitlines()[1], "the next step"
        assert tables(project) == world.before["tables"]
        if folder == "lake":
            assert content(project) == before
            assert told.exit == 3
            assert "chmod u+rwx" in told.output
        assert not_recovered(world, project) == []


def test_a_first_sync_where_nothing_may_be_made(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project:
        shutil.rmtree(project.root / "data" / "lake")
        before = content(project)
        with closed(project.root / "data", bits=0o222):
            done = world.run(project, rights=READS)
            told = world.run(project, "doctor", rights=READS)
        assert done.exit == 4
        assert f"cannot create {project.root / 'data' / 'lake'}: Permission denied" in done.output
        assert content(project) == before
        assert f"chmod u+rwx {project.root / 'data'}" in told.output


@contextmanager
def open_socket(dsn: str) -> Iterator[None]:
    """The server's socket, open to root without its special rights: the server runs as another user."""
    folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    paths = [folder, *folder.glob(".s.PGSQL.*")]
    modes = [p.stat().st_mode & 0o777 for p in paths]
    for path in paths:
        path.chmod(0o777)
    yield
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode)


def test_an_inbox_that_may_only_be_read_is_enough(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project:
        exports = {p.name: p.read_bytes() for p in project.inbox.iterdir()}
        with closed(project.inbox, project.rules, bits=0o222), open_socket(project.dsn):
            done = world.run(project, rights=READS)
        assert done.exit == 0, done.output
        assert differences(tables(project), world.after["tables"]) == []
        assert {p.name: p.read_bytes() for p in project.inbox.iterdir()} == exports


@pytest.mark.parametrize(
    ("folder", "code"), [("data", 4), ("data/inbox", 4), ("data/lake", 4), ("data/lake/raw", 4), ("rules", 2)]
)
@pytest.mark.ordinary(2)
def test_a_folder_that_may_not_be_read_is_told(world: World, tmp_path: Path, folder: str, code: int) -> None:
    with world.copy(tmp_path / "p") as project:
        before = content(project)
        with closed(project.root / folder, bits=0o777):
            done = world.run(project, rights=0)
            told = world.run(project, "doctor", rights=0)
        assert done.exit == code, done.output
        assert str(project.root / folder) in done.output
        assert "Traceback" not in done.output + told.output
        assert "ermission" in done.output
        assert content(project) == before
        assert tables(project) == world.before["tables"]


def test_an_export_that_may_not_be_read_is_refused_and_the_others_land(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project:
        (project.inbox / "targets.csv").chmod(0)
        done = world.run(project, "sync", "--dry-run", "--json", rights=0)
        files = {f["file"]: f for f in json.loads(done.output)["files"]}
        assert "no permission" in files["targets.csv"]["reason"]
        assert files["Import-2.csv"]["status"] == "landed"


def _may_mount() -> bool:
    done = (
        subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    )
    return done is not None and done.returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="file systems may not be mounted here")
def test_a_file_system_that_is_mounted_read_only(world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project:
        before, lake = content(project), project.root / "data" / "lake"
        mounted = (
            f"mount --bind {lake} {lake} && mount -o remount,ro,bind {lake} && exec {sys.executable} -m rmetrics sync"
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", mounted],
            env=project.environment, cwd=project.root, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 4, done.stderr
        assert "Read-only file system" in done.stderr
        assert content(project) == before
        assert tables(project) == world.before["tables"]
        assert not_recovered(world, project) == []
