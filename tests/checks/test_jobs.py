"""Jobs, payments, sources, segments and revenue, worked by hand."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from checks.conftest import Lab

Noon = Callable[..., dt.datetime]
SHOP = '\n[sources.Shop]\naliases = ["The Shop"]\nsegment = "COD"\nleads = "jobs"\n'


def test_units_repairs_and_segments(lab: Lab, noon: Noon) -> None:
    day = noon("2025-01-05")
    lab.jobs(
        ("1", "COD Service", None, day),
        ("2", "COD Repair", None, day),
        ("3", "INS Service", None, day),
        ("4", "INS Repair", None, day),
        ("5", "Estimate", None, day),
        ("6", None, None, day),
    )
    assert lab.daily("jobs", "units", "repairs") == [
        ("2025-01-05", "Unattributed", "COD", 2, 1, 1),
        ("2025-01-05", "Unattributed", "INS", 2, 1, 1),
        ("2025-01-05", "Unattributed", "OTHER", 2, 0, 0),
    ]


def test_paid_of_exactly_100_is_no_repair_and_all_payments_count(lab: Lab, noon: Noon) -> None:
    day = noon("2025-01-05")
    lab.jobs(*((name, "COD Service", None, day) for name in ("100", "100.01", "split", "refunded", "none")))
    lab.payments(
        ("100", day, Decimal(100)),
        ("100.01", day, Decimal("100.01")),
        ("split", day, Decimal(60)),
        ("split", noon("2026-07-01"), Decimal(60)),
        ("refunded", day, Decimal(150)),
        ("refunded", noon("2025-03-01"), Decimal(-50)),
    )
    rows = lab.query("SELECT job_id, paid, is_unit, is_repair FROM job_facts ORDER BY 1")
    assert rows == [
        ("100", Decimal(100), True, False),
        ("100.01", Decimal("100.01"), True, True),
        ("none", Decimal(0), True, False),
        ("refunded", Decimal(100), True, False),
        ("split", Decimal(120), True, True),
    ]


def test_revenue_counts_on_the_job_and_refunds_are_negative(lab: Lab, noon: Noon) -> None:
    lab.jobs(("1", "COD Repair", None, noon("2025-01-31")))
    lab.payments(("1", noon("2025-02-03"), Decimal("100.05")), ("1", noon("2025-03-03"), Decimal("-0.02")))
    assert lab.daily("revenue_gross", "revenue40") == [
        ("2025-01-31", "Unattributed", "COD", Decimal("100.03"), Decimal("40.012")),
    ]


def test_revenue_by_day_of_payment_takes_the_share_of_that_day(lab: Lab, noon: Noon) -> None:
    changes = 'date = "payment"\n[[revenue.changes]]\nfrom = 2025-02-15\nshare = 0.3333\n'
    lab.business = lab.business.replace("share = 0.40\n", f"share = 0.40\n{changes}")
    lab.jobs(("1", "INS Repair", None, noon("2025-01-31")))
    lab.payments(("1", noon("2025-02-14", 23), Decimal(10)), ("1", noon("2025-02-15", 0), Decimal("0.01")))
    assert lab.daily("revenue_gross", "revenue40") == [
        ("2025-02-14", "Unattributed", "INS", Decimal(10), Decimal(4)),
        ("2025-02-15", "Unattributed", "INS", Decimal("0.01"), Decimal("0.003333")),
    ]
    assert lab.monthly("revenue40") == [("2025-02-01", "Unattributed", "INS", Decimal("4.003333"))]


def test_orphans_count_as_unattributed_other_on_their_own_day(lab: Lab, noon: Noon) -> None:
    day = noon("2025-01-05")
    lab.sources = SHOP
    lab.jobs(("1", "COD Repair", "Shop", day))
    lab.payments(("9", noon("2025-01-06"), Decimal(7)), (None, noon("2025-01-07"), Decimal(8)), ("9", None, Decimal(9)))
    assert lab.daily("revenue_gross") == [
        ("2025-01-06", "Unattributed", "OTHER", Decimal(7)),
        ("2025-01-07", "Unattributed", "OTHER", Decimal(8)),
    ]


def test_failed_payments_neither_pay_nor_earn(lab: Lab, noon: Noon) -> None:
    lab.jobs(("1", "COD Service", None, noon("2025-01-05")))
    row = {"payment_id": "p", "job_ref": "1", "paid_at": noon("2025-01-05"), "amount": Decimal(500)}
    lab.add("payments", [{**row, "status": "Failed"}])
    assert lab.query("SELECT paid, is_repair FROM job_facts") == [(Decimal(0), False)]
    assert lab.daily("revenue_gross") == []


def test_payment_finds_its_job_by_number_then_by_uuid_and_ties_go_to_the_lowest_number(lab: Lab, noon: Noon) -> None:
    common = {"type": "COD Repair", "created_at": noon("2025-01-05")}
    jobs = [("9", "same"), ("10", "same"), ("same as number", "x"), ("3", "same as number"), ("4", None)]
    lab.add("jobs", [{**common, "job_id": j, "job_uuid": u} for j, u in jobs])
    day = noon("2025-01-06")
    lab.payments(("same", day, Decimal(1)), ("same as number", day, Decimal(2)), ("x", day, Decimal(4)))
    rows = lab.query("SELECT job_id, paid FROM job_facts WHERE paid <> 0 ORDER BY 1")
    assert rows == [("10", Decimal(1)), ("same as number", Decimal(6))]  # '10' < '9' as text


def test_link_whose_first_column_is_not_the_key(lab: Lab, noon: Noon) -> None:
    lab.feeds = lab.feeds.replace('match = ["job_id", "job_uuid"]', 'match = ["job_uuid", "job_id"]')
    common = {"type": "COD Repair", "created_at": noon("2025-01-05")}
    lab.add("jobs", [{**common, "job_id": j, "job_uuid": u} for j, u in (("a", "b"), ("b", "c"), ("0", "b"))])
    lab.payments(("b", noon("2025-01-06"), Decimal(1)), ("a", noon("2025-01-06"), Decimal(2)))
    rows = lab.query("SELECT job_id, paid FROM job_facts WHERE paid <> 0 ORDER BY 1")
    assert rows == [("0", Decimal(1)), ("a", Decimal(2))]


def test_payments_without_a_link_in_the_rules_name_the_job_number(lab: Lab, noon: Noon) -> None:
    lab.feeds = lab.feeds.replace('job = { column = "job_ref", match = ["job_id", "job_uuid"] }\n', "")
    lab.jobs(("1", "COD Repair", None, noon("2025-01-05")))
    lab.payments(("1", noon("2025-01-06"), Decimal(1)))
    assert lab.query("SELECT paid FROM job_facts") == [(Decimal(1),)]


@pytest.mark.parametrize("dated", ["created_at", "job_date"])
def test_day_of_entry_is_that_of_the_office_or_the_job_s_own(lab: Lab, noon: Noon, dated: str) -> None:
    lab.business = lab.business.replace('date = "created_at"', f'date = "{dated}"')
    day = dt.date(2025, 1, 9)
    jobs: list[dict[str, Any]] = [{"job_id": "late", "created_at": noon("2025-01-05", 23), "job_date": day},
            {"job_id": "blank", "job_date": day}, {"job_id": "neither"}]  # fmt: skip
    lab.add("jobs", [{"type": "COD Repair", **job} for job in jobs])
    found = dict(lab.query("SELECT r.job_id, m._created FROM _work.marks m JOIN _work.rows_jobs r USING (_pos)"))
    own = None if dated == "created_at" else day
    assert found == {"late": dt.date(2025, 1, 5), "blank": own, "neither": None}


def test_job_is_placed_by_its_date_or_when_that_is_blank_by_its_entry(lab: Lab, noon: Noon) -> None:
    lab.business = lab.business.replace('date = "created_at"', 'date = "job_date"')
    row = {"type": "COD Repair", "created_at": noon("2025-01-05", 23)}
    rows = [{**row, "job_id": "1", "job_date": dt.date(2025, 2, 1)}, {**row, "job_id": "2"}]
    lab.add("jobs", [*rows, {"job_id": "3", "type": "COD Repair"}])
    found = lab.query("SELECT job_id, metric_date FROM job_facts ORDER BY 1")
    assert found == [("1", dt.date(2025, 2, 1)), ("2", dt.date(2025, 1, 5)), ("3", None)]


def test_job_without_any_date_counts_nowhere_but_its_revenue_does(lab: Lab, noon: Noon) -> None:
    lab.sources = SHOP
    lab.jobs(("1", "INS Repair", "Shop", None))
    lab.payments(("1", noon("2025-01-06"), Decimal(3)))
    assert lab.query("SELECT * EXCLUDE (revenue40) FROM daily_metrics") == [
        (dt.date(2025, 1, 6), "Shop", "INS", 0, 0, 0, 0, Decimal(3), Decimal(0)),
    ]


def test_jobs_that_do_not_count_are_not_there(lab: Lab, noon: Noon) -> None:
    lab.feeds = lab.feeds.replace(
        "\n[feeds.jobs.columns]", "\nwhere = \"type IS DISTINCT FROM 'Test'\"\n[feeds.jobs.columns]"
    )
    lab.jobs(("1", "Test", "Shop", noon("2025-01-05")))
    lab.payments(("1", noon("2025-01-06"), Decimal(3)))
    assert lab.daily("jobs", "revenue_gross") == [("2025-01-06", "Unattributed", "OTHER", 0, Decimal(3))]
    assert lab.query("SELECT count(*) FROM job_facts") == [(0,)]


def test_conditions_change_in_the_middle_of_a_month(lab: Lab, noon: Noon) -> None:
    changes = """
