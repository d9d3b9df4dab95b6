"""Leads and costs of every form, and how months are spread, worked by hand."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

from checks.conftest import Lab

Noon = Callable[..., dt.datetime]
D = Decimal


def shop(*lines: str) -> str:
    return "\n[sources.Shop]\n" + "\n".join(lines) + "\n"


SPREAD = 'cost = { feed = "ads", sum = "spend", spread = "days" }'


def costs(lab: Lab) -> dict[str, Decimal]:
    """Cost by day and segment, as ``MM-DD SEG``."""
    return {f"{d[5:]} {g}": c for d, _, g, c in lab.daily("cost", where="source = 'Shop'")}


def test_leads_by_jobs_units_and_repairs_take_the_jobs_segment_and_day(lab: Lab, noon: Noon) -> None:
    lab.sources = "".join(f'\n[sources.{n}]\nsegment = "COD"\nleads = "{n}"\n' for n in ("jobs", "units", "repairs"))
    types = ("COD Service", "COD Repair", "INS Service", "Estimate")
    lab.jobs(*((f"{s}{t}", t, s, noon("2025-01-05")) for s in ("jobs", "units", "repairs") for t in types))
    lab.add("jobs", [{"job_id": "undated", "type": "COD Service", "source_raw": "jobs"}])
    assert lab.daily("leads") == [
        ("2025-01-05", "jobs", "COD", 2),
        ("2025-01-05", "jobs", "INS", 1),
        ("2025-01-05", "jobs", "OTHER", 1),
        ("2025-01-05", "repairs", "COD", 1),
        ("2025-01-05", "units", "COD", 1),
        ("2025-01-05", "units", "INS", 1),
    ]


def test_leads_and_sums_of_a_feed(lab: Lab, noon: Noon) -> None:
    lab.sources = shop(
        'segment = "COD"',
        'leads = { feed = "shop_leads", where = "cost > 0" }',
        'cost = { feed = "shop_leads", sum = "cost", where = "cost > 10 OR big" }',
    )
    day = noon("2025-01-05")
    lab.leads((day, D("40.10")), (day, D(0)), (day, None), (day, D(5)), (noon("2025-01-06", 23), D(60)), (None, D(70)))
    assert lab.daily("leads", "cost") == [
        ("2025-01-05", "Shop", "COD", 2, D("40.10")),
        ("2025-01-06", "Shop", "COD", 1, D(60)),
    ]


def test_lead_without_a_condition_counts_and_segment_defaults_to_other(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = { feed = "shop_leads" }', "cost = { per_lead = 20.05 }")
    lab.leads((noon("2025-01-05"), None), (noon("2025-01-05"), D(1)))
    assert lab.daily("leads", "cost") == [("2025-01-05", "Shop", "OTHER", 2, D("40.10"))]


def test_rows_that_do_not_count_are_no_leads_and_cost_nothing(lab: Lab, noon: Noon) -> None:
    lab.feeds = lab.feeds.replace("\n[feeds.shop_leads.columns]", '\nwhere = "cost <> 7"\n[feeds.shop_leads.columns]')
    lab.sources = shop('leads = { feed = "shop_leads" }', 'cost = { feed = "shop_leads", sum = "cost" }')
    lab.leads((noon("2025-01-05"), D(7)), (noon("2025-01-05"), None), (noon("2025-01-05"), D(-8)))
    assert lab.daily("leads", "cost") == [("2025-01-05", "Shop", "OTHER", 1, D(-8))]


def test_prices_per_lead_unit_and_repair_add_up_where_they_arise(lab: Lab, noon: Noon) -> None:
    lab.sources = shop(
        'segment = "COD"',
        'leads = { feed = "shop_leads" }',
        "cost = [{ per_lead = 1.00 }, { per_unit = 10.00 }, { per_repair = 100.00 }]",
    )
    day = noon("2025-01-05")
    lab.leads((day, None))
    lab.jobs(("1", "COD Service", "Shop", day), ("2", "INS Service", "Shop", day), ("3", "INS Repair", "Shop", day))
    assert costs(lab) == {"01-05 COD": D(11), "01-05 INS": D(110)}


def test_rules_change_in_the_middle_of_a_month(lab: Lab, noon: Noon) -> None:
    lab.sources = shop(
        'segment = "COD"',
        'leads = "jobs"',
        "cost = { per_lead = 20.00 }",
        "[[sources.Shop.changes]]",
        "from = 2025-01-15",
        "cost = { per_lead = 25.00 }",
        "[[sources.Shop.changes]]",
        "from = 2025-01-20",
        'leads = { feed = "shop_leads" }',
        "[[sources.Shop.changes]]",
        "from = 2025-01-25",
        'segment = "INS"',
        'cost = { feed = "shop_leads", sum = "cost" }',
    )
    days = [noon(f"2025-01-{d}", 23) for d in (14, 15, 19, 20, 24, 25)]
    lab.jobs(*((str(i), "INS Service", "Shop", d) for i, d in enumerate(days)))
    lab.leads(*((d, D(3)) for d in days))
    assert lab.daily("leads", "cost") == [
        ("2025-01-14", "Shop", "INS", 1, D(20)),
        ("2025-01-15", "Shop", "INS", 1, D(25)),
        ("2025-01-19", "Shop", "INS", 1, D(25)),
        ("2025-01-20", "Shop", "COD", 1, D(25)),
        ("2025-01-24", "Shop", "COD", 1, D(25)),
        ("2025-01-25", "Shop", "INS", 1, D(3)),
    ]


def test_month_is_spread_over_its_days_with_the_odd_cents_first(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('segment = "COD"', 'leads = "jobs"', SPREAD)
    lab.ads((dt.date(2024, 2, 1), D("100.00")))  # a leap month: 29 * 344 = 9976, 24 cents over
    lab.add("calls", [{"call_id": "1", "started_at": noon("2024-03-01")}])
    found = costs(lab)
    assert found == {f"02-{d:02} COD": D("3.45") if d <= 24 else D("3.44") for d in range(1, 30)}
    assert lab.monthly("cost") == [("2024-02-01", "Shop", "COD", D(100))]


def test_last_month_is_spread_up_to_the_datas_last_day(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = "jobs"', SPREAD)
    lab.ads((dt.date(2025, 1, 1), D("0.10")), (dt.date(2025, 2, 1), D("0.28")), (dt.date(2024, 12, 1), D("0.02")))
    lab.jobs(("1", "COD Service", None, noon("2025-01-03")))
    lab.payments(("x", noon("2025-01-04", 23), D(1)))
    found = costs(lab)
    assert {k: v for k, v in found.items() if k.startswith("01")} == {
        "01-01 OTHER": D("0.03"),
        "01-02 OTHER": D("0.03"),
        "01-03 OTHER": D("0.02"),
        "01-04 OTHER": D("0.02"),
    }
    assert [v for k, v in found.items() if k.startswith("02")] == [D("0.01")] * 28  # a later month has all its days
    assert [k for k in found if k.startswith("12")] == ["12-01 OTHER", "12-02 OTHER"]


def test_rows_that_do_not_count_and_targets_do_not_move_the_last_day(lab: Lab, noon: Noon) -> None:
    targets = """
