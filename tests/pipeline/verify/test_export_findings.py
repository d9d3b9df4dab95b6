"""An export that differs oddly from the one before it is a warning."""

import datetime as dt
import os
from pathlib import Path

import pytest

from rmetrics.findings import Finding
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.verify.export_findings import export_findings
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from small_company import calls
from support import MIDNIGHT, ROOT, csv_text

RULES = load_rules(ROOT / "rules")
HEADERS = ["Unique ID", "Time", "Cost", "Status"]


class Place:
    """Exports put one after the other, a day apart."""

    def __init__(self, root: Path) -> None:
        self.inbox, self.lake, self.count = root / "inbox", Lake(root / "lake"), 0
        self.inbox.mkdir()
        self.lake.prepare()

    def put(self, name: str, text: str) -> None:
        """Writes an export, a day newer than the one before."""
        path = self.inbox / name
        path.write_text(text)
        self.count += 1
        at = MIDNIGHT.timestamp() + 86_400 * self.count
        os.utime(path, (at, at))

    def findings(self) -> list[Finding]:
        """What is found in a run over all of them."""
        land_inbox(self.inbox, self.lake, RULES, silent)
        return list(export_findings(self.lake, RULES, compute(self.lake, RULES, silent)))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def leads(rows: int, *, start: str = "2024-01-01", days: int = 60, headers: list[str] = HEADERS) -> str:
    first = dt.date.fromisoformat(start)
    lines = [
        [i, f"{first + dt.timedelta(days=i % days)} 10:00:00 -0500", 25, "new"][: len(headers)] for i in range(rows)
    ]
    return csv_text(headers, *lines)


def codes(found: list[Finding]) -> list[str]:
    return [f.code for f in found]


def test_like_exports_are_no_finding(place: Place) -> None:
    place.put("a.csv", leads(100))
    place.put("b.csv", leads(90, start="2024-03-01", days=55))
    assert place.findings() == []


def test_many_fewer_rows_are_a_warning(place: Place) -> None:
    place.put("a.csv", leads(100))
    place.put("b.csv", leads(49, start="2024-03-01", days=49))
    (found,) = place.findings()
    assert (found.code, found.severity) == ("export-shrunk", "warning")
    assert "b.csv has 49 rows from 2024-03-01 to 2024-04-18" in found.message
    assert "a.csv, 100 rows from 2024-01-01 to 2024-02-29" in found.message


def test_exactly_half_the_rows_are_none(place: Place) -> None:
    place.put("a.csv", leads(100))
    place.put("b.csv", leads(50, start="2024-03-01", days=50))
    assert place.findings() == []


def test_a_shorter_range_is_a_warning(place: Place) -> None:
    place.put("a.csv", leads(100))
    place.put("b.csv", leads(100, start="2024-03-01", days=29))
    assert codes(place.findings()) == ["export-shrunk"]


def test_only_the_newest_export_is_compared(place: Place) -> None:
    place.put("a.csv", leads(100))
    place.put("b.csv", leads(10, start="2024-03-01", days=10))
    place.put("c.csv", leads(10, start="2024-03-11", days=10))
    assert place.findings() == []


def test_exports_of_two_programs_are_not_compared(place: Place) -> None:
    place.put(
        "jobs.csv",
        csv_text(
            ["Job #", "Job Type", "Created", "Source", "City", "UUID", "Zip Code"],
            *[[i, "COD Service", "Tue Dec 16 2025", "Google", "", "", ""] for i in range(50)],
        ),
    )
    place.put(
        "jobs 2.csv",
        csv_text(
            ["Job #", "Tags", "Job Type", "Job End", "Status", "Tech", "Job Date"],
            *[[i, "", "COD Service", "", "", "", "12/16/25"] for i in range(3)],
        ),
    )
    assert place.findings() == []


def test_a_lost_column_is_named_with_its_likely_match(place: Place) -> None:
    place.put("a.csv", leads(30))
    place.put("b.csv", leads(30, headers=["Unique ID", "Time", "Lead Price", "Status"]))
    (found,) = place.findings()
    assert found.code == "export-column-lost"
    assert "b.csv has no column for cost (Cost), which a.csv had; if it is now 'Lead Price'" in found.message


def test_a_lost_column_without_a_likely_match_is_named(place: Place) -> None:
    place.put("a.csv", leads(30))
    place.put("b.csv", leads(30, headers=["Unique ID", "Time", "Cost"]))
    (found,) = place.findings()
    assert "no column for status (Status), which a.csv had; include it in the export" in found.message


@pytest.mark.parametrize("rows", [1_000, 5_000])
def test_a_round_number_of_rows_is_a_cut(place: Place, rows: int) -> None:
    place.put("a.csv", leads(rows))
    assert codes(place.findings()) == ["export-cut"]


def phone_log(rows: int, first: str, days: int) -> str:
    start = dt.date.fromisoformat(first)
    lines = [
        [
            f"{first} {i}",
            f"{start + dt.timedelta(days=i % days):%m/%d/%Y} 10:00 AM",
            "GoogleAds",
            "6175550101",
            "",
            "",
            "",
        ]
        for i in range(rows)
    ]
    return calls(*lines)


@pytest.mark.deep
def test_a_phone_log_that_stops_at_its_cap_leaves_days_of_which_nothing_is_known(place: Place) -> None:
    place.put("export_export 1.csv", phone_log(4_990, "2024-07-01", 60))  # up to August 29
    place.put("export_export 2.csv", phone_log(5_000, "2024-09-10", 60))
    found = {f.code: f for f in place.findings()}
    assert set(found) == {"export-cut", "export-gap"}
    assert found["export-gap"].message.startswith(
        "export_export 2.csv stops at 5,000 rows and begins on 2024-09-10; export_export 1.csv ends on "
        "2024-08-29: rows of the 11 days in between may be missing"
    )
    place.put("export_export 3.csv", phone_log(4_000, "2024-11-01", 30))
    assert codes(place.findings()) == ["export-gap"]  # also once the cut export is not the newest
    place.put("export_export 4.csv", phone_log(3_999, "2024-08-25", 25))  # the period in between, exported by itself
    assert "export-gap" not in codes(place.findings())


def test_a_cut_export_that_meets_the_one_before_it_leaves_no_gap(place: Place) -> None:
    place.put("export_export 1.csv", phone_log(4_990, "2024-07-01", 60))
    place.put("export_export 2.csv", phone_log(5_000, "2024-08-30", 60))
    assert codes(place.findings()) == ["export-cut"]


def test_an_old_export_with_a_new_time_is_a_warning(place: Place) -> None:
    place.put("newer data.csv", leads(100))
    place.put("older data.csv", leads(90, start="2023-12-15", days=60))
    (found,) = place.findings()
    assert found.code == "export-order"
    assert "older data.csv counts as newer than newer data.csv" in found.message


def test_no_customer_appears_in_a_finding(place: Place) -> None:
    place.put("a.csv", leads(100))
    place.put("b.csv", leads(5))
    assert all("new" not in f.message.split() for f in place.findings())
