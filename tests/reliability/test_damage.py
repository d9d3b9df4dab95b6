"""P5: what is damaged in the lake is named, before it changes a number; caches heal, exports land again or are asked for."""

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reliability.figures import record
from reliability.world import World, differences, lake_files, tables
from rmetrics.lake import Lake, RawFile
from small_company import payments
from support import Project, computed_files

pytestmark = pytest.mark.deep

HISTORY = {"metric_changes"}  # two syncs or one: it tells of each
Harm = Callable[[Path], None]


def flip(at: float) -> Harm:
    """Flips one bit at a place between 0 and 1."""

    def harm(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(at * (len(data) - 1))] ^= 1 << int(at * 97) % 8
        path.write_bytes(data)

    return harm


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def delete(path: Path) -> None:
    path.unlink()


def swap(path: Path) -> None:
    """Exchanges it with another file of its kind and folder, or of the folder beside it."""
    others = [
        p
        for p in sorted(path.parent.parent.rglob(f"*{path.suffix}"))
        if p != path and p.name.count(".") == path.name.count(".")
    ]
    aside = path.with_suffix(".aside")
    path.rename(aside)
    others[0].rename(path)
    aside.rename(others[0])


HARMS: dict[str, Harm] = {"flip": flip(0.31), "truncate": truncate, "zero": zero, "delete": delete, "swap": swap}


def lake(project: Project) -> Path:
    return project.root / "data" / "lake"


def files(project: Project, folder: str, suffix: str) -> list[Path]:
    return sorted((lake(project) / folder).rglob(f"*{suffix}"))


@pytest.fixture
def synced(world: World, tmp_path: Path) -> Iterator[Project]:
    """A project whose exports are all published."""
    with world.synced(tmp_path / "p") as project:
        yield project


def doctor(world: World, project: Project) -> tuple[int, list[str]]:
    """Exit code of ``doctor --verify``, and the files it names."""
    done = world.run(project, "doctor", "--verify", "--json")
    assert "Traceback" not in done.output
    return done.exit, [d["path"] for d in json.loads(done.output)["damaged"]]


def catalog_of(project: Project) -> list[RawFile]:
    """What has landed, by the catalog."""
    return Lake(lake(project)).raw_files()


@pytest.mark.parametrize(
    "harm", [pytest.param(h, marks=[] if h in {"flip", "delete"} else [pytest.mark.slow]) for h in HARMS]
)
@pytest.mark.ordinary(1)
def test_a_damaged_landed_export_is_named_asked_for_and_taken_back(
    world: World, synced: Project, harm: str, tmp_path: Path
) -> None:
    victim = files(synced, "raw/payments", ".parquet")[0]
    kept = shutil.copytree(synced.inbox, tmp_path / "kept")
    for export in synced.inbox.iterdir():
        export.unlink()
    HARMS[harm](victim)
    code, named = doctor(world, synced)
    assert code == 3
    assert any(Path(n).stem == victim.stem for n in named), named
    done = world.run(synced)
    assert done.exit == 4
    assert victim.stem in done.output
    assert "payments_" in done.output, "it must say which export to put back"
    assert differences(tables(synced), world.after["tables"]) == []
    shutil.copytree(
        kept, synced.inbox, dirs_exist_ok=True, copy_function=shutil.copy
    )  # newer times: they must not count
    done = world.run(synced)
    assert done.exit == 0, done.output
    assert differences(tables(synced), world.after["tables"]) == []
    assert doctor(world, synced) == (0, [])


@pytest.mark.parametrize("harm", [flip(0.31), flip(0.9), truncate, zero, delete])
@pytest.mark.ordinary(1)
def test_a_damaged_catalog_is_named_and_made_again(world: World, synced: Project, harm: Harm) -> None:
    for export in synced.inbox.iterdir():
        export.unlink()
    victim, before = lake(synced) / "raw" / "catalog.json", catalog_of(synced)
    text = victim.read_text()
    harm(victim)
    if harm is not delete:
        assert doctor(world, synced) == (3, [str(victim)])
    assert catalog_of(synced) == before
    done = world.run(synced)
    assert done.exit == 0, done.output
    assert victim.read_text() == text
    assert doctor(world, synced) == (0, [])
    assert differences(tables(synced), world.after["tables"]) == []