[feeds.targets]
files = ["target*"]
key = ["month", "source", "segment"]
date = "month"
[feeds.targets.columns]
month = { type = "month", from = ["Month"], required = true }
source = { type = "text", from = ["Source"], default = "ALL" }
segment = { type = "text", from = ["Segment"], default = "ALL" }
"""
    lab.feeds += targets
    lab.sources = shop('leads = "jobs"', SPREAD)
    lab.ads((dt.date(2025, 1, 1), D("0.31")), (dt.date(2025, 3, 1), D("0.31")))
    lab.add("targets", [{"month": dt.date(2025, 4, 1), "source": "ALL", "segment": "ALL"}])
    lab.jobs(("1", "COD Service", None, noon("2025-01-01")))
    row = {"payment_id": "p", "paid_at": noon("2025-01-20"), "amount": D(1), "status": "failed"}
    lab.add("payments", [row])
    found = costs(lab)
    assert found["01-01 OTHER"] == D("0.31")
    assert len(found) == 32


def test_without_any_data_the_whole_month_is_used(lab: Lab) -> None:
    lab.sources = shop('leads = "jobs"', SPREAD)
    lab.ads((dt.date(2025, 1, 1), D("0.31")))
    assert len(costs(lab)) == 31


def test_a_days_amount_is_split_by_leads_with_ties_in_the_order_declared(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('segment = "INS"', 'leads = "jobs"', SPREAD)
    day = noon("2025-01-01")
    kinds = ("Estimate", "COD Service", "INS Service", "Estimate")
    lab.jobs(*((f"a{i}", t, "Shop", day) for i, t in enumerate(kinds)))  # weights COD 1, INS 1, OTHER 2
    lab.jobs(*((f"b{i}", t, "Shop", noon("2025-01-02")) for i, t in enumerate(kinds[:3])))
    lab.add("calls", [{"call_id": "1", "started_at": noon("2025-01-03")}])
    lab.ads((dt.date(2025, 1, 1), D("0.31")))  # 11, 10, 10 cents
    assert costs(lab) == {
        "01-01 COD": D("0.03"),  # 2.75, 2.75, 5.50: whole cents 2, 2, 5, and both thirds of 0.75 win over 0.50
        "01-01 INS": D("0.03"),
        "01-01 OTHER": D("0.05"),
        "01-02 COD": D("0.04"),  # 3.33 each: the odd cent goes to the first declared
        "01-02 INS": D("0.03"),
        "01-02 OTHER": D("0.03"),
        "01-03 INS": D("0.10"),  # no leads: the source's segment
    }


def test_negative_amount_is_split_as_its_absolute_value(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = "jobs"', SPREAD)
    lab.jobs(*((t, t, "Shop", noon("2025-01-02")) for t in ("COD Service", "INS Service")))
    lab.ads((dt.date(2025, 1, 1), D("-0.05")))
    assert costs(lab) == {"01-01 OTHER": D("-0.03"), "01-02 COD": D("-0.01"), "01-02 INS": D("-0.01")}


def test_rows_of_a_month_are_added_before_the_split(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = "jobs"', SPREAD)
    lab.jobs(("1", "COD Service", None, noon("2025-01-02")))
    month = dt.date(2025, 1, 1)
    lab.ads((month, D("0.01")), (month, D("0.01")))
    assert costs(lab) == {"01-01 OTHER": D("0.01"), "01-02 OTHER": D("0.01")}


def test_version_of_a_spread_amount_is_that_of_the_rows_own_day(lab: Lab, noon: Noon) -> None:
    lab.sources = shop(
        'segment = "COD"',
        'leads = "jobs"',
        SPREAD,
        "[[sources.Shop.changes]]",
        "from = 2025-01-02",
        'cost = { feed = "ads", sum = "spend", where = "spend > 5", spread = "days" }',
        'segment = "INS"',
    )
    lab.ads((dt.date(2025, 1, 1), D("0.02")), (dt.date(2025, 2, 1), D("0.02")), (dt.date(2025, 2, 1), D(6)))
    lab.jobs(("1", "COD Service", None, noon("2025-02-02")))
    found = costs(lab)
    assert found == {"01-01 COD": D("0.01"), "01-02 COD": D("0.01"), "02-01 INS": D(3), "02-02 INS": D(3)}


def test_spend_without_a_month_costs_nothing(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = "jobs"', SPREAD)
    lab.jobs(("1", "COD Service", None, noon("2025-02-02")))
    lab.add("ads", [{"month": None, "campaign": "x", "spend": D(5)}, {"month": dt.date(2025, 2, 1), "campaign": "x"}])
    assert costs(lab) == {}


def test_monthly_fee_is_due_from_the_first_job_or_lead_to_the_last_day(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('segment = "COD"', 'leads = "units"', "cost = { monthly = 300.00 }")
    lab.jobs(
        ("1", "Estimate", "Shop", noon("2025-01-31")),  # a job, though not a lead
        ("2", "INS Service", "Shop", noon("2025-02-10")),
        ("3", "COD Service", "Yelp", noon("2025-03-03")),
        ("4", "COD Service", "Yelp", noon("2024-11-03")),
    )
    found = lab.monthly("cost")
    assert found == [
        ("2025-01-01", "Shop", "COD", D(300)),
        ("2025-02-01", "Shop", "COD", D("289.28")),
        ("2025-02-01", "Shop", "INS", D("10.72")),
        ("2025-03-01", "Shop", "COD", D(300)),
    ]
    assert {k: v for k, v in costs(lab).items() if k.startswith("03")} == {f"03-0{d} COD": D(100) for d in (1, 2, 3)}


def test_source_without_jobs_or_leads_owes_no_fee(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = "jobs"', "cost = { monthly = 300.00 }")
    lab.jobs(("1", "COD Service", None, noon("2025-01-31")), ("2", "COD Service", "Shop", None))
    assert costs(lab) == {}


def test_changed_fee_counts_only_the_days_it_is_in_force(lab: Lab, noon: Noon) -> None:
    lab.sources = shop(
        'leads = "jobs"',
        "cost = { monthly = 0.04 }",
        "[[sources.Shop.changes]]",
        "from = 2025-01-02",
        "cost = [{ monthly = 4.01 }, { per_lead = 1.00 }]",
        "[[sources.Shop.changes]]",
        "from = 2025-01-04",
        "cost = []",
    )
    lab.jobs(
        ("1", "x", "Shop", noon("2025-01-01")),
        ("2", "x", "Shop", noon("2025-01-04")),
        ("3", "x", "Shop", noon("2025-01-03")),
    )
    assert costs(lab) == {"01-01 OTHER": D("0.01"), "01-02 OTHER": D(1), "01-03 OTHER": D(2)}


def test_large_amounts_stay_exact(lab: Lab, noon: Noon) -> None:
    lab.sources = shop('leads = "jobs"', SPREAD)
    amount = D("99999999999.99")
    kinds = ("COD Service", "COD Service", "INS Service", "x")
    lab.jobs(*((f"{d}-{i}", t, "Shop", noon(f"2025-01-0{d}")) for d in (1, 2, 3) for i, t in enumerate(kinds)))
    lab.ads((dt.date(2025, 1, 1), amount))
    assert sum(costs(lab).values()) == amount
