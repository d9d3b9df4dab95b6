"""A lake for one task: objects where they belong and never in each other's way, records only with the task."""

import os
import time
from pathlib import Path

import pytest

from rmetrics.lake import FolderStore, Lake, LakeAt, file_digest
from rmetrics.lake.staged import SPARED_SECONDS, StagedStore, open_staged, put_in_force


@pytest.fixture
def store(tmp_path: Path) -> StagedStore:
    (tmp_path / "lake").mkdir()
    (tmp_path / "task").mkdir()
    return StagedStore(FolderStore(tmp_path / "lake"), tmp_path / "task")


def put(store: StagedStore, content: bytes, name: str = "typed/jobs/a.parquet") -> Path:
    draft = store.root / "draft.part"
    draft.write_bytes(content)
    name = store.named(name, file_digest(draft))
    store.write_new(draft, name, durable=True)
    assert not draft.exists()
    return store.below.root / name


def test_two_attempts_keep_out_of_each_others_way(store: StagedStore) -> None:
    first, again, other = put(store, b"rows"), put(store, b"rows"), put(store, b"swor")
    assert first == again != other
    assert (first.read_bytes(), other.read_bytes()) == (b"rows", b"swor")
    assert first.stat().st_mode & 0o777 == 0o600
    assert not list(store.below.root.rglob("*.part"))
    assert store.location(first.relative_to(store.below.root).as_posix()) == first


def test_a_damaged_object_is_written_again(store: StagedStore) -> None:
    path = put(store, b"rows")
    path.write_bytes(b"sour")
    assert put(store, b"rows").read_bytes() == b"rows"


def test_records_are_the_tasks_until_they_are_put_in_force(store: StagedStore, tmp_path: Path) -> None:
    (tmp_path / "lake" / "state.json").write_bytes(b"old")
    (tmp_path / "lake" / "inbox.json").write_bytes(b"seen")
    assert store.read("state.json") == b"old"
    before = store.head("state.json")
    store.replace("state.json", b"new")
    store.delete("inbox.json")
    store.replace("raw/catalog.json", b"raws")
    assert store.read("state.json") == b"new"
    assert store.head("state.json") != before
    assert store.head("inbox.json") is None
    with pytest.raises(FileNotFoundError):
        store.read("inbox.json")
    assert store.records() == ["state.json"]
    assert (tmp_path / "lake" / "state.json").read_bytes() == b"old"
    lake = Lake(tmp_path / "lake")
    with lake.locked():
        put_in_force(lake, store.written)
    found = {p.name: p.read_bytes() for p in (tmp_path / "lake").rglob("*.json")}
    assert found == {"state.json": b"new", "catalog.json": b"raws"}


def test_state_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, written = Lake(tmp_path), list[str]()
    monkeypatch.setattr(lake.store, "replace", lambda name, _: written.append(name))
    put_in_force(lake, {"state.json": b"", "raw/catalog.json": b"", "typed/catalog.json": b""})
    assert written == ["raw/catalog.json", "typed/catalog.json", "state.json"]


def test_what_another_attempt_may_have_written_is_spared(tmp_path: Path) -> None:
    lake, store = open_staged(LakeAt(tmp_path / "lake"), tmp_path / "task")
    young, old = put(store, b"young"), put(store, b"old", "typed/jobs/b.parquet")
    past = time.time() - SPARED_SECONDS - 60
    os.utime(old, (past, past))
    assert lake.sweep_objects("typed/", set()) == 1
    assert young.exists()
    assert not old.exists()
