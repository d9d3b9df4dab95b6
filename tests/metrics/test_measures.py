"""Own measures worked out by hand: what a row adds, and how it is split among members."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rmetrics.errors import RulesError
from rmetrics.metrics.dimensions import dimension_monthly, measure_daily
from rmetrics.metrics.measures import journey_sums, measure_sums
from rmetrics.metrics.tallies import added
from rmetrics.money import largest_remainder
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.measures import declared
from support import ROOT

NOV = dt.date(2024, 11, 1)


def rules_with(folder: Path, toml: str) -> Rules:
    """The shipped rules and some of one's own."""
    for path in (ROOT / "rules").glob("*.toml"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "own.toml").write_text(toml)
    return load_rules(folder)


def job(number: int, technician: str | None, day: int, **more: object) -> dict[str, object]:
    made = {
        "job_id": str(number), "technician": technician, "metric_date": dt.date(2024, 11, day), "type": "COD Repair",
        "source": "Google", "segment": "COD", "paid": Decimal("0.00"), "is_unit": False, "is_repair": True,
        "total": Decimal("0.00"), "zip": None,
    }  # fmt: skip
    return made | more


def frame(rows: list[dict[str, object]]) -> pl.LazyFrame:
    kinds = {"paid": pl.Decimal(18, 2), "total": pl.Decimal(18, 2), "technician": pl.String(), "zip": pl.String()}
    return pl.DataFrame(rows, schema_overrides=kinds).lazy()


def payment(job_id: str | None, amount: str, day: int = 20) -> dict[str, object]:
    return {"job_id": job_id, "amount": Decimal(amount), "paid_date": dt.date(2024, 11, day), "counted": True}


def payments(*rows: dict[str, object]) -> pl.LazyFrame:
    kinds = {"amount": pl.Decimal(18, 2), "job_id": pl.String()}
    return pl.DataFrame(list(rows), schema_overrides=kinds).lazy()


def members(rules: Rules, jobs: pl.LazyFrame, paid: pl.LazyFrame, *, gross: str) -> dict[tuple[str, str], Any]:
    """Value by member and measure, where the month's revenue is ``gross``."""
    sums = measure_sums(jobs, {"payments": paid}, jobs, rules)
    own, of = added("measures", [sums.daily]), added("members", [sums.members])
    zero = {"leads": 0, "units": 0, "cost": Decimal(0)}
    count = jobs.collect().height
    month = {"month": NOV, "jobs": count, "repairs": count, **zero, "revenue_gross": Decimal(gross)}
    monthly = pl.DataFrame([month | {"revenue40": Decimal(gross) * Decimal("0.4")}]).lazy()
    made = dimension_monthly(of, monthly, own, rules).collect()
    return {(m, n): v for m, n, v in made.select("member", "measure", "value").iter_rows()}


TECHNICIAN = '[dimensions.technician]\nof = "jobs"\ncolumn = "technician"\nsplit = ","\n'


def test_an_amount_goes_to_all_that_are_named_to_the_cent_and_a_count_to_the_first(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, TECHNICIAN)
    jobs = frame([job(1, "Ann, Bo ,,Cy, Ann", 5), job(2, "Bo", 6), job(3, "  ", 7)])
    found = members(
        rules, jobs, payments(payment("1", "100.00"), payment("3", "7.01"), payment(None, "5.00")), gross="112.01"
    )
    assert [found[n, "revenue_gross"] for n in ("Ann", "Bo", "Cy", "(none)")] == [
        Decimal("33.34"), Decimal("33.33"), Decimal("33.33"), Decimal("12.01")
    ]  # fmt: skip
    assert found["Ann", "revenue40"] == Decimal("13.336")
    assert (found["Ann", "repairs"], found["Bo", "repairs"], found["(none)", "repairs"]) == (1, 1, 1)
    assert ("Cy", "repairs") not in found


def test_a_refund_is_split_as_its_absolute_value(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, TECHNICIAN)
    found = members(rules, frame([job(1, "Ann,Bo", 5)]), payments(payment("1", "-0.05")), gross="-0.05")
    parts = [int(found[n, "revenue_gross"] * 100) for n in ("Ann", "Bo")]
    assert parts == largest_remainder(-5, [1, 1]) == [-3, -2]


