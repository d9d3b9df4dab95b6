"""The newest row wins per key, column by column; business days; which rows count."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from checks.conftest import Lab

Noon = Callable[..., dt.datetime]


def test_feed_without_files_is_empty_and_typed(lab: Lab) -> None:
    rows = lab.query("DESCRIBE shop_leads")
    assert [(r[0], r[1]) for r in rows] == [
        ("lead_id", "VARCHAR"),
        ("lead_at", "TIMESTAMP WITH TIME ZONE"),
        ("cost", "DECIMAL(18,2)"),
        ("status", "VARCHAR"),
        ("big", "BOOLEAN"),
        ("lead_date", "DATE"),
        ("counted", "BOOLEAN"),
    ]
    assert lab.query("SELECT (SELECT count(*) FROM daily_metrics), (SELECT count(*) FROM job_facts)") == [(0, 0)]


def test_newest_export_wins_whatever_the_order_of_files(lab: Lab) -> None:
    lab.add("shop_leads", [{"lead_id": "a", "cost": Decimal(40)}, {"lead_id": "b", "cost": Decimal(1)}], rank=7)
    lab.add("shop_leads", [{"lead_id": "a", "cost": Decimal(0)}, {"lead_id": "c", "cost": Decimal(2)}], rank=9)
    lab.add("shop_leads", [{"lead_id": "a", "cost": Decimal(99)}], rank=8)
    rows = lab.query("SELECT lead_id, cost FROM shop_leads ORDER BY 1")
    assert rows == [("a", Decimal(0)), ("b", Decimal(1)), ("c", Decimal(2))]


def test_within_a_file_the_last_line_wins(lab: Lab) -> None:
    rows = [{"lead_id": "a", "cost": Decimal(1), "_line": 9}, {"lead_id": "a", "cost": Decimal(2), "_line": 3}]
    lab.add("shop_leads", rows)
    assert lab.query("SELECT cost FROM shop_leads") == [(Decimal(1),)]


def test_missing_column_keeps_the_older_value_and_a_blank_cell_blanks_it(lab: Lab) -> None:
    old = {"lead_id": "a", "cost": Decimal(40), "status": "open"}
    lab.add("shop_leads", [old, {**old, "lead_id": "b"}, {**old, "lead_id": "only old"}])
    lab.add("shop_leads", [{"lead_id": "a"}, {"lead_id": "b", "status": "new"}], columns=["lead_id", "status"])
    lab.add("shop_leads", [{"lead_id": "b"}, {"lead_id": "only new"}], columns=["lead_id"])
    rows = lab.query("SELECT lead_id, cost, status, big FROM shop_leads ORDER BY 1")
    assert rows == [
        ("a", Decimal(40), None, False),
        ("b", Decimal(40), "new", False),
        ("only new", None, None, None),
        ("only old", Decimal(40), "open", False),
    ]


def test_older_value_comes_from_the_newest_export_that_has_the_column(lab: Lab) -> None:
    lab.add("shop_leads", [{"lead_id": "a", "cost": Decimal(1)}], columns=["lead_id", "cost"])
    lab.add("shop_leads", [{"lead_id": "a", "cost": None}], columns=["lead_id", "cost"])
    lab.add("shop_leads", [{"lead_id": "a", "status": "x"}], columns=["lead_id", "status"])
    assert lab.query("SELECT cost, status FROM shop_leads") == [(None, "x")]


def test_column_that_only_the_file_holds_does_not_count_as_exported(lab: Lab) -> None:
    lab.add("shop_leads", [{"lead_id": "a", "status": "old"}], columns=["lead_id", "status"])
    lab.add("shop_leads", [{"lead_id": "a", "status": "made up"}], columns=["lead_id"], made_up=["status"])
    assert lab.query("SELECT status FROM shop_leads") == [("old",)]


def test_blank_parts_of_a_key_are_equal(lab: Lab) -> None:
    month = dt.date(2025, 1, 1)
    lab.add("ads", [{"month": month, "campaign": "x", "spend": Decimal(1)}], columns=["month", "campaign", "spend"])
    lab.add("ads", [{"month": month, "campaign": "x", "spend": Decimal(2)}])
    rows = [{"month": month, "day": month, "campaign": "x", "spend": Decimal(4)}]
    lab.add("ads", rows)
    assert lab.query("SELECT day, spend FROM ads ORDER BY 2") == [(None, Decimal(2)), (month, Decimal(4))]


def test_key_made_by_typing_joins_exports_with_and_without_the_id(lab: Lab, noon: Noon) -> None:
    row = {"payment_id": "p1", "paid_at": noon("2025-01-05"), "amount": Decimal(5), "status": "paid"}
    lab.add("payments", [{**row, "status": "failed"}])
    lab.add("payments", [row], columns=["paid_at", "amount", "status"], made_up=["payment_id"])
    assert lab.query("SELECT payment_id, status, counted FROM payments") == [("p1", "paid", True)]


def test_feed_without_a_key_has_the_made_up_row_id(lab: Lab) -> None:
    lab.feeds = lab.feeds.replace('key = ["call_id"]\n', "")
    lab.add("calls", [{"row_id": "r1", "call_id": "x"}], made_up=["row_id"])
    lab.add("calls", [{"row_id": "r1", "call_id": "y"}, {"row_id": "r2"}], made_up=["row_id"])
    assert lab.query("SELECT row_id, call_id FROM calls ORDER BY 1") == [("r1", "y"), ("r2", None)]


def test_business_day_is_the_local_day(lab: Lab) -> None:
    stamps = {
        "2025-03-09T04:59:59+00:00": "2025-03-08",  # the night the clocks change
        "2025-03-09T05:00:00+00:00": "2025-03-09",
        "2025-03-10T03:59:59+00:00": "2025-03-09",
        "2025-11-02T03:59:59+00:00": "2025-11-01",
        "2025-11-03T04:59:59+00:00": "2025-11-02",
        "1969-12-31T23:00:00+00:00": "1969-12-31",
        "1970-01-01T04:59:59+00:00": "1969-12-31",
        "1970-01-01T05:00:00+00:00": "1970-01-01",
    }
    rows = [{"call_id": str(i), "started_at": dt.datetime.fromisoformat(s)} for i, s in enumerate(stamps)]
    lab.add("calls", [*rows, {"call_id": "none"}])
    found = lab.query("SELECT CAST(call_date AS VARCHAR) FROM calls ORDER BY TRY_CAST(call_id AS INTEGER) NULLS LAST")
    assert [r[0] for r in found] == [*stamps.values(), None]


def test_zone_whose_midnight_cuts_a_quarter_of_an_hour(lab: Lab) -> None:
    lab.business = lab.business.replace("America/New_York", "Africa/Monrovia")  # until 1972 at -00:44:30
    stamps = ("1971-06-01T00:44:29+00:00", "1971-06-01T00:44:30+00:00")
    lab.add("calls", [{"call_id": s, "started_at": dt.datetime.fromisoformat(s)} for s in stamps])
    rows = lab.query("SELECT call_date FROM calls ORDER BY call_id")
    assert rows == [(dt.date(1971, 5, 31),), (dt.date(1971, 6, 1),)]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia"])
@pytest.mark.ordinary(2, deep=2)
def test_days_of_zones_whose_midnight_is_not_at_a_whole_hour_or_moves(lab: Lab, zone: str) -> None:
    """Every quarter of an hour of two years: odd offsets, clocks changed at midnight, a day that never was."""
    lab.business = lab.business.replace("America/New_York", zone)
    first, step = dt.datetime(2011, 1, 1, tzinfo=dt.UTC), dt.timedelta(minutes=15)
    stamps = [first + step * i + dt.timedelta(seconds=i % 7) for i in range(0, 2 * 365 * 96, 5)]
    lab.add("calls", [{"call_id": str(i), "started_at": s} for i, s in enumerate(stamps)])
    found = dict(lab.query("SELECT CAST(call_id AS INTEGER), call_date FROM calls"))
    assert found == {i: s.astimezone(ZoneInfo(zone)).date() for i, s in enumerate(stamps)}


def test_rows_count_by_the_condition_of_their_own_day(lab: Lab, noon: Noon) -> None:
    change = "[[feeds.payments.changes]]\nfrom = 2025-02-01\nwhere = \"status = 'Paid'\"\n"
    lab.feeds = lab.feeds.replace("[feeds.calls]\n", f"{change}\n[feeds.calls]\n")
    days = [noon("2025-01-31", 23), noon("2025-02-01", 0), None]
    statuses = [None, "FAILED", "Paid"]
    rows = [{"payment_id": f"{i}{s}", "paid_at": d, "status": s} for i, d in enumerate(days) for s in statuses]
    lab.add("payments", rows)
    counted = lab.query("SELECT payment_id FROM payments WHERE counted ORDER BY 1")
    assert [r[0] for r in counted] == ["0None", "0Paid", "1Paid", "2Paid"]  # undated: the latest version
