"""Power loss: nothing bears its final name before its bytes, and nothing counts as done before its name, is on the disk.

What a power cut leaves cannot be tried here. What can be seen, exactly, is the order of flushes and renames.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from reliability.figures import record
from reliability.world import World

pytestmark = pytest.mark.deep

# Who holds the lake, empty when nobody does; and what spares a sync with nothing to do the work: torn, it is not used.
NEVER_RENAMED = {"lock", "unchanged.json"}


@dataclass(frozen=True)
class Step:
    """A flush, or with ``to`` a rename, and the size and time of the file then; ``thread`` is 0 for the main one."""

    thread: int
    did: str
    path: Path
    state: tuple[int, int]
    to: Path | None = None


def traced(world: World, folder: Path) -> tuple[list[Step], set[Path]]:
    """The flushes and renames of a sync in the lake, in order, and the files that are new or changed after it."""
    with world.copy(folder) as project:
        lake = project.settings.lake_dir
        old = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in lake.rglob("*") if p.is_file()}
        done = world.run(project, fault="trace")
        assert done.exit == 0, done.output
        steps = [
            Step(s["thread"], s["did"], Path(s["path"]), tuple(s["state"]), Path(s["to"]) if "to" in s else None)
            for s in map(json.loads, done.steps)
        ]
        new = {p for p in lake.rglob("*") if p.is_file() and (p.stat().st_ino, p.stat().st_mtime_ns) != old.get(p)}
    # Computed rows can be made again, and none are used before their content was looked at: they are not flushed.
    made_again = tuple(lake / folder for folder in ("metrics", "typed"))
    kept = [
        s
        for s in steps
        if s.path.is_relative_to(lake) and not any((s.to or s.path).is_relative_to(m) for m in made_again)
    ]
    return kept, {p for p in new if p.name not in NEVER_RENAMED and not any(p.is_relative_to(m) for m in made_again)}


def test_every_file_is_flushed_before_its_final_name_and_the_name_before_the_next_step(
    world: World, tmp_path: Path
) -> None:
    steps, new = traced(world, tmp_path / "p")
    flushed: dict[Path, tuple[int, int]] = {}
    # By thread and folder, a name that a power cut could take away. Exports land side by side, and each must have its
    # own steps in order; what follows in the main thread relies on all of them.
    unnamed: dict[tuple[int, Path], Path] = {}
    named: set[Path] = set()
    for step in steps:
        if step.to is None:
            flushed[step.path] = step.state
            unnamed = {(t, folder): name for (t, folder), name in unnamed.items() if folder != step.path}
            continue
        if step.to.suffix == ".part":  # not a final name yet
            continue
        inside = [p for p in flushed if p.parent == step.path] if step.path not in flushed else [step.path]
        assert inside, f"{step.path} was renamed to {step.to} without having been flushed"
        if step.path in flushed:
            assert flushed[step.path] == step.state, f"{step.path} was written to between flush and rename"
        before = unnamed.items()
        others = {f: n for (t, f), n in before if f != step.to.parent and step.thread in (0, t)}
        assert not others, f"{step.to} was named before the folder of {others} was flushed"
        unnamed[step.thread, step.to.parent] = step.to
        named |= {step.to, *(step.to / p.name for p in inside)}
    assert not unnamed, f"never flushed: {unnamed}"
    assert new - named == set(), "written straight under its final name"
    assert len(new) >= 9
    record("files of a sync: flushed, then renamed, then their folder flushed", f"{len(new)} files", 0)