def test_counts_for_each_are_labelled_and_amounts_still_add_up(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, TECHNICIAN + 'count_for = "each"\n')
    jobs = frame([job(1, "Ann,Bo", 5)])
    sums = measure_sums(jobs, {"payments": payments(payment("1", "10.00"))}, jobs, rules)
    monthly = pl.DataFrame([{"month": NOV, "jobs": 1, "leads": 0, "units": 0, "repairs": 1, "revenue_gross": Decimal(10), "revenue40": Decimal(4), "cost": Decimal(0)}]).lazy()  # fmt: skip
    made = dimension_monthly(
        added("members", [sums.members]), monthly, added("measures", [sums.daily]), rules
    ).collect()
    rows = {(m, n): (v, a) for m, n, v, a in made.select("member", "measure", "value", "additive").iter_rows()}
    assert rows["Ann", "repairs"] == rows["Bo", "repairs"] == (1, False)
    assert rows["Ann", "revenue_gross"] == rows["Bo", "revenue_gross"] == (5, True)


def test_members_beyond_the_limit_are_the_others(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, TECHNICIAN + "most = 1\n")
    jobs = frame([job(1, "Bo", 5), job(2, "Bo", 5), job(3, "Ann", 5), job(4, None, 5)])
    found = members(rules, jobs, payments(payment("3", "9.00")), gross="9.00")
    assert {m for m, _ in found} == {"Bo", "(other)", "(none)"}
    assert (found["Bo", "jobs"], found["(other)", "jobs"], found["(none)", "jobs"]) == (2, 1, 1)
    assert found["(other)", "revenue_gross"] == 9


def test_a_change_counts_from_its_day_on_and_a_blank_adds_nothing(tmp_path: Path) -> None:
    toml = """
[measures.open]
of = "jobs"
sum = "total - paid"
where = "total > paid"
[measures.marked]
of = "jobs"
count = "type = 'Warranty'"
[[measures.marked.changes]]
from = 2024-11-10
count = "zip = '02118'"
[measures.every]
of = "jobs"
count = true
"""
    rules = rules_with(tmp_path, toml)
    jobs = frame(
        [
            job(1, None, 9, type="Warranty", total=Decimal("10.00"), paid=Decimal("4.00")),
            job(2, None, 10, type="Warranty", total=None),
            job(3, None, 10, zip="02118", total=Decimal("3.00"), paid=Decimal("4.00")),
        ]
    )
    sums = measure_sums(jobs, {}, jobs, rules)
    daily = measure_daily(added("measures", [sums.daily]), rules).collect()
    found = {(d.day, n): v for d, n, v in daily.select("date", "measure", "value").iter_rows()}
    assert found == {(9, "open"): 6, (9, "marked"): 1, (10, "marked"): 1, (9, "every"): 1, (10, "every"): 2}


def test_touches_count_on_their_day_with_the_segment_of_their_source(tmp_path: Path) -> None:
    toml = """
[measures.lost]
of = "journeys"
sum = "cost"
where = "NOT booked"
[measures.booked]
of = "journeys"
count = "booked AND segment = 'COD'"
"""
    rules = rules_with(tmp_path, toml)
    day = dt.date(2024, 11, 5)
    touches = pl.DataFrame(
        [
            (day, "eLocals", True, Decimal("25.50")),
            (day, "eLocals", False, Decimal("30.00")),
            (day, "Radio", True, Decimal(0)),
            (day, "eLocals", False, None),
        ],
        schema={"touch_date": pl.Date, "source": pl.String, "booked": pl.Boolean, "cost": pl.Decimal(18, 2)},
        orient="row",
    ).lazy()
    found = journey_sums(touches, rules).collect()
    assert sorted(found.iter_rows()) == [(day, "eLocals", "COD", "booked", 1), (day, "eLocals", "COD", "lost", 3000)]
    assert journey_sums(touches, rules_with(tmp_path, "")).collect().is_empty()


