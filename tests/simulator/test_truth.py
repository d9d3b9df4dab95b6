"""The truth of the simulator, against figures worked out by hand: what judges others must itself be right."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

from simulator import truth
from simulator.rulebook import Cost, Leads, Source, Terms, shipped
from simulator.truth import COLUMNS, Delivery, Landed

NOV = dt.date(2024, 11, 1)


def day(n: int) -> dt.date:
    return dt.date(2024, 11, n)


def landed(feed: str, *rows: dict[str, Any], age: int = 1) -> Landed:
    columns = tuple(rows[0])
    return Landed(Delivery(feed, columns, rows), (age, "a.csv"))


def job(number: str, kind: str, source: str | None, created: dt.date, **more: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(COLUMNS["jobs"]), "job_id": number, "type": kind, "source_raw": source, "created_at": created,
        **more,
    }  # fmt: skip


def paid(number: str, ref: str, cents: int, at: dt.datetime | dt.date, status: str | None = None) -> dict[str, Any]:
    return {"payment_id": number, "job_ref": ref, "paid_at": at, "amount": cents, "method": "cash", "status": status}


def test_a_visit_is_a_repair_above_100_dollars_and_failed_payments_do_not_count() -> None:
    jobs = landed("jobs", job("1", "COD Service", "Rely", day(4)), job("2", "COD Service", "rely", day(4)))
    payments = landed(
        "payments",
        paid("a", "1", 10_000, day(5)),
        paid("b", "2", 10_001, day(5)),
        paid("c", "1", 900, day(5), "FAILED"),
    )
    (figures,) = truth.daily([jobs, payments], shipped()).values()
    assert figures == {
        "jobs": 2, "leads": 2, "units": 2, "repairs": 1, "revenue_gross": Decimal("200.01"),
        "revenue40": Decimal("80.004"), "cost": 0,
    }  # fmt: skip


def test_an_orphan_payment_counts_on_its_own_local_day() -> None:
    late = dt.datetime(2024, 11, 6, 2, 30, tzinfo=dt.UTC)  # 9.30 pm of the 5th in New York
    found = truth.daily([landed("payments", paid("a", "9", 5_000, late))], shipped())
    assert set(found) == {(day(5), "Unattributed", "OTHER")}


def test_a_month_s_spend_is_spread_to_the_last_day_and_split_by_largest_remainder() -> None:
    kinds = ("COD Service", "INS Service", "Warranty")
    jobs = landed("jobs", *(job(str(i), kind, "Google", day(2)) for i, kind in enumerate(kinds)))
    spend = landed("google_spend", {"month": NOV, "day": None, "campaign": "(all)", "spend": 201})
    found = {k: f["cost"] for k, f in truth.daily([jobs, spend], shipped()).items()}
    # 201 cents over two days: 101 on the 1st, without leads; 100 on the 2nd, over three leads: 34, 33, 33.
    assert found == {
        (day(1), "Google", "COD"): Decimal("1.01"), (day(2), "Google", "COD"): Decimal("0.34"),
        (day(2), "Google", "INS"): Decimal("0.33"), (day(2), "Google", "OTHER"): Decimal("0.33"),
    }  # fmt: skip


def test_the_newest_export_wins_column_by_column_and_absence_deletes_nothing() -> None:
    old = landed("jobs", job("1", "Warranty", "Rely", day(4)), job("2", "Warranty", "NSA", day(4)), age=1)
    new = landed("jobs", {"job_id": "1", "type": "INS Repair", "created_at": day(4)}, age=2)
    for exports in ([old, new], [new, old]):
        found = truth.daily(exports, shipped())
        assert {k: f["repairs"] for k, f in found.items()} == {(day(4), "Rely", "INS"): 1, (day(4), "NSA", "OTHER"): 0}


def test_changes_hold_from_their_day_on() -> None:
    terms = Terms(Leads("jobs"), (Cost("per_lead", 2_000),), "COD")
    dearer = replace(terms, costs=(Cost("per_lead", 2_500), Cost("monthly", 300)))
    book = replace(
        shipped().with_source("Yelp", Source(("yelp.com",), ((None, terms), (day(3), dearer)))),
        shares=((None, Decimal("0.4")), (day(3), Decimal("0.5"))),
    )
    jobs = landed("jobs", job("1", "COD Repair", "YELP", day(2)), job("2", "COD Repair", "yelp.com", day(3)))
    payments = landed("payments", paid("a", "1", 1_000, day(3)), paid("b", "2", 1_000, day(3)))
    found = truth.daily([jobs, payments], book)
    # The fee of 3.00 is spread over three days; only the third is under the terms that have it.
    assert [found[day(n), "Yelp", "COD"]["cost"] for n in (2, 3)] == [Decimal(20), Decimal(26)]
    assert [found[day(n), "Yelp", "COD"]["revenue40"] for n in (2, 3)] == [Decimal(4), Decimal(5)]


def test_the_first_spelling_of_an_undeclared_source_names_it() -> None:
    jobs = landed("jobs", job("10", "", "PU LS", day(4)), job("9", "", " Puls ", day(4)), job("8", "", "puls", day(5)))
    assert {s for _, s, _ in truth.daily([jobs], shipped())} == {"Puls"}
