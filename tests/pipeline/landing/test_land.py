"""Typing an export while it lands gives what typing it from the lake gives."""

import datetime as dt
import hashlib
import os
from pathlib import Path

import polars as pl
import pytest

import small_company
from rmetrics.errors import LakeError
from rmetrics.ingest import records, sniff, typing
from rmetrics.lake import Lake, TypedFile
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing import land as landing
from rmetrics.pipeline.landing import typed_rows
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from support import MIDNIGHT, ROOT, Project, csv_text

RULES = load_rules(ROOT / "rules")
HEADERS = ["Job #", "Date", "Amount", "Method", "Transaction ID"]
Typed = dict[str, tuple[TypedFile, pl.DataFrame, pl.DataFrame | None]]


class Place:
    """An inbox and its lake."""

    def __init__(self, root: Path) -> None:
        self.inbox, self.lake = root / "inbox", Lake(root / "lake")
        self.inbox.mkdir()
        self.lake.prepare()

    def put(self, name: str, rows: list[list[object]], headers: list[str] = HEADERS) -> None:
        """Writes an export."""
        path = self.inbox / name
        path.write_text(csv_text(headers, *rows))
        os.utime(path, (MIDNIGHT.timestamp(), MIDNIGHT.timestamp()))

    def typed(self) -> Typed:
        """What is typed, by name of the export."""
        computed = compute(self.lake, RULES, silent)
        names = {p.raw.sha256: p.raw.name for p in computed.placed}
        found = {}
        for files in computed.typed.values():
            for file, _ in files:
                faults = self.lake.rejected_rows(file) if file.rejected else None
                found[names[file.sha256]] = (file, self.lake.scan_typed(file).collect(), faults)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def payments(count: int, *, ids: bool = True) -> list[list[object]]:
    return [
        [i % 50, f"2025-{i % 12 + 1:02}-16 10:{i % 60:02}:30", f"{i % 7}.50", "cash" if i % 3 else 'a "b"\nc', f"T{i}" if ids else ""]
        for i in range(count)
    ]  # fmt: skip


def assert_same(one: Typed, other: Typed) -> None:
    assert one.keys() == other.keys()
    for name, (file, rows, faults) in one.items():
        again, rows_again, faults_again = other[name]
        assert rows.sort("_line").equals(rows_again.sort("_line"))
        assert (file.rows, file.rejected, file.totals) == (again.rows, again.rejected, again.totals)
        assert (faults is None) == (faults_again is None)
        if faults is not None and faults_again is not None:
            assert faults.equals(faults_again)


FAULTY: list[list[object]] = [["x", "soon", "1", "cash", "Tx"], ["Total", "", "99", "", ""], [1, "2025-01-01"]]


def everything(place: Place) -> None:
    """Exports with and without ids, with faults, odd dates and a file that has been re-saved in another country."""
    place.put("ids payments.csv", [*payments(900), *FAULTY])
    place.put("noid payments.csv", payments(700, ids=False))
    place.put("late payments.csv", [*payments(800), *payments(3, ids=False), *payments(3, ids=False)])
    place.put("us payments.csv", [[1, f"{m}/28/2025", "5", "cash", f"U{m}"] for m in range(1, 13)])
    turned = [[1, f"{d}/{m}/2025", "5", "cash", f"E{d}-{m}"] for d in (2, 28) for m in range(1, 13)]
    place.put("eu payments.csv", turned)
    place.put("future payments.csv", [[1, "2099-01-01", "5", "cash", "F1"], [1, "2025-01-01", "5", "cash", "F2"]])
    place.put("open payments.csv", [[1, "2025-01-01", "5", "cash", "O1"], [1, "2025-01-01", "5", "cash", "O2"]])
    path = place.inbox / "open payments.csv"
    path.write_text(path.read_text() + '1,2025-01-01,5,"cash')
    os.utime(path, (MIDNIGHT.timestamp(), MIDNIGHT.timestamp()))
    place.put("cut payments.csv", [[1, "2025-01-01", "5", "cash", "C1"], [1, "2025-01-01", "5"]])


