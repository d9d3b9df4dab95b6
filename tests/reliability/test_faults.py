"""P2: after a kill, a full disk or a lost connection at any step the state is old or new, and the next sync mends it.

The default suite tries a sample of the steps, spread over the whole run; ``-m slow`` tries every one.
"""

from pathlib import Path

import pytest

from reliability.figures import record
from reliability.world import STATEMENTS, Done, Runner, World, differences, first_exports, lake_files, tables
from rmetrics.lake import Lake
from support import Project, fresh_database, new_project

pytestmark = pytest.mark.deep


def sampled(total: int, count: int, *, first: int = 1) -> list[int]:
    """Some step numbers, spread evenly, always with the last."""
    return sorted({*range(first, total + 1, max(1, total // count)), total})


def torn(world: World, project: Project) -> list[str]:
    """What is neither old nor new after a fault."""
    found = []
    now = tables(project)
    if now not in (world.before["tables"], world.after["tables"]):
        found.append(f"tables {differences(now, world.before['tables'])}")
    _, damaged = Lake(project.settings.lake_dir).examine_raw()
    found += [f"{d.path}: {d.what}" for d in damaged if not d.missing]
    return found


def not_recovered(world: World, project: Project) -> list[str]:
    """What differs from an undisturbed sync after one more sync."""
    done = world.run(project)
    if done.exit != 0:
        return [done.output]
    litter = [p.name for p in (project.root / "data" / "lake").rglob("*.part")]
    return [
        *litter,
        *differences(tables(project), world.after["tables"]),
        *differences(lake_files(project), world.after["lake"]),
    ]


def try_fault(world: World, folder: Path, fault: str, points: list[int]) -> list[Done]:
    """Runs a sync that fails at each of the steps and one more sync; both are judged."""
    runs = []
    for at in points:
        with world.copy(folder) as project:
            done = world.run(project, fault=fault, at=at)
            where = f"{fault} at step {at}, {done.steps[-1]}: {done.output}"
            assert not torn(world, project), where
            assert not_recovered(world, project) == [], where
        assert "Traceback" not in done.output, where
        runs.append(done)
    return runs


def test_killed_at_a_sample_of_steps(world: World, tmp_path: Path) -> None:
    assert world.count("kill") > 200
    runs = try_fault(world, tmp_path / "p", "kill", sampled(world.count("kill"), 2, first=6))
    assert {r.exit for r in runs} == {-9}


@pytest.mark.slow
def test_killed_at_every_step(world: World, tmp_path: Path) -> None:
    runs = try_fault(world, tmp_path / "p", "kill", list(range(1, world.count("kill") + 1)))
    assert {r.exit for r in runs} == {-9}
    record("kill -9 at every rename, flush, write, removal and statement of a sync", f"{len(runs)} kills", 0)


@pytest.mark.parametrize(("fault", "step"), [("EIO", "landed.json"), ("ENOSPC", "state.json")])
@pytest.mark.ordinary(1)
def test_a_disk_that_refuses(world: World, tmp_path: Path, fault: str, step: str) -> None:
    files = [s for s in world.steps if s.split()[0] not in STATEMENTS]
    (done,) = try_fault(world, tmp_path / "p", fault, [files.index(f"replace {step}") + 1])
    assert done.exit == 4
    assert "cannot write" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "EACCES"])
def test_a_disk_that_refuses_at_every_step(world: World, tmp_path: Path, fault: str) -> None:
    runs = try_fault(world, tmp_path / "p", fault, list(range(1, world.count(fault) + 1)))
    assert {r.exit for r in runs} == {0, 4}
    record(f"{fault} at every rename, flush, write and removal of a sync", f"{len(runs)} errors", 0)


def test_a_connection_lost_at_a_sample_of_statements(world: World, tmp_path: Path) -> None:
    runs = try_fault(world, tmp_path / "p", "disconnect", [80])
    assert {r.exit for r in runs} == {4}


@pytest.mark.slow
def test_a_connection_lost_at_every_statement(world: World, tmp_path: Path) -> None:
    runs = try_fault(world, tmp_path / "p", "disconnect", list(range(1, world.count("disconnect") + 1)))
    assert {r.exit for r in runs} == {0, 4}
    record("connection ended before every statement and commit of a sync", f"{len(runs)} cuts", 0)


@pytest.mark.parametrize(
    "share", [0.1, pytest.param(0.4, marks=pytest.mark.slow), pytest.param(0.95, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_full_disk_in_the_middle_of_a_file(world: World, tmp_path: Path, share: float) -> None:
    """No file may grow beyond a share of the largest one that the sync writes."""
    with world.copy(tmp_path / "p") as project:
        old = {p: p.stat().st_mtime_ns for p in project.root.rglob("*")}
        assert world.run(project).exit == 0
        written = [p for p in project.root.rglob("*") if p.is_file() and p.stat().st_mtime_ns != old.get(p)]
        size = int(share * max(p.stat().st_size for p in written))
    with world.copy(tmp_path / "p") as project:
        done = world.run(project, file_size=size)
        assert done.exit == 4, done.output
        assert "Traceback" not in done.output
        assert not torn(world, project)
        assert not_recovered(world, project) == []


@pytest.mark.slow
def test_a_first_sync_killed_while_it_makes_the_schema(
    pg_uri: str, runner: Runner, world: World, tmp_path: Path
) -> None:
    kills = 0
    for at in [*range(100, 420, 16)]:
        with fresh_database(pg_uri) as dsn:
            project = new_project(tmp_path / f"first{at}", dsn)
            first_exports(project)
            kills += runner(project, fault="kill", at=at).exit == -9
            done = runner(project)
            assert done.exit == 0, done.output
            assert differences(tables(project), world.before["tables"]) == []
    assert kills > 10
    record("kill -9 during a first sync, while the schema is made", f"{kills} kills", 0)
