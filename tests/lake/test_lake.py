"""Files of the lake: whole or not at all, told apart from damage."""

import contextlib
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from rmetrics.errors import BusyError, LakeError
from rmetrics.lake import Frame, Lake, RawFile

DATA = b"a,b\n1,2\n"
RECORD = RawFile(
    sha256=hashlib.sha256(DATA).hexdigest(),
    feed="jobs",
    name="x.csv",
    size=len(DATA),
    modified_ns=1,
    landed_at="2025-01-01T00:00:00+00:00",
    encoding="utf-8-sig",
    delimiter=",",
    sheet="",
    header_line=1,
    body_line=2,
    preamble=(),
    headers=("a", "b"),
    notes=(),
    rows=1,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    made.prepare()
    return made


def landed(lake: Lake, *exports: RawFile, frames: dict[str, list[Frame]] | None = None) -> list[RawFile]:
    with lake.landing("jobs", exports[0].sha256) as writer:
        for export in exports:
            for frame in (frames or {}).get(export.sha256, [Frame(0, 1, DATA)]):
                writer.write([(export.sha256, frame)])
        return lake.commit_raw(writer, exports)


def another(data: bytes, name: str) -> RawFile:
    return replace(RECORD, sha256=hashlib.sha256(data).hexdigest(), size=len(data), name=name)


def test_what_landed_is_sound_and_reads_back(lake: Lake) -> None:
    (file,) = landed(lake, RECORD)
    assert lake.examine_raw() == ([file], [])
    assert Lake(lake.root).examine_raw(thorough=True) == ([file], [])
    assert list(lake.frames(file)) == [Frame(0, 1, DATA)]


def test_one_frame_is_read_alone(lake: Lake) -> None:
    parts = [b"a,b\n1,2\n", b"3,4\n", b"5,6\n"]
    record = another(b"".join(parts), "long.csv")
    frames = [Frame(0, 1, parts[0]), Frame(8, 3, parts[1]), Frame(12, 4, parts[2])]
    (file,) = landed(lake, record, frames={record.sha256: frames})
    assert [list(lake.frames(file, line)) for line in (2, 3, 4, 99)] == [frames, frames[1:], frames[2:], frames[2:]]
    assert b"".join(f.data for f in lake.frames(file)) == b"".join(parts)


@pytest.mark.parametrize("harm", ["delete", "cut", "flip"])
def test_a_lost_catalog_is_made_again_from_the_files(lake: Lake, harm: str) -> None:
    other = b"a,b\n3,4\n"
    files = landed(lake, RECORD, another(other, "y.csv"), frames={another(other, "y.csv").sha256: [Frame(0, 1, other)]})
    catalog = lake.raw / "catalog.json"
    text = catalog.read_text()
    if harm == "delete":
        catalog.unlink()
    else:
        catalog.write_text(text[:-9] if harm == "cut" else text.replace('"modified_ns": 1', '"modified_ns": 2'))
    again = Lake(lake.root)
    assert again.examine_raw(thorough=True) == (sorted(files, key=lambda f: f.age), [])
    again.settle_raw(again.raw_files(), [], [])
    assert catalog.read_text() == text


def test_a_damaged_file_without_a_catalog_is_no_export(lake: Lake) -> None:
    (file,) = landed(lake, RECORD)
    (lake.raw / "catalog.json").unlink()
    lake.raw_path(file).write_bytes(lake.raw_path(file).read_bytes()[:-30])
    sound, (damage,) = Lake(lake.root).examine_raw()
    assert (sound, damage.path) == ([], lake.raw_path(file))
    with pytest.raises(LakeError, match="cannot be read"):
        Lake(lake.root).raw_files()


def test_a_file_of_many_exports_that_is_damaged_names_them_all(lake: Lake) -> None:
    other = b"a,b\n3,4\n"
    files = landed(lake, RECORD, another(other, "y.csv"), frames={another(other, "y.csv").sha256: [Frame(0, 1, other)]})
    lake.raw_path(files[0]).write_bytes(b"PAR1")
    sound, spoilt = Lake(lake.root).examine_raw()
    assert (sound, sorted(d.export for d in spoilt)) == ([], ["x.csv", "y.csv"])


def test_an_export_put_back_keeps_its_age_even_when_the_catalog_is_lost(lake: Lake) -> None:
    (first,) = landed(lake, replace(RECORD, modified_ns=5))
    lake.settle_raw([first], [], [])
    late = replace(RECORD, modified_ns=99, name="again.csv")
    assert landed(lake, late)[0].age == first.age
    (lake.raw / "catalog.json").unlink()
    lake.raw_path(first).unlink()
    assert landed(Lake(lake.root), late)[0].age == first.age


def test_what_is_left_of_a_landing_that_failed_is_nothing(lake: Lake) -> None:
    with contextlib.suppress(ZeroDivisionError), lake.landing("jobs", RECORD.sha256) as writer:
        writer.write([(RECORD.sha256, Frame(0, 1, DATA))])
        _ = 1 // 0
    assert [p for p in lake.root.rglob("*") if p.is_file()] == []


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


def test_an_export_is_left_out_and_the_others_of_its_file_stay(lake: Lake) -> None:
    other = b"a,b\n3,4\n"
    second = another(other, "y.csv")
    kept, gone = landed(lake, RECORD, second, frames={second.sha256: [Frame(0, 1, other)]})
    assert kept.file == gone.file
    lake.exclude([kept, gone], {gone.sha256})
    assert lake.examine_raw(thorough=True) == ([kept], [])
    assert list(lake.frames(kept)) == [Frame(0, 1, DATA)]
    lake.exclude([kept], {kept.sha256})
    assert lake.examine_raw(thorough=True) == ([], [])
    assert not (lake.raw / kept.file).exists()
