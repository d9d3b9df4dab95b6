"""The inbox folder: what is read, what is left alone and why, and that reading again costs nothing."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rmetrics.errors import LakeError, SettingsError
from rmetrics.ingest import read as reader
from rmetrics.lake import Lake
from rmetrics.pipeline.landing import land as module
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.landing.land import InboxFile
from rmetrics.pipeline.landing.typed_rows import SMALL
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from small_company import payments
from support import MIDNIGHT, ROOT

RULES = load_rules(ROOT / "rules")
PAYMENTS = payments((17, "2025-12-16", 95), (18, "2025-12-17", 85))
HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"


class Place:
    """An inbox and a lake."""

    def __init__(self, root: Path) -> None:
        self.inbox, self.lake = root / "inbox", Lake(root / "lake")
        self.inbox.mkdir()
        self.lake.prepare()

    def put(self, name: str | bytes, text: str | bytes = PAYMENTS, *, minutes: int = 0) -> Path:
        """Writes a file of a given age."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.inbox), os.fsencode(name))))  # noqa: PTH118 - bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        at = MIDNIGHT.timestamp() + 60 * minutes
        os.utime(path, (at, at))
        return path

    def land(self) -> dict[str, InboxFile]:
        """What a run says of each file."""
        return {s.name: s for s in land_inbox(self.inbox, self.lake, RULES, silent)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "payments (1).csv",
        "payments [final] {2}*?.csv",
        "платежи за декабрь.csv",
        "sub folder/deeper/payments.csv",
        "x" * 251 + ".csv",
        "ж" * 125 + ".csv",
        "payments\nof two lines.csv",
        "-rf payments.csv",
    ],
)
def test_any_name_works(place: Place, name: str) -> None:
    place.put(name)
    assert place.land()[name].feed == "payments"


def test_a_name_that_is_no_text_is_shown_escaped(place: Place) -> None:
    try:
        place.put(b"payments \xff.csv")
    except OSError:
        pytest.skip("this file system takes only names that are text")
    (seen,) = place.land().values()
    assert (seen.name, seen.feed) == ("payments \\xff.csv", "payments")


def test_links_never_lead_out_of_the_inbox(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "payments.csv").write_text(PAYMENTS)
    (place.inbox / "link.csv").symlink_to(outside / "payments.csv")
    (place.inbox / "folder").symlink_to(outside)
    (place.inbox / "broken.csv").symlink_to(outside / "nothing")
    seen = place.land()
    assert sorted(seen) == ["broken.csv", "folder", "link.csv"]
    assert all("is a link" in s.refused and "copy the file here" in s.refused for s in seen.values())
    assert place.lake.raw_files() == []


@pytest.mark.parametrize(
    "name",
    [
        "~$payments.xlsx",
        ".~lock.payments.csv#",
        ".payments.csv.swp",
        "~WRL0001.csv",
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "README.md",
    ],
)
def test_office_and_system_files_are_passed_over(place: Place, name: str) -> None:
    place.put(name)
    assert place.land() == {}


def test_special_files_do_not_hang(place: Place) -> None:
    os.mkfifo(place.inbox / "pipe.csv")
    assert place.land() == {}


@pytest.mark.parametrize("name", ["payments.csv.crdownload", "payments.csv.part", "~payments.tmp"])
def test_unfinished_downloads_wait_for_their_name(place: Place, name: str) -> None:
    path = place.put(name)
    assert "unfinished download" in place.land()[name].refused
    path.rename(place.inbox / "payments.csv")
    assert place.land()["payments.csv"].landed


def test_two_files_of_the_same_content_are_one(place: Place) -> None:
    place.put("a.csv")
    place.put("b.csv", minutes=1)
    seen = place.land()
    assert (seen["a.csv"].landed, seen["b.csv"].landed) == (True, False)
    assert seen["b.csv"].note == "same content as a.csv"
    assert len(place.lake.raw_files()) == 1


