"""A store in a bucket: conditional writes, copies that are checked, what is swept and what is spared."""

import threading
from pathlib import Path

import pytest

from buckets import OWNER, READER, S3, Machine, connection
from rmetrics.errors import BusyError, LakeError
from rmetrics.lake import bucket as module
from rmetrics.lake.bucket import BucketStore
from rmetrics.lake.files import file_digest
from rmetrics.lake.lease import lease


@pytest.fixture
def store(s3: S3, tmp_path: Path) -> BucketStore:
    return BucketStore(connection(s3, tmp_path.parent.name + tmp_path.name), tmp_path / "local")


def draft(store: BucketStore, content: bytes) -> Path:
    store.root.mkdir(exist_ok=True)
    path = store.root / "draft.part"
    path.write_bytes(content)
    return path


def other(store: BucketStore, tmp_path: Path) -> BucketStore:
    return BucketStore(store.connection, tmp_path / "elsewhere")


def test_a_data_object_is_seen_from_another_machine_and_has_its_content(store: BucketStore, tmp_path: Path) -> None:
    path = draft(store, b"rows")
    digest = file_digest(path)
    name = store.named("typed/jobs/a.parquet", digest)
    assert name == f"typed/jobs/a.{digest[:16]}.parquet"
    store.write_new(path, name)
    assert not path.exists()
    there = other(store, tmp_path)
    assert [(e.name, e.size) for e in there.list("typed/")] == [(name, 4)]
    assert there.location(name).read_bytes() == b"rows"
    assert there.has_content(name, digest)
    assert there.location(name).stat().st_mode & 0o077 == 0
    assert store.head("typed/jobs/b.parquet") is None
    assert not other(store, tmp_path).location("typed/jobs/b.parquet").exists()
    store.delete(name)
    store.delete(name)
    assert other(store, tmp_path).list("typed/") == []


def test_a_spoiled_copy_is_downloaded_again_a_spoiled_object_is_found(store: BucketStore) -> None:
    path = draft(store, b"rows")
    digest = file_digest(path)
    store.write_new(path, "typed/x.parquet")
    store.location("typed/x.parquet").write_bytes(b"sour")
    assert store.has_content("typed/x.parquet", digest)
    assert store.location("typed/x.parquet").read_bytes() == b"rows"
    store.connection.put("typed/x.parquet", b"bits")
    store.drop_copy("typed/x.parquet")
    assert not store.has_content("typed/x.parquet", digest)


def test_what_was_written_by_another_machine_meanwhile_is_found(store: BucketStore, tmp_path: Path) -> None:
    there = other(store, tmp_path)
    assert there.list("typed/") == []
    store.write_new(draft(store, b"rows"), "typed/x.parquet")
    found = there.head("typed/x.parquet")
    assert found is not None
    assert found.size == 4


def test_of_two_runs_that_began_alike_one_replaces_a_record(store: BucketStore, tmp_path: Path) -> None:
    store.connection.put("state.json", b"{}")
    one, two = store, other(store, tmp_path)
    with one.held():
        assert one.read("state.json") == b"{}"
        one.connection.delete("lease.json")  # as one that has run out
        with two.held():
            two.replace("state.json", b'{"of": 2}')
            with pytest.raises(BusyError, match="another run has changed") as raised:
                one.replace("state.json", b'{"of": 1}')
            assert raised.value.exit_code == 5
            two.replace("state.json", b'{"of": 3}')
    assert store.read("state.json") == b'{"of": 3}'


def test_one_of_two_creates_a_record(store: BucketStore, tmp_path: Path) -> None:
    two = other(store, tmp_path)
    with store.held():
        store.connection.delete("lease.json")
        with two.held():
            two.replace("state.json", b"2")
            with pytest.raises(BusyError):
                store.replace("state.json", b"1")


def test_a_record_that_is_already_what_was_to_be_written_is_no_lost_race(store: BucketStore) -> None:
    with store.held():
        store.connection.put("state.json", b"1")  # the answer to the first attempt was lost on its way
        store.replace("state.json", b"1")
        store.replace("state.json", b"2")
    assert store.read("state.json") == b"2"


@pytest.mark.parametrize("before", [None, b"before"], ids=["If-None-Match", "If-Match"])
def test_of_many_at_once_one_wins(s3: S3, tmp_path: Path, before: bytes | None) -> None:
    there, won, start = connection(s3, tmp_path.name), list[int](), threading.Barrier(12)
    version = None if before is None else there.put("x", before)

    def attempt(number: int) -> None:
        start.wait()
        try:
            there.put("x", str(number).encode(), new=version is None, version=version)
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=attempt, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert there.get("x")[0] == str(won[0]).encode()


def test_the_lease_names_its_holder_and_is_given_back(store: BucketStore, tmp_path: Path) -> None:
    with store.held(), pytest.raises(BusyError, match=r"pid \d+ on .*, since 20"):
        other(store, tmp_path).held().__enter__()
    with other(store, tmp_path).held():
        pass
    assert store.connection.head("lease.json") is None


@pytest.mark.parametrize(
    "record",
    [
        '{"machine": "elsewhere", "pid": 1, "since": "2025-01-01", "until": 1000}',
        '{"machine": "HERE", "pid": 999999999, "since": "2025-01-01", "until": 9e12}',
        "no record",
    ],
    ids=["ran-out", "ended", "spoiled"],
)
def test_a_lease_that_nobody_holds_any_more_is_taken(store: BucketStore, record: str) -> None:
    import socket

    store.connection.put("lease.json", record.replace("HERE", socket.gethostname()).encode())
    with lease(store.connection, "lease.json"):
        assert store.connection.get("lease.json")[0] != record.encode()


def test_what_nothing_names_is_swept_when_it_is_old(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = machine.lake()
    with lake.locked():
        for name in ("kept", "young"):
            path = lake.root / "draft.part"
            path.write_bytes(b"rows")
            lake.store.write_new(path, f"typed/jobs/{name}.parquet")
        assert lake.sweep_objects("typed/", {"typed/jobs/kept.parquet"}) == 0
        monkeypatch.setattr(module, "SPARED_SECONDS", -10)
        assert lake.sweep_objects("typed/", {"typed/jobs/kept.parquet"}) == 1
    assert set(machine.objects("lake/typed/")) == {"lake/typed/jobs/kept.parquet"}


def test_errors_name_the_place_and_no_secret(s3: S3) -> None:
    reader = connection(s3, "somewhere", READER)
    with pytest.raises(LakeError, match="access is denied") as denied:
        reader.put("x", b"")
    with pytest.raises(LakeError, match="secret is wrong") as unknown:
        connection(s3, "somewhere", (OWNER[0], "wrong-secret")).get("x")
    for raised in (denied, unknown):
        told = f"{raised.value.message} {raised.value.hint}"
        assert "s3://lakes/somewhere/x" in told
        assert not any(secret in told for secret in (*READER, *OWNER, "wrong-secret"))
    with pytest.raises(LakeError, match="does not exist"):
        connection(s3, "x", bucket="no-such-bucket").list("raw/")
