"""Job facts, worked out by hand."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rmetrics.metrics.jobs import job_facts, linked, may_be_placed, metric_date, paid_by_job
from rmetrics.metrics.tallies import activity
from rmetrics.rules import load_rules
from rmetrics.rules.expressions.polars_form import DTYPES
from rmetrics.rules.feeds import JobLink
from support import ROOT

RULES = load_rules(ROOT / "rules")
NOV5 = dt.datetime(2024, 11, 5, 15, tzinfo=dt.UTC)


def jobs(*rows: Mapping[str, object]) -> pl.LazyFrame:
    schema = {n: DTYPES[c.type] for n, c in RULES.feeds["jobs"].columns.items()} | {"counted": pl.Boolean()}
    return pl.LazyFrame([{"created_at": NOV5, "counted": True, **r} for r in rows], schema=schema)


def payments(*rows: tuple[str | None, str, bool]) -> pl.LazyFrame:
    schema: dict[str, Any] = {"job_id": pl.String, "amount": pl.Decimal(18, 2), "counted": pl.Boolean}
    return pl.LazyFrame([(j, Decimal(a), c) for j, a, c in rows], schema=schema, orient="row")


def facts(*rows: Mapping[str, object], paid: pl.LazyFrame | None = None) -> dict[str, dict[str, object]]:
    table = job_facts(jobs(*rows), paid if paid is not None else payments(), RULES)
    frame = table.sort(pl.col("job_id").str.len_chars(), "job_id").collect()
    return {r["job_id"]: r for r in frame.iter_rows(named=True)}


def test_a_service_call_is_a_repair_only_when_more_than_100_was_paid_in_all() -> None:
    rows = [{"job_id": str(i), "type": "COD Service"} for i in range(1, 6)]
    paid = payments(
        ("1", "100.00", True), ("2", "100.01", True), ("3", "60", True), ("3", "40.01", True),
        ("4", "150", True), ("4", "-50", True), ("5", "500", False),
    )  # fmt: skip
    found = facts(*rows, paid=paid)
    assert {k: (r["paid"], r["is_repair"]) for k, r in found.items()} == {
        "1": (Decimal("100.00"), False),  # strict
        "2": (Decimal("100.01"), True),
        "3": (Decimal("100.01"), True),  # only together
        "4": (Decimal("100.00"), False),  # the refund counts
        "5": (Decimal("0.00"), False),  # a failed payment does not
    }
    assert all(r["is_unit"] for r in found.values())


def test_types_make_units_repairs_and_segments() -> None:
    kinds = ["COD Service", "INS Service", "COD Repair", "INS Repair", "Warranty", None]
    found = facts(*({"job_id": str(i), "type": k} for i, k in enumerate(kinds)))
    assert [(r["segment"], r["is_unit"], r["is_repair"]) for r in found.values()] == [
        ("COD", True, False), ("INS", True, False), ("COD", False, True), ("INS", False, True),
        ("OTHER", False, False), ("OTHER", False, False),
    ]  # fmt: skip


def test_spellings_of_declared_blank_and_undeclared_sources() -> None:
    raw = [
        "eLocals",
        "ELOCAL",
        "e-locals",
        "Pro  Referral",
        "proreferral",
        None,
        "Puls",
        "PULS",
        "p uls",
        "ALL",
        "unattributed",
    ]
    found = facts(*({"job_id": str(i), "type": "Warranty", "source_raw": s} for i, s in enumerate(raw)))
    assert [r["source"] for r in found.values()] == [
        "eLocals", "eLocals", "eLocals", "Pro Referral", "Pro Referral", "Unattributed", "Puls", "Puls", "Puls", "All",
        "Unattributed",
    ]  # fmt: skip


def test_the_spelling_of_the_earliest_job_names_an_undeclared_source() -> None:
    late, early = NOV5, NOV5 - dt.timedelta(days=9)
    found = facts(
        {"job_id": "1", "source_raw": "service direct", "created_at": late},
        {"job_id": "20", "source_raw": "Service Direct", "created_at": early},
        {"job_id": "3", "source_raw": "SERVICE DIRECT", "created_at": early},
    )
    assert {r["source"] for r in found.values()} == {"SERVICE DIRECT"}  # job 3 comes before job 20


def test_a_job_counts_on_its_local_day_and_one_without_a_day_in_none() -> None:
    rows: list[Mapping[str, object]] = [
        {"job_id": "1", "type": "COD Repair", "created_at": dt.datetime(2024, 12, 1, 4, 59, tzinfo=dt.UTC)},
        {"job_id": "2", "type": "COD Repair", "created_at": None},
    ]
    table = job_facts(jobs(*rows), payments(), RULES)
    counted = activity(table, RULES).sort("date").collect().rows()
    assert counted == [
        (None, "Unattributed", "COD", 1, 0, 1),
        (dt.date(2024, 11, 30), "Unattributed", "COD", 1, 0, 1),
    ]


def test_a_payment_finds_its_job_by_number_then_by_uuid_and_never_twice() -> None:
    known = jobs(
        {"job_id": "1", "job_uuid": "AAA"}, {"job_id": "2", "job_uuid": "1"}, {"job_id": "3", "job_uuid": "AAA"}
    )
    refs = pl.LazyFrame({"job_ref": ["1", "AAA", "9", None]}, schema={"job_ref": pl.String})
    found = linked(refs, known, JobLink(column="job_ref", match=("job_id", "job_uuid"))).collect()
    assert sorted(found.rows(), key=str) == sorted([("1", "1"), ("AAA", "1"), ("9", None), (None, None)], key=str)


def test_paid_leaves_out_orphans_and_rows_that_do_not_count() -> None:
    assert paid_by_job(payments((None, "5", True), ("1", "7", False), ("1", "3", True))).collect().rows() == [
        ("1", Decimal("3.00"))
    ]


START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
STAMPS = st.none() | st.integers(0, 90 * 86_400).map(lambda seconds: START + dt.timedelta(seconds=seconds))
SPANS = st.lists(
    st.tuples(st.dates(dt.date(2024, 1, 15), dt.date(2024, 3, 15)), st.integers(0, 20)).map(
        lambda at: (at[0], at[0] + dt.timedelta(days=at[1]))
    ),
    max_size=3,
)


@given(rows=st.lists(st.tuples(STAMPS, STAMPS), max_size=12), spans=SPANS)
@settings(max_examples=80)
def test_no_row_that_is_placed_on_a_day_asked_for_is_passed_over(
    rows: list[tuple[dt.datetime | None, dt.datetime | None]], spans: list[tuple[dt.date, dt.date]]
) -> None:
    feed = RULES.feeds["jobs"]
    names = list(dict.fromkeys([RULES.jobs.latest.date, "created_at", RULES.feeds["payments"].date]))
    frame = pl.LazyFrame(
        {n: pl.Series([r[i % 2] for r in rows], dtype=pl.Datetime("us", "UTC")) for i, n in enumerate(names)}
    ).with_columns(pl.col(n).dt.date() for n in names if n in feed.mapped and feed.mapped[n].type == "date")

    def within(day: pl.Expr) -> pl.Expr:
        return pl.any_horizontal(pl.lit(value=False), *(day.is_between(*span) for span in spans))

    paid = pl.col(names[-1]).dt.convert_time_zone(RULES.business.timezone).dt.date()
    for name, day in (("jobs", metric_date(RULES)), ("payments", paid)):
        placed = frame.filter(day.is_null() | within(day)).collect()
        kept = frame.filter(may_be_placed(RULES, name, spans) & (day.is_null() | within(day))).collect()
        assert_frame_equal(placed, kept)