@pytest.mark.parametrize(
    ("toml", "line", "told"),
    [
        ('[measures.x]\nof = "journeys"\ncount = "phone IS NULL"', 3, "'phone'"),
        ('[measures.x]\nof = "journeys"\nsum = "answered"', 3, "must add up money or whole numbers"),
        ('[dimensions.x]\nof = "journeys"\ncolumn = "feed"', 2, "touches have a source but no members"),
        ('[dimensions.x]\nof = "jobs"\ncolumn = "client_phone"', 3, "is a phone number: the members"),
        ('[dimensions.x]\nof = "payments"\ncolumn = "currency"', 3, "has publish = false"),
        ('[dimensions.x]\nof = "payments"\nsql = "upper(currency)"', 3, "has publish = false"),
        ('[dimensions.x]\nof = "jobs"\ncolumn = "total"', 3, "is money, which has no members"),
        ('[dimensions.x]\nof = "jobs"\ncolumn = "techician"', 3, "'techician'; did you mean 'technician'"),
        ('[dimensions.x]\nof = "jobs"\ncolumn = "zip"\ncount_for = "each"', 1, "count_for requires split"),
        ('[measures.x]\nratio = ["x", "jobs"]', 2, "reads its own result"),
        ('[measures.x]\nratio = ["y", "jobs"]\n[measures.y]\nratio = ["repairs", "jobs"]', 2, "a ratio of ratios means"),
        ('[measures.x]\nratio = ["units", "jobs"]\n[[measures.x.changes]]\nfrom = 2026-01-01\nratio = ["units", "leads"]', 3, "cannot change from a day on"),
        ('[measures.x]\nof = "measure_daily"\nsum = "value"', 2, "contains results"),
        ('[measures.x]\nof = "jobs"\ncount = "x > 1"', 3, "'x' is a measure: a measure reads rows"),
        ('[measures.x]\nof = "jobs"\nsum = "type"', 3, "must add up money or whole numbers"),
        ('[measures.x]\nof = "jobs"\nsum = "total"\nshare = "revenue"', 4, "applies to revenue40 only"),
        ('[measures.x]\nof = "jobz"\ncount = true', 2, "no such feed: 'jobz'"),
        ("[measures.x]\ncount = true", 1, "name the feed of the rows"),
        ('[measures.source]\nof = "jobs"\ncount = true', 1, "has another meaning"),
    ],
)  # fmt: skip
def test_what_cannot_be_proved_or_published_is_refused_with_its_line(
    toml: str, line: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(RulesError) as caught:
        rules_with(tmp_path, toml)
    found = [p for p in caught.value.problems if told in p.message]
    assert [(p.path.name, p.line) for p in found] == [("own.toml", line)], caught.value.problems


def test_a_text_made_of_a_private_column_is_private_too(tmp_path: Path) -> None:
    rules_with(tmp_path, "")
    feeds = tmp_path / "feeds.toml"
    phone = next(
        line for line in feeds.read_text().splitlines() if line.startswith("client_phone") and "publish" in line
    )
    more = 'area = { type = "text", sql = "lower(client_phone)" }\ncalled = { type = "boolean", sql = "client_phone IS NOT NULL" }'
    feeds.write_text(feeds.read_text().replace(phone, f"{phone}\n{more}", 1))
    with pytest.raises(RulesError) as caught:
        rules_again(
            tmp_path, '[dimensions.x]\nof = "jobs"\ncolumn = "area"\n[dimensions.y]\nof = "jobs"\ncolumn = "called"'
        )
    assert [(p.key, p.line) for p in caught.value.problems] == [("dimensions.x.column", 3)]
    assert "'client_phone' is a phone number" in caught.value.problems[0].message


def rules_again(folder: Path, toml: str) -> Rules:
    """The rules of a folder with others of one's own."""
    (folder / "own.toml").write_text(toml)
    return load_rules(folder)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('count = "is_unit"', 'count = "is_repair"', "measures.units"),
        ('count = "is_unit"', 'count = "is_unit"\nformat = "money"', "measures.units"),
        ('count = "is_unit"', 'count = "is_unit"\n[[measures.units.changes]]\nfrom = 2026-01-01', "measures.units"),
        ('share = "revenue"', "", "measures.revenue40"),
        ('[measures.units]\ntitle = "Units"\nof    = "jobs"\ncount = "is_unit"', "", "measures.jobs"),
    ],
)
def test_an_edit_of_the_shipped_seven_that_would_do_nothing_is_refused(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    rules_with(tmp_path, "")
    path = tmp_path / "measures.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path)
    assert key in {p.key for p in caught.value.problems}


def test_titles_of_the_shipped_seven_may_be_changed_and_old_projects_declare_none(tmp_path: Path) -> None:
    rules_with(tmp_path, "")
    path = tmp_path / "measures.toml"
    path.write_text(path.read_text().replace('title = "Units"', 'title = "Visits"'))
    assert declared(load_rules(tmp_path))["units"].title == "Visits"
    path.unlink()
    assert declared(load_rules(tmp_path))["units"].title == "Units"