def test_a_damaged_export_that_nobody_has_any_more_can_be_withdrawn(world: World, synced: Project) -> None:
    victim = files(synced, "raw/payments", ".parquet")[0]
    (name,) = (r.name for r in catalog_of(synced) if r.sha256 == victim.stem)
    for export in synced.inbox.iterdir():
        export.unlink()
    flip(0.31)(victim)
    done = world.run(synced)
    assert done.exit == 4
    command = f"rmetrics exports withdraw {shlex.quote(name)}"
    assert command in " ".join(done.output.split())
    assert world.run(synced, *shlex.split(command)[1:]).exit == 0
    done = world.run(synced)
    assert done.exit == 0, done.output
    assert victim.exists(), "nothing is deleted from raw"
    assert world.run(synced, "doctor", "--verify").exit == 0
    assert world.run(synced, "exports", "restore", name).exit == 0
    assert world.run(synced).exit == 4


def test_a_damaged_export_that_is_still_in_the_inbox_lands_again_by_itself(world: World, synced: Project) -> None:
    for path in files(synced, "raw", ".parquet"):
        flip(0.5)(path)
    done = world.run(synced, "sync", "--json")
    assert done.exit == 0, done.output
    document = json.loads(done.output)
    assert document["status"] == "unchanged"
    assert all("landed again" in f["reason"] for f in document["files"]), document["files"]
    assert differences(lake_files(synced), world.after["lake"]) == []


@pytest.mark.parametrize(
    ("folder", "harm"),
    [
        ("typed", "flip"),
        ("metrics", "flip"),
        pytest.param("job facts", "flip", marks=pytest.mark.slow),
        *(pytest.param(f, h, marks=pytest.mark.slow) for f in ("typed", "metrics") for h in ("truncate", "delete")),
    ],
)
def test_a_damaged_cache_is_named_and_heals(world: World, synced: Project, folder: str, harm: str) -> None:
    table = {"metrics": "monthly_metrics", "job facts": "job_facts"}
    victim = computed_files(synced, table[folder])[0] if folder in table else files(synced, folder, ".parquet")[0]
    HARMS[harm](victim)
    (synced.inbox / "payments_3.csv").write_bytes((synced.inbox / "payments_1.csv").read_bytes() + b"\n")
    assert any(Path(n) == victim for n in doctor(world, synced)[1])
    (synced.inbox / "payments_3.csv").unlink()
    done = world.run(synced, "sync", "--json")
    assert done.exit == 0, done.output
    told = [f["message"] for f in json.loads(done.output)["findings"] if f["code"] == "damaged-cache"]
    assert len(told) == (harm != "delete"), "damage is told, a deleted cache is not worth a word"
    assert differences(lake_files(synced), world.after["lake"]) == []
    assert differences(tables(synced), world.after["tables"]) == []


@pytest.mark.slow
def test_every_file_flipped_at_many_places(world: World, synced: Project) -> None:
    """With the exports at hand every flip anywhere is healed or harmless; never a traceback, never another number."""
    tried = 0
    for path in [p for p in sorted(lake(synced).rglob("*")) if p.is_file() and p.name != "lock"]:
        for at in (0.02, 0.4, 0.77):
            if path.exists():
                flip(at)(path)
                tried += 1
        done = world.run(synced)
        assert done.exit in (0, 3), (path, done.output)
        assert "Traceback" not in done.output, (path, done.output)
        assert differences(tables(synced), world.after["tables"]) == [], path
    assert world.run(synced).exit == 0
    assert doctor(world, synced) == (0, [])
    record("bits flipped in every file of the lake", f"{tried} flips", 0)


def test_a_lost_export_that_is_meant_to_go_goes_with_force(world: World, synced: Project) -> None:
    victim = files(synced, "raw/targets", ".parquet")[0]
    (synced.inbox / "targets.csv").unlink()
    victim.unlink()
    assert world.run(synced).exit == 4
    assert world.run(synced, "sync", "--quiet", "--force").exit == 0
    assert synced.rows("SELECT * FROM targets") == []
    assert doctor(world, synced) == (0, [])


