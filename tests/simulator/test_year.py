"""A company's year, sync after sync, against figures calculated by hand in plain Python.

``RMETRICS_WORLDS=142`` or ``100-299`` chooses the seeds of the long run; the deep tests run a few syncs. A world
that fails prints its seed, what happened when, and how to run just it again.
"""

import os
import shutil
from pathlib import Path

import pytest

from reliability.world import Runner
from simulator.events import daily_exports, happen
from simulator.syncs import TROUBLES, look
from simulator.world import World
from support import Project, new_project

QUICK = ((1, 4),)  # seed, syncs; whole years are among the slow ones
DAYS = 6  # most days between two syncs; 60 syncs are about a year


def worlds() -> list[tuple[int, int]]:
    """Seeds and syncs of the long run: chosen worlds live a year; of the usual 200 every tenth does, others two months."""
    chosen = os.environ.get("RMETRICS_WORLDS")
    first, _, last = (chosen or "100-299").partition("-")
    return [(seed, 60 if chosen or seed % 10 == 0 else 12) for seed in range(int(first), int(last or first) + 1)]


def live(seed: int, syncs: int, project: Project, runner: Runner) -> None:
    """Lets a world live for some syncs."""
    world = World(seed, project, lambda p, at: runner(p, "sync", fault="kill", at=at).exit)
    try:
        while world.syncs < syncs:
            world.pass_days(world.rng.randrange(1, 2 * DAYS))
            happen(world)
            weights, troubles = zip(*TROUBLES, strict=True)
            world.rng.choices(troubles, weights)[0](world)
            look(world)
    except BaseException as error:
        told = "\n".join(world.log[-60:])
        error.add_note(f"world {seed} failed after {world.syncs} syncs. What happened last:\n{told}")
        error.add_note(f"RMETRICS_WORLDS={seed} .venv/bin/pytest tests/simulator -m slow   runs just it again")
        raise


@pytest.mark.parametrize(("seed", "syncs"), QUICK)
@pytest.mark.deep
def test_a_year_of_syncs(seed: int, syncs: int, project: Project, runner: Runner) -> None:
    live(seed, syncs, project, runner)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "syncs"), worlds())
def test_many_years(seed: int, syncs: int, project: Project, runner: Runner) -> None:
    live(seed, syncs, project, runner)


class Embedded(Project):
    """A project that publishes to its own embedded server."""

    @property
    def environment(self) -> dict[str, str]:
        """The settings, without the name of another server."""
        return {k: v for k, v in super().environment.items() if k != "RMETRICS_POSTGRES_DSN"}


@pytest.mark.slow
def test_the_folder_of_the_embedded_server_is_deleted(tmp_path: Path) -> None:
    """One sync brings everything back: ``check`` compares each published row with the lake."""
    made = new_project(tmp_path / "project", "")
    project = Embedded(made.root, "")
    world = World(5, project, lambda _project, _at: 0)
    world.pass_days(20)
    daily_exports(world)
    world.command("sync")
    shutil.rmtree(project.root / "data" / "postgres")
    world.command("sync")
    found = world.command("check")
    assert found["ok"]
    assert found["published"]
    month = f"{world.month:%Y-%m}"
    told = world.command("explain", "--source", "Google", "--month", month)
    assert told["verdict"] == "match"