def test_no_data_is_left_alone_until_it_changes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("payments.csv", HTML)
    assert "web page" in place.land()["payments.csv"].refused
    monkeypatch.setattr(module, "open_export", None)  # would fail if it was read again
    assert "web page" in place.land()["payments.csv"].refused
    monkeypatch.setattr(module, "open_export", reader.open_export)
    place.put("payments.csv", PAYMENTS, minutes=1)
    assert place.land()["payments.csv"].landed


def test_a_login_page_over_an_export_leaves_the_last_good_data(place: Place) -> None:
    place.put("payments.csv")
    place.land()
    place.put("payments.csv", HTML, minutes=1)
    assert place.land()["payments.csv"].refused
    assert [r.name for r in place.lake.raw_files()] == ["payments.csv"]


def test_a_file_that_grows_while_it_is_read_is_left_for_the_next_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place.put("payments.csv")

    def growing(*args: object) -> reader.Export:
        with path.open("a") as file:
            file.write("19,2025-12-18,75\n")
        return reader.open_export(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "open_export", growing)
    assert "still being written" in place.land()["payments.csv"].refused
    assert place.lake.raw_files() == []
    monkeypatch.setattr(module, "open_export", reader.open_export)
    assert place.land()["payments.csv"].landed


def test_a_file_being_written_now_is_left_for_the_next_run(place: Place) -> None:
    path = place.put("payments.csv")
    now = time.time()
    os.utime(path, (now, now))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with path.open("a") as file:
                file.write("19,2025-12-18,75\n")
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert "still being written" in place.land()["payments.csv"].refused
    finally:
        stop.set()
        writer.join()
    assert place.land()["payments.csv"].landed


def test_a_file_that_vanishes_is_no_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.put("payments.csv")

    def vanishing(*args: object) -> reader.Export:
        export = reader.open_export(*args)  # type: ignore[arg-type]
        path.unlink()
        return export

    monkeypatch.setattr(module, "open_export", vanishing)
    assert place.land()["payments.csv"].refused
    assert place.lake.raw_files() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_file_says_so(place: Place) -> None:
    place.put("payments.csv").chmod(0)
    assert "no permission" in place.land()["payments.csv"].refused


def test_a_missing_inbox_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        land_inbox(tmp_path / "nothing", Lake(tmp_path / "lake"), RULES, silent)


def test_a_thousand_known_files_cost_nothing(place: Place) -> None:
    for i in range(1000):
        place.put(f"part {i // 100}/payments {i}.csv", HTML + str(i) if i % 10 else PAYMENTS.replace("17", str(i)))
    place.land()
    start = time.perf_counter()
    seen = place.land()
    assert len(seen) == 1000
    assert sum(not s.refused for s in seen.values()) == 100
    assert time.perf_counter() - start < 1.0


def test_a_disk_that_refuses_one_export_stops_the_landing_of_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "".join(f"{i},2025-12-16,1\n" for i in range(SMALL // 10))
    place.put("refused.csv", PAYMENTS.replace("95", "95000") + more)  # the largest is read first
    place.put("long.csv", PAYMENTS.replace("95", "94") + more)
    refused = threading.Event()

    def opened(*arguments: Any) -> reader.Export:
        export = reader.open_export(*arguments)

        def batches(data: Iterator[bytes]) -> Iterator[pl.DataFrame]:
            first = next(export.batches(data))
            if first["Amount"][0] == "95000":
                refused.set()
                raise LakeError("cannot write: no space left", "Free some space.")
            assert refused.wait(5)
            while True:
                yield first
                time.sleep(0.01)

        return replace(export, batches=batches)

    monkeypatch.setattr(module, "open_export", opened)
    with pytest.raises(LakeError, match="no space left"):
        place.land()
    monkeypatch.undo()
    assert place.lake.raw_files() == []
    assert list(place.lake.root.rglob("*.part")) == []
    assert all(s.landed for s in place.land().values())
