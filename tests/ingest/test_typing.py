"""Rows without a key: true duplicates stay, the same row in another export is the same row."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl

from ingest.reading import read, shipped_rules
from rmetrics.ingest.parse import parse_column
from rmetrics.ingest.preamble import date_range, range_month
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.ingest.typing import summed, with_pending_ids, with_row_ids
from rmetrics.rules import Rules
from support import csv_text

CALLS = ["From", "From number", "To", "To number", "Time", "Flow", "Ad group", "Answered", "Job", "Job ID", "Duration"]
PAYMENTS = ["Job #", "Date", "Amount", "Payment Methods", "Status", "Tags"]
FEEDS = shipped_rules().feeds


def call(number: str, minute: int, seconds: int = 57, answered: str = "") -> list[object]:
    return [
        "a",
        number,
        "b",
        "6175550199",
        f"Mon Jan 19th, 03:{minute:02}PM",
        "eLocals",
        "",
        answered,
        "",
        "",
        f"{seconds} Sec",
    ]


def ids(path: Path, header: list[str], rows: list[list[object]], key: str, rules: Rules | None = None) -> list[str]:
    path.write_text(csv_text(header, *rows))
    named = with_pending_ids(read(path, rules=rules).accepted, key)
    return sorted(with_row_ids(named.lazy(), key).collect()[key].to_list())


def test_true_duplicates_in_one_file_are_kept(tmp_path: Path) -> None:
    found = ids(tmp_path / "calls.csv", CALLS, [call("1", 5), call("1", 5), call("1", 5), call("2", 5)], "call_id")
    assert len(set(found)) == 4
    assert sorted(i.rpartition("-")[2] for i in found) == ["1", "1", "2", "3"]


def test_an_overlapping_file_adds_only_what_is_new(tmp_path: Path) -> None:
    first = ids(tmp_path / "a calls.csv", CALLS, [call("1", 5), call("1", 5), call("2", 6)], "call_id")
    second = ids(
        tmp_path / "b calls.csv",
        CALLS,
        [call("3", 7), call("2", 6), call("1", 5), call("1", 5), call("1", 5)],
        "call_id",
    )
    assert set(first) < set(second)
    assert len(set(first) | set(second)) == 5  # the largest number of equal rows in any one file


def test_what_can_change_later_is_not_part_of_the_identity(tmp_path: Path) -> None:
    assert ids(tmp_path / "a calls.csv", CALLS, [call("6175550123", 5)], "call_id") == ids(
        tmp_path / "b calls.csv", CALLS, [call("(617) 555-0123", 5, answered="Ann")], "call_id"
    )


def test_an_export_without_any_column_of_the_identity_is_told_apart_by_all_it_has(tmp_path: Path) -> None:
    rules = shipped_rules()
    calls = rules.feeds["calls"].model_copy(update={"identity": ("tracking_source",)})
    told = replace(rules, feeds={**rules.feeds, "calls": calls})
    first = ids(tmp_path / "a calls.csv", CALLS, [call("1", 5), call("2", 6), call("2", 6)], "call_id", told)
    second = ids(tmp_path / "b calls.csv", CALLS, [call("3", 7), call("1", 5)], "call_id", told)
    assert (len(set(first)), len(set(second)), len({*first, *second})) == (3, 2, 4)


def test_two_forms_of_the_same_payment_meet(tmp_path: Path) -> None:
    utc = [17, "2026-08-02T00:00:30.000Z", "85.00", "cash", "", "x"]
    local = [17, "Aug 1, 2026, 08:00 PM", "$85", "cash", "Completed", ""]
    assert ids(tmp_path / "a payments.csv", PAYMENTS, [utc], "payment_id") == ids(
        tmp_path / "b payments.csv", PAYMENTS, [local], "payment_id"
    )


def test_ids_do_not_show_what_they_are_made_of(tmp_path: Path) -> None:
    (found,) = ids(tmp_path / "calls.csv", CALLS, [call("6175550123", 5)], "call_id")
    assert "6175550123" not in found


def test_parts_of_one_amount_are_added_up_within_a_file(tmp_path: Path) -> None:
    path = tmp_path / "Campaign report.csv"
    rows = [
        ["2026-09-02", "A", "Mobile", "1.10", 1],
        ["2026-09-02", "A", "Desktop", "2.20", 1],
        ["2026-09-03", "A", "Desktop", "--", 1],
    ]
    path.write_text(csv_text(["Day", "Campaign", "Device", "Cost", "Clicks"], *rows))
    added = summed(read(path).accepted.lazy(), FEEDS["google_spend"]).sort("day").collect()
    assert [str(v) for v in added["spend"].to_list()] == ["3.30", "None"]
    assert added["_parts"].to_list() == [2, 1]


def test_repeated_spellings_are_read_as_single_ones() -> None:
    column, reading = FEEDS["payments"].columns["paid_at"], ParseContext("America/New_York", dt.date(2026, 1, 20))
    spellings = ["12/16/2025", "2025-12-16 10:00", "soon", None, "13/01/2026", "01/02/2026", "Aug 1, 2026, 08:00 PM"]
    single = parse_column(pl.Series("t", spellings, dtype=pl.String), column, reading).to_list()
    many = parse_column(pl.Series("t", spellings * 50, dtype=pl.String), column, reading).to_list()
    assert many == single * 50


def test_only_a_range_from_the_first_of_a_month_stands_for_the_month() -> None:
    assert range_month(["Report", "September 1, 2026 - September 30, 2026"]) == dt.date(2026, 9, 1)
    assert range_month(["1 September 2026 - 20 September 2026"]) == dt.date(2026, 9, 1)
    assert range_month(["September 16, 2026 - September 30, 2026"]) is None
    assert range_month(["September 1, 2026 - October 31, 2026"]) is None
    assert date_range("September 5, 2026") == (dt.date(2026, 9, 5), dt.date(2026, 9, 5))
    assert date_range("Campaign report 2026") is None
