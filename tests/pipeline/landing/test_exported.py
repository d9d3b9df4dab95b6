"""Records of landed exports, read again from their bytes, are those that were read when they landed."""

import gzip
from collections.abc import Iterator

import polars as pl
import pytest

from ingest.builders import workbook
from rmetrics.errors import LakeError
from rmetrics.ingest.read import open_export
from rmetrics.ingest.records import LINE
from rmetrics.ingest.sniff import blocks
from rmetrics.lake import Lake
from rmetrics.pipeline.landing import land as landing
from rmetrics.pipeline.landing.exported import exported_records, exported_text, scan_exported
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from small_company import payments
from support import ROOT

RULES = load_rules(ROOT / "rules")
HEADERS = ["Job #", "Date", "Amount", "Method", "Transaction ID"]


def text(*faulty: str) -> str:
    rows = [[i, "2025-01-16", f"{i}.50", "é — cash" if i % 3 else 'a "b"\nc', f"T{i}"] for i in range(200)]
    return payments(*rows, more=("Method", "Transaction ID")) + "".join(faulty)


FORMS: dict[str, bytes] = {
    "payments.csv": text().encode(),
    "crlf payments.csv": text().replace("\n", "\r\n").encode("utf-8-sig"),
    "old payments.csv": text().replace("é — ", "").replace("\n", "\r").encode(),
    "wide payments.csv": text().encode("utf-16"),
    "western payments.csv": text().replace("—", "-").encode("cp1252"),
    "packed payments.csv.gz": gzip.compress(text().encode(), mtime=0),
    "faulty payments.csv": text(
        "1,2\n", "Total,,5,,\n", '1,2025-01-16,5,"cash,T\n', "1,2025-01-16,5,cash,T\n"
    ).encode(),
    "payments.xlsx": workbook({"Sheet1": [HEADERS, *([i, "2025-12-16", 95 + i, "cash", f"T{i}"] for i in range(50))]}),
}


@pytest.fixture(scope="module", params=[0, 2**20], ids=["alone", "together"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """All forms, landed once in small blocks. A test that changes it brings it back."""
    folder = tmp_path_factory.mktemp("forms")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("rmetrics.ingest.sniff.BLOCK", 1024)
        patched.setattr("rmetrics.ingest.records.BLOCK", 1024)
        patched.setattr(landing, "SMALL", request.param)
        made = Lake(folder / "lake")
        made.prepare()
        (folder / "inbox").mkdir()
        for name, data in FORMS.items():
            (folder / "inbox" / name).write_bytes(data)
        assert all(s.landed for s in land_inbox(folder / "inbox", made, RULES, silent))
        yield made


@pytest.mark.ordinary(1, deep=1)
def test_landed_bytes_are_the_exports_own_and_read_as_they_did(lake: Lake) -> None:
    for raw in lake.raw_files():
        path = lake.root.parent / "inbox" / raw.name
        assert b"".join(f.data for f in lake.frames(raw)) == path.read_bytes()
        fresh = pl.concat(open_export(path, path.name, RULES.feeds).batches(blocks(path)))
        whole = pl.concat(exported_text(lake, raw))
        assert whole.equals(fresh), raw.name
        assert raw.rows == whole.height
        assert scan_exported(lake, raw).filter(pl.col(LINE) > 40).collect().equals(whole.filter(pl.col(LINE) > 40))
        assert scan_exported(lake, raw).select("Amount").head(3).collect().equals(whole.select("Amount").head(3))


@pytest.mark.ordinary(0, deep=2)
def test_records_of_some_lines_are_those_of_the_whole_text(lake: Lake) -> None:
    for raw in lake.raw_files():
        whole = pl.concat(exported_text(lake, raw))
        lines = whole[LINE].to_list()
        for wanted in ([lines[0]], [lines[-1]], lines[30:40:3], [lines[1], lines[-2]], []):
            found = exported_records(lake, raw, wanted)
            assert found.equals(whole.filter(pl.col(LINE).is_in(wanted))), (raw.name, wanted)


def test_one_record_is_read_from_one_frame(lake: Lake) -> None:
    (raw,) = (r for r in lake.raw_files() if r.name == "payments.csv")
    *before, last = lake.frames(raw)
    assert len(before) > 5 or not before
    assert list(lake.frames(raw, last.line)) == [last]


def test_a_landed_export_that_cannot_be_read_says_which(lake: Lake) -> None:
    (raw,) = (r for r in lake.raw_files() if r.name == "payments.csv")
    path = lake.raw_path(raw)
    before = path.read_bytes()
    path.write_bytes(b"PAR1")
    with pytest.raises(LakeError, match="it cannot be read"):
        list(exported_text(lake, raw))
    path.write_bytes(before)
