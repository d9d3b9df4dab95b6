"""The truth of the simulator, against figures worked out by hand: what judges others must itself be right."""

import datetime as dt
import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulator import truth
from simulator.exports import FORMS, JOBS, PAYMENTS, Layout, written
from simulator.rulebook import Cost, Leads, Source, Terms, shipped
from simulator.truth import COLUMNS, Delivery, Landed
from simulator.world import World
from support import new_project

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


def test_spend_without_any_job_or_lead_is_spread_over_the_whole_month() -> None:
    spend = landed("google_spend", {"month": NOV, "day": None, "campaign": "(all)", "spend": 3_002})
    found = {k: f["cost"] for k, f in truth.daily([spend], shipped()).items()}
    assert found == {(day(n), "Google", "COD"): Decimal("1.01" if n < 3 else "1.00") for n in range(1, 31)}


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


def test_known_content_that_is_delivered_again_is_newer_unless_several_come_at_once(tmp_path: Path) -> None:
    world = World(1, new_project(tmp_path / "project", ""), lambda _project, _at: 0)

    def put(name: str, content: bytes, second: int) -> None:
        world.put(name, content, Delivery("jobs", ("job_id",), ()), second)

    def ages() -> dict[str, tuple[int, str]]:
        world.landed = world.arrive()
        world.seen = world.look()
        found = {hashlib.sha256(content).hexdigest(): content.decode() for content in (b"A", b"B")}
        return {found[sha]: (x.age[0] // 10**9, x.age[1]) for sha, x in world.landed.items()}

    put("a.csv", b"A", 10)
    put("b.csv", b"B", 20)
    assert ages() == {"A": (10, "a.csv"), "B": (20, "b.csv")}
    put("copy of a.csv", b"A", 30)  # under another name
    assert ages() == {"A": (30, "a.csv"), "B": (20, "b.csv")}
    put("a.csv", b"A", 35)  # under another time
    assert ages() == {"A": (35, "a.csv"), "B": (20, "b.csv")}
    put("a.csv", b"A", 40)  # both restored with other times
    put("b.csv", b"B", 41)
    assert ages() == {"A": (35, "a.csv"), "B": (20, "b.csv")}
    put("b.csv", b"A", 50)  # in place of other content
    assert ages() == {"A": (50, "a.csv"), "B": (20, "b.csv")}
    put("b.csv", b"B", 45)  # older than what is known of it, or newer
    assert ages() == {"A": (50, "a.csv"), "B": (45, "b.csv")}
    put("b.csv", b"A", 41)
    assert ages() == {"A": (50, "a.csv"), "B": (45, "b.csv")}


def test_forms_write_what_spreadsheets_and_programs_write() -> None:
    row = {"job_id": "1001", "job_uuid": "01001E", "type": "COD Service", "created_at": day(4), "total": 123_450}
    layout = replace(JOBS, below="#")
    forms = {f.name: f for f in FORMS}

    def lines(name: str, layout: Layout, row: dict[str, Any]) -> list[str]:
        return written(layout, forms[name], [row]).decode().splitlines()[1:]

    assert lines("ids as bare formulas", layout, row) == [
        '="1001",="01001E",COD Service,,,Mon Nov 04 2024,,1234.5,,"x, y"', "1,,,,,,,1234.5,,"
    ]  # fmt: skip
    assert lines("ids as formulas", JOBS, row)[0].startswith('"=""1001""","=""01001E""",COD Service,,,11/4/2024,')
    assert lines("ids as numbers", JOBS, row)[0].startswith("1001.0,01001E,")
    refund = {"paid_at": dt.datetime(2024, 11, 4, 14, 5, tzinfo=dt.UTC), "payment_id": "P1", "job_ref": "1001"}
    written_as = [lines("odd refunds", PAYMENTS, {**refund, "amount": -n * 100})[0].split(",")[3] for n in range(1, 9)]
    assert written_as == ["'-1.00", "$(2.00)", "\u22123.00", "4.00-", "-$5.00", "(6.00)", "$-7.00", "-8.00"]
    assert lines("ids behind tabs", PAYMENTS, {**refund, "amount": 1})[0].endswith(",\t1001,,,\tP1")
    assert lines("short dates", PAYMENTS, {**refund, "amount": 1})[0].startswith("11/4/2024 9:05,0.01,")
