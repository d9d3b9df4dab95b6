"""Typing an export while it lands gives what typing it from the lake gives."""

import os
from pathlib import Path

import polars as pl
import pytest

from rmetrics.errors import LakeError
from rmetrics.ingest import records, sniff
from rmetrics.lake import Lake, TypedFile
from rmetrics.pipeline import compute as computing
from rmetrics.pipeline.compute import compute
from rmetrics.pipeline.inbox import land_inbox
from rmetrics.pipeline.progress import silent
from rmetrics.rules import load_rules
from support import MIDNIGHT, ROOT, csv_text

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
                rejected = self.lake.rejected_path(file)
                faults = pl.read_parquet(rejected) if rejected.exists() else None
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


def test_typed_while_landing_is_typed_from_the_lake(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniff, "BLOCK", 2048)
    monkeypatch.setattr(records, "BLOCK", 2048)
    faulty: list[list[object]] = [["x", "soon", "1", "cash", "Tx"], ["Total", "", "99", "", ""], [1, "2025-01-01"]]
    place.put("ids payments.csv", [*payments(900), *faulty])
    place.put("noid payments.csv", payments(700, ids=False))
    place.put("late payments.csv", [*payments(800), *payments(3, ids=False), *payments(3, ids=False)])
    land_inbox(place.inbox, place.lake, RULES, silent)
    (raw, *_) = place.lake.raw_files()
    assert sum(1 for _ in place.lake.raw_batches(raw)) > 3
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "raw_batches", None)  # nothing is read back
        landing = place.typed()
    for path in (place.lake.root / "typed").rglob("*.*"):
        path.unlink()
    assert_same(landing, place.typed())
    late = landing["late payments.csv"][1]["payment_id"].to_list()
    assert sorted(i[-2:] for i in late if "-" in i) == ["-1"] * 3 + ["-2"] * 3
    assert not any(i.startswith(" ") for i in landing["noid payments.csv"][1]["payment_id"])
    assert "_identity" not in landing["noid payments.csv"][1].columns


def test_an_export_put_back_is_typed_as_of_the_day_it_first_landed(place: Place) -> None:
    headers = ["Time", "Duration", "Flow", "From number", "To number", "Job"]
    rows: list[list[object]] = [["Wed Dec 17th, 03:21PM", "3 Min 25 Sec", "Main", "(617) 555-0123", "6175550199", ""]]
    place.put("calls.csv", rows, headers)
    land_inbox(place.inbox, place.lake, RULES, silent)
    place.lake.remember_landed(place.lake.raw_files())
    first = place.typed()
    for path in [*(place.lake.root / "typed").rglob("*.*"), *(place.lake.root / "raw").rglob("*.parquet")]:
        path.unlink()
    os.utime(place.inbox / "calls.csv", (MIDNIGHT.timestamp() + 9 * 365 * 86400,) * 2)
    land_inbox(place.inbox, place.lake, RULES, silent)
    assert_same(first, place.typed())


def test_where_typing_fails_nothing_has_landed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("payments.csv", payments(50))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(computing, "write_batches", full)
        with pytest.raises(LakeError, match="No space left"):
            land_inbox(place.inbox, place.lake, RULES, silent)
    assert [p for p in place.lake.root.rglob("*") if p.is_file()] == []
    land_inbox(place.inbox, place.lake, RULES, silent)
    assert place.typed()["payments.csv"][0].rows == 50