@pytest.mark.deep
def test_typed_while_landing_is_typed_from_the_lake(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniff, "BLOCK", 2048)
    monkeypatch.setattr(records, "BLOCK", 2048)
    monkeypatch.setattr(landing, "SMALL", 512)
    monkeypatch.setattr(typed_rows, "SMALL", 512)
    everything(place)
    land_inbox(place.inbox, place.lake, RULES, silent)
    raw = max(place.lake.raw_files(), key=lambda r: r.size)
    assert sum(1 for _ in place.lake.frames(raw)) > 3
    assert len(list(place.lake.raw.rglob("*.parquet"))) < len(place.lake.raw_files())
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "frames", None)  # nothing is read back
        landed = place.typed()
    for path in (place.lake.root / "typed").rglob("*.*"):
        path.unlink()
    place.lake = Lake(place.lake.root)
    assert_same(landed, place.typed())
    late = landed["late payments.csv"][1]["payment_id"].to_list()
    assert sorted(i[-2:] for i in late if "-" in i) == ["-1"] * 3 + ["-2"] * 3
    assert not any(i.startswith(" ") for i in landed["noid payments.csv"][1]["payment_id"])
    assert "_identity" not in landed["noid payments.csv"][1].columns


def test_small_exports_together_are_typed_as_each_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for small in (0, 2**20):
        (tmp_path / str(small)).mkdir()
        place = Place(tmp_path / str(small))
        monkeypatch.setattr(landing, "SMALL", small)
        monkeypatch.setattr(typed_rows, "SMALL", small)
        everything(place)
        headers = ["Time", "Duration", "Flow", "From number", "To number", "Job"]
        for year in (2021, 2025):
            for n in (1, 2):
                call: list[list[object]] = [
                    ["Wed Dec 17th, 03:21PM", "3 Min 25 Sec", "Main", "(617) 555-0123", f"61755{year % 100}{n:03}", ""]
                ]
                place.put(f"{year} calls {n}.csv", call, headers)
                os.utime(
                    place.inbox / f"{year} calls {n}.csv", (dt.datetime(year, 12, 20, tzinfo=dt.UTC).timestamp(),) * 2
                )
        place.put(
            "spend.csv",
            [["2025-09-02", "A", "Mobile", "1.10", 1], ["2025-09-02", "A", "Desktop", "2.20", 1]],
            ["Day", "Campaign", "Device", "Cost", "Clicks"],
        )
        seen = land_inbox(place.inbox, place.lake, RULES, silent)
        assert all(s.landed for s in seen), [s for s in seen if not s.landed]
        found.append(place.typed())
        packed = [file.packed for file, *_ in found[-1].values()]
        assert all(packed) if small else not any(packed)
        assert [bytes(b"".join(f.data for f in place.lake.frames(r))) for r in place.lake.raw_files()] == [
            (place.inbox / r.name).read_bytes() for r in place.lake.raw_files()
        ]
    assert_same(*found)
    eu = found[0]["eu payments.csv"][0]
    assert (eu.rows, eu.rejected) == (1, 23), (
        "all but 2/2: it has more days of the other order: none of them is certain"
    )
    assert found[1]["2021 calls 1.csv"][1]["started_at"][0].year == 2014
    assert found[1]["spend.csv"][1]["_parts"].to_list() == [2]


def test_small_exports_of_later_runs_join_the_pack(place: Place) -> None:
    for n in range(5):
        place.put(f"payments {n}.csv", [[1, "2025-01-01", str(n), "cash", f"P{n}"], [1, "soon", "1", "cash", "x"]])
        land_inbox(place.inbox, place.lake, RULES, silent)
    place.lake.sweep()
    assert len(list(place.lake.typed.rglob("*.parquet"))) == 2  # typed and rejected rows
    found = place.typed()
    assert [str(found[f"payments {n}.csv"][1]["amount"].to_list()) for n in range(5)] == [
        f"[Decimal('{n}.00')]" for n in range(5)
    ]
    assert all(faults is not None and faults["line"].to_list() == [3] for _, _, faults in found.values())
    assert len(list(place.lake.raw.rglob("*.parquet"))) == 5
    compute(place.lake, RULES, silent, full=True)
    (path,) = {place.lake.typed / file.name for file, *_ in place.typed().values()}
    assert pl.read_parquet(path).height == 5, "an export that is typed again leaves none of its old rows"