READERS = (
    ("explain", "--source", "Google", "--month", "2024-11"), ("check",), ("plan",), ("sql", "SELECT 1"), ("rejected", "list"),
)  # fmt: skip


@pytest.mark.parametrize("harm", ["delete", "truncate"])
@pytest.mark.ordinary(1)
def test_commands_that_only_read_name_a_lost_export_too(world: World, synced: Project, harm: str) -> None:
    """Numbers without it would look right."""
    (export,) = files(synced, "raw/targets", ".parquet")
    HARMS[harm](export)
    (synced.inbox / "targets.csv").unlink()
    for command in READERS:
        done = world.run(synced, *command)
        assert done.exit == (3 if command == ("check",) else 4), (command, done.output)
        assert export.stem in done.output
        assert "'targets.csv'" in done.output, (command, "it must say which export to put back")


def flipped_unseen(path: Path) -> None:
    """Flips a bit and puts the file's time back: only its content tells."""
    times = path.stat()
    flip(0.4)(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def rebuilt(world: World, project: Project, victims: list[Path], *command: str) -> None:
    """Runs a sync, and does what it asks for where it stops: a landed export that it needs is spoiled."""
    done = world.run(project, *command)
    while done.exit == 4 and "Delete this file" in done.output:
        (victim,) = [v for v in victims if v.name in done.output and v.exists()]
        victim.unlink()
        done = world.run(project, *command)
    assert done.exit == 0, done.output


@pytest.mark.parametrize("folder", ["raw/payments", "typed/payments", "job facts", "metrics"])
@pytest.mark.ordinary(1)
def test_a_flip_that_leaves_size_and_time_is_found_by_verify_and_by_whoever_uses_the_file(
    world: World, synced: Project, folder: str
) -> None:
    table = {"metrics": "monthly_metrics", "job facts": "job_facts"}
    before = tables(synced)
    victims = computed_files(synced, table[folder]) if folder in table else files(synced, folder, ".parquet")
    if folder.startswith("typed/"):  # a pack that another has replaced stays until the next sync, for who reads it
        known = (lake(synced) / "typed" / "catalog.json").read_text()
        victims = [v for v in victims if v.name.replace(".rejected", "") in known]
    for victim in victims:
        flipped_unseen(victim)
    code, named = doctor(world, synced)
    assert code == 3
    found = " ".join(named)
    assert all(v.name.removesuffix(".parquet").removesuffix(".rejected") in found for v in victims), named
    # A correction of a payment of the damaged month, which a sync can only take in by reading what is there.
    synced.put(
        "payments_9.csv",
        payments((50, "2024-12-03T15:00:00.000Z", "310.10", "p50"), (3, "2024-11-20T15:00:00.000Z", "9.00", "p99"), more=("Transaction ID",))
    )  # fmt: skip
    rebuilt(world, synced, victims, "sync", "--quiet")
    with world.copy(synced.root.parent / "sound") as sound:
        shutil.copy2(synced.inbox / "payments_9.csv", sound.inbox / "payments_9.csv")
        assert world.run(sound).exit == 0
        expected = {k: v for k, v in tables(sound).items() if k not in HISTORY}
    assert {k: v for k, v in tables(synced).items() if k not in HISTORY} == expected
    assert before != tables(synced)
    rebuilt(world, synced, victims, "sync", "--full", "--quiet")
    assert {k: v for k, v in tables(synced).items() if k not in HISTORY} == expected
    assert doctor(world, synced) == (0, [])


def test_litter_of_a_killed_run_is_swept_by_the_next_sync(world: World, synced: Project) -> None:
    for place in ("raw/jobs/x.part", "publish-jobs.part", "metrics/gone.part"):
        (lake(synced) / place).write_bytes(b"half")
    (lake(synced) / "duckdb").mkdir(exist_ok=True)
    (lake(synced) / "duckdb" / "spilled").write_bytes(b"customers")
    assert world.run(synced).exit == 0
    assert differences(lake_files(synced), world.after["lake"]) == []
