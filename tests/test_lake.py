"""Files of the lake: whole or not at all, told apart from damage."""

import json
from pathlib import Path

import polars as pl
import pytest

from rmetrics.errors import BusyError, LakeError
from rmetrics.lake import Lake, RawFile

SHA = "a" * 64
FRAME = pl.DataFrame({"a": ["1", "2"]})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    made.prepare()
    return made


def landed(lake: Lake, *, modified_ns: int = 1, name: str = "x.csv", frame: pl.DataFrame = FRAME) -> RawFile:
    def record(rows: int, digest: str, size: int) -> RawFile:
        return RawFile(
            SHA, "jobs", name, 9, modified_ns, "2025-01-01", "utf-8", ",", "", 1, (), ("a",), (), rows, digest, size
        )

    made: list[RawFile] = []
    for _ in lake.landing(iter([frame]), record, "jobs", SHA, made.append):
        pass
    return made[0]


def test_what_landed_is_sound_and_reads_back(lake: Lake) -> None:
    file = landed(lake)
    assert lake.examine_raw() == ([file], [])
    assert pl.concat(lake.raw_batches(file)).equals(FRAME)


def test_an_export_put_back_keeps_its_age_even_when_its_record_is_lost(lake: Lake) -> None:
    first = landed(lake, modified_ns=5)
    lake.remember_landed([first])
    assert landed(lake, modified_ns=99, name="again.csv").age == first.age
    lake.raw_path("jobs", SHA).with_suffix(".json").unlink()
    assert landed(lake, modified_ns=99, name="again.csv").age == first.age


def test_a_record_that_was_changed_is_no_record(lake: Lake) -> None:
    landed(lake)
    record = lake.raw_path("jobs", SHA).with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"modified_ns": 2}))
    sound, (damage,) = lake.examine_raw()
    assert (sound, damage.path) == ([], record)
    with pytest.raises(LakeError, match="record cannot be read"):
        lake.raw_files()


def test_the_lock_is_for_one(lake: Lake) -> None:
    with lake.locked():
        with pytest.raises(BusyError, match=r"pid \d+, since \d{4}"), Lake(lake.root).locked():
            pass
        with pytest.raises(BusyError):
            lake.try_lock()
    lake.try_lock()


def test_a_lake_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "lake").symlink_to(tmp_path / "real")
    with pytest.raises(LakeError, match="symbolic link"):
        Lake(tmp_path / "lake").prepare()


def test_litter_of_a_killed_run_is_swept(lake: Lake) -> None:
    (lake.raw / "jobs").mkdir()
    (lake.raw / "jobs" / "x.part").write_bytes(b"half")
    (lake.root / "rules").mkdir()
    (lake.root / "rules" / "x.part").mkdir()
    lake.save_json("state", {"a": 1})
    lake.save_json("quality", {"a": 1})
    (lake.root / "quality.json").write_text("{")
    assert lake.sweep() == 3
    assert lake.load_json("state") == {"a": 1}
    assert not (lake.root / "quality.json").exists()
    assert list(lake.root.rglob("*.part")) == []