def test_an_export_typed_later_than_others_of_its_pack_is_read_with_them(place: Place) -> None:
    for n in range(3):
        place.put(f"payments {n}.csv", [[1, "2025-01-01", str(n), "cash", f"P{n}"]])
    land_inbox(place.inbox, place.lake, RULES, silent)
    record = place.lake.read_record("typed/catalog.json")
    del record["files"][0]["exports"][1]  # as after a kill between raw and typed
    place.lake.write_record("typed/catalog.json", record)
    place.lake = Lake(place.lake.root)
    found = place.typed()
    assert sorted(str(rows["amount"][0]) for _, rows, _ in found.values()) == ["0.00", "1.00", "2.00"]
    assert len({file.name for file, *_ in found.values()}) == 1


def test_an_export_put_back_is_typed_as_of_the_day_it_first_landed(place: Place) -> None:
    headers = ["Time", "Duration", "Flow", "From number", "To number", "Job"]
    rows: list[list[object]] = [["Wed Dec 17th, 03:21PM", "3 Min 25 Sec", "Main", "(617) 555-0123", "6175550199", ""]]
    place.put("calls.csv", rows, headers)
    land_inbox(place.inbox, place.lake, RULES, silent)
    first = place.typed()
    for path in [*(place.lake.root / "typed").rglob("*.*"), *(place.lake.root / "raw").rglob("*.*")]:
        path.unlink()
    place.lake = Lake(place.lake.root)
    os.utime(place.inbox / "calls.csv", (MIDNIGHT.timestamp() + 9 * 365 * 86400,) * 2)
    land_inbox(place.inbox, place.lake, RULES, silent)
    assert_same(first, place.typed())


@pytest.mark.parametrize("small", [0, 2**20])
def test_where_typing_fails_nothing_has_landed(place: Place, monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    monkeypatch.setattr(landing, "SMALL", small)
    monkeypatch.setattr(typed_rows, "SMALL", small)
    place.put("payments.csv", payments(50))

    def unreadable(*_: object) -> None:
        raise pl.exceptions.ComputeError

    with monkeypatch.context() as patched:
        patched.setattr(typing, "typed_schema", unreadable)
        with pytest.raises(LakeError, match=r"the rows of payments\.csv cannot be typed"):
            land_inbox(place.inbox, place.lake, RULES, silent)
    assert [p for p in place.lake.root.rglob("*") if p.is_file()] == []
    land_inbox(place.inbox, place.lake, RULES, silent)
    assert place.typed()["payments.csv"][0].rows == 50


@pytest.mark.deep
def test_exports_of_an_earlier_form_are_kept_and_land_again_from_the_inbox(project: Project) -> None:
    project.put("payments.csv", small_company.payments(*payments(3), more=("Method", "Transaction ID")))
    raw = project.settings.lake_dir / "raw" / "payments"
    raw.mkdir(parents=True)
    there = hashlib.sha256((project.inbox / "payments.csv").read_bytes()).hexdigest()
    for stem in (there, "0" * 64):
        (raw / f"{stem}.parquet").write_bytes(b"PAR1 of another form")
        (raw / f"{stem}.json").write_text("{}")
    exports = {
        s: {"feed": "payments", "name": "a.csv", "modified_ns": 1, "landed_at": "2025-01-01T00:00:00+00:00"}
        for s in (there, "0" * 64)
    }
    Lake(project.settings.lake_dir).save_json("landed", {"exports": exports})
    for status in ("published", "unchanged"):
        result = project.sync()
        assert result.status == status
        (told,) = (f.message for f in result.findings if f.code == "earlier-lake")
        assert "2 exports in the format of an earlier version" in told
        assert "1 export among them" in told
    assert project.rows("SELECT count(*) FROM payments") == [(3,)]
    assert {p.read_bytes() for p in raw.glob("*.parquet") if p.with_suffix(".json").exists()} == {
        b"PAR1 of another form"
    }
    assert len(list(raw.glob("*.parquet"))) == 3