[[jobs.changes]]
from = 2025-01-15
unit = "type = 'Visit'"
segments = [{ name = "VIP", where = "source = 'Shop'" }, { name = "COD", where = "type LIKE '%COD%'" }]
[[jobs.changes]]
from = 2025-01-20
unit = "metric_date = DATE '2025-01-20' OR metric_date IS NULL"
"""
    lab.business = lab.business.replace("\n[revenue]", f"{changes}\n[revenue]")
    lab.sources = SHOP
    days = (noon("2025-01-14", 23), noon("2025-01-15", 0), noon("2025-01-20"), None)
    lab.jobs(
        *((str(i), t, "shop", d) for i, (d, t) in enumerate((d, t) for d in days for t in ("Visit", "COD Service")))
    )
    rows = lab.query("SELECT job_id, segment, is_unit FROM job_facts ORDER BY 1")
    assert rows == [
        ("0", "OTHER", False),
        ("1", "COD", True),
        ("2", "VIP", True),
        ("3", "VIP", False),
        ("4", "VIP", True),
        ("5", "VIP", True),
        ("6", "VIP", True),  # no date: the latest version
        ("7", "VIP", True),
    ]


def test_null_is_not_true_and_comments_end_with_their_line(lab: Lab, noon: Noon) -> None:
    lab.business = lab.business.replace("\"type IN ('COD Service', 'INS Service')\"", "\"type <> 'x' -- any\"")
    lab.jobs(("1", None, None, noon("2025-01-05")), ("2", "y", None, noon("2025-01-05")))
    assert lab.query("SELECT job_id, is_unit FROM job_facts ORDER BY 1") == [("1", False), ("2", True)]


@pytest.mark.parametrize(
    ("spelling", "source"),
    [
        ("Shop", "Shop"),
        ("  sHoP ", "Shop"),
        ("the-shop", "Shop"),
        ("T H E\u00a0S H O P", "Shop"),
        (None, "Unattributed"),
        ("", "Unattributed"),
        (" \t", "Unattributed"),
        ("un-attributed", "Unattributed"),
        ("ALL", "All"),
        (" ALL ", "All"),
        ("all", "all"),
        (" Yelp  Ads ", "Yelp  Ads"),
        ('Joe\'s "Ads"', 'Joe\'s "Ads"'),
    ],
)
def test_source_of_a_spelling(lab: Lab, noon: Noon, spelling: str | None, source: str) -> None:
    lab.sources = SHOP
    lab.jobs(("1", "COD Repair", spelling, noon("2025-01-05")))
    assert lab.daily("jobs") == [("2025-01-05", source, "COD", 1)]


def test_undeclared_source_is_named_by_its_earliest_job(lab: Lab, noon: Noon) -> None:
    lab.jobs(
        ("7", "x", "YELP ADS", noon("2025-01-06")),
        ("100", "x", "yelp  ads", noon("2025-01-05")),
        ("12", "x", " YelpAds ", noon("2025-01-05")),
        ("11", "x", "yelp-ads", noon("2025-01-05")),  # a hyphen is another spelling
        ("13", "x", "yelp ads", noon("2025-01-05")),
        ("1", "x", "yElP", None),
        ("99", "x", "Yelp", noon("2025-02-01")),
        ("22", "x", "angi", None),
        ("3", "x", "ANGI", None),
    )
    rows = lab.query("SELECT source, string_agg(job_id, ' ' ORDER BY job_id) FROM job_facts GROUP BY 1 ORDER BY 1")
    assert rows == [("ANGI", "22 3"), ("Yelp", "1 99"), ("YelpAds", "100 12 13 7"), ("yelp-ads", "11")]


def test_undeclared_sources_have_no_leads_and_no_cost(lab: Lab, noon: Noon) -> None:
    lab.sources = SHOP + "cost = { per_lead = 1.00 }\n"
    lab.jobs(("1", "COD Repair", "Yelp", noon("2025-01-05")), ("2", "COD Repair", None, noon("2025-01-05")))
    assert lab.daily("leads", "cost") == []
    assert lab.monthly("jobs") == [("2025-01-01", "Unattributed", "COD", 1), ("2025-01-01", "Yelp", "COD", 1)]


def test_key_whose_month_sums_to_nothing_is_no_month(lab: Lab, noon: Noon) -> None:
    lab.payments(("x", noon("2025-01-05"), Decimal(9)), ("x", noon("2025-01-06"), Decimal(-9)))
    assert len(lab.daily("revenue_gross")) == 2
    assert lab.query("SELECT count(*) FROM monthly_metrics") == [(0,)]


def test_types_of_the_metrics(lab: Lab) -> None:
    rows = lab.query("DESCRIBE daily_metrics")
    assert [(r[0], r[1]) for r in rows] == [
        ("date", "DATE"),
        ("source", "VARCHAR"),
        ("segment", "VARCHAR"),
        ("jobs", "BIGINT"),
        ("leads", "BIGINT"),
        ("units", "BIGINT"),
        ("repairs", "BIGINT"),
        ("revenue_gross", "DECIMAL(18,2)"),
        ("revenue40", "DECIMAL(18,6)"),
        ("cost", "DECIMAL(18,2)"),
    ]
