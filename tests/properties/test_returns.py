"""Returning customers: both engines, buckets and an increment against plain loops, on data full of collisions."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import few_are_tried
from journeys_oracle import Book
from properties import test_growth as growth
from properties import test_journeys as journeys
from returns_oracle import Row, days_between
from rmetrics.metrics.phones import KEY
from rmetrics.metrics.returns import nearest, settled
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.names import FACTS, RETURNS
from rmetrics.pipeline.compute.stages import bucket, with_facts
from rmetrics.positions import POSITION
from rmetrics.rules.names import JOBS

OWN = """
[returns.since_repair]
same = ["client_phone", "zip"]
where = "is_repair"
[returns.until_any]
same = ["client_phone"]
look = "ahead"
[returns.since_paid]
same = ["zip", "client_phone", "type"]
where = "paid > 60 AND source <> 'Rely'"
[measures.callbacks]
of = "jobs"
count = "since_repair <= 3"
[measures.waited]
of = "jobs"
sum = "until_any"
where = "is_repair AND until_any < 9"
[measures.paid_soon]
of = "jobs"
sum = "paid"
where = "since_paid BETWEEN 1 AND 4"
[dimensions.how_soon]
of = "jobs"
sql = "CASE WHEN until_any < 3 THEN 'soon' WHEN until_any IS NOT NULL THEN 'later' END"
[dimensions.days]
of = "jobs"
column = "since_repair"
"""
SOUGHT: dict[str, tuple[tuple[str, ...], Callable[[Row], bool], bool]] = {
    "since_repair": (("zip",), lambda j: j["is_repair"], True),
    "until_any": ((), lambda _: True, False),
    "since_paid": (("zip", "type"), lambda j: j["paid"] > 60 and j["source"] != "Rely", True),
}
BOOKS = [n for n in journeys.BOOKS if n in {"shipped", "shared", "own lines"}]


class World(journeys.World):
    """A lake whose rules count days between the jobs of customers."""

    def __init__(self, folder: Path, book: str) -> None:
        super().__init__(folder, book)
        (self.rules / "own.toml").write_text(OWN)


def agrees(computed: Computed, book: Book) -> int:
    """Compares what was computed with the oracle; returns how many callbacks there are."""
    rows = computed.rows
    jobs = rows.scan(FACTS).collect()
    expected = {
        name: days_between(jobs.to_dicts(), book, alike=alike, sought=sought, back=back)
        for name, (alike, sought, back) in SOUGHT.items()
    }
    for name, days in expected.items():
        assert dict(jobs.select("job_id", name).drop_nulls(name).iter_rows()) == days, name
    held = rows.scan(RETURNS).sort(POSITION).collect()
    assert held[POSITION].is_unique().all()
    facts = with_facts(rows.feed(JOBS), rows.snapshot.scan(FACTS)).collect().lazy()
    for buckets in (3,) if few_are_tried() else (1, 2, 7):
        cuts = [nearest(facts, rows.rules, bucket(pl.col(KEY), n, buckets)) for n in range(buckets)]
        assert settled(cuts, rows.rules).sort(POSITION).collect().equals(held), buckets
    dated = [j for j in jobs.to_dicts() if j["metric_date"] is not None]
    since, until, paid = (expected[n] for n in SOUGHT)
    figures = {
        "callbacks": sum(since.get(j["job_id"], 9) <= 3 for j in dated),
        "waited": sum(until[j["job_id"]] for j in dated if j["is_repair"] and until.get(j["job_id"], 9) < 9),
        "paid_soon": sum((j["paid"] for j in dated if paid.get(j["job_id"], 9) <= 4), Decimal(0)),
    }
    daily = rows.scan("measure_daily").group_by("measure").agg(pl.col("value").sum()).collect()
    assert dict(daily.iter_rows()) == {n: v for n, v in figures.items() if v}
    return int(figures["callbacks"])


@pytest.fixture(autouse=True)
def _always_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    journeys.always_grow(monkeypatch)


steps = st.one_of(
    st.tuples(st.just("jobs"), journeys.job_rows, st.integers(0, 1)),
    st.tuples(st.just("payments"), growth.payment_rows, st.integers(0, 1)),
    st.tuples(st.just("late"), st.tuples(st.just("jobs"), journeys.job_rows), st.just(0)),
)


@settings(growth.common, max_examples=1)
@given(st.sampled_from(BOOKS), st.lists(steps, min_size=3, max_size=5))
@pytest.mark.deep
def test_any_exports_one_after_another(book: str, taken: list[growth.Step]) -> None:
    journeys.run(book, taken, each=False, of=World, agrees=agrees)


@pytest.mark.slow
@settings(growth.common, max_examples=300)
@given(st.sampled_from(BOOKS), st.lists(steps, min_size=3, max_size=9))
def test_many_exports_one_after_another(book: str, taken: list[growth.Step]) -> None:
    journeys.run(book, taken, each=True, of=World, agrees=agrees)


def job(number: int, kind: str, day: str, phone: str = "6175550101", created: str = "") -> tuple[object, ...]:
    return (str(number), f"U{number}", kind, "Google", growth.day(created or day), "", phone, "02118")


def callbacks(computed: Computed) -> dict[str, int]:
    """Callbacks by month."""
    daily = computed.rows.scan("measure_daily").filter(pl.col("measure") == "callbacks")
    by_month = daily.group_by(pl.col("date").dt.strftime("%Y-%m")).agg(pl.col("value").sum().cast(pl.Int64))
    return dict(by_month.collect().iter_rows())


@pytest.mark.deep
def test_a_new_an_altered_and_a_moved_job_recount_the_later_jobs_of_the_customer(tmp_path: Path) -> None:
    world = World(tmp_path, "shipped")
    found = [callbacks(world.step("jobs", [job(2, "Warranty", "2024-11-02")], 0))]
    steps: list[growth.Step] = [
        ("jobs", [job(1, "COD Repair", "2024-10-31")], 0),  # in another month than the job that comes back
        ("jobs", [job(1, "COD Service", "2024-10-31")], 0),  # no repair any more
        ("payments", [(1, "1", "100.01", "10/31/2024", "")], 0),  # paid for: a repair again
        ("jobs", [job(1, "COD Repair", "2024-10-29")], 0),  # four days before it
        ("jobs", [job(3, "INS Repair", "2024-11-01", "6175550109 / 6175550101")], 0),  # a nearer one, of two numbers
        ("jobs", [job(3, "INS Repair", "2024-11-02", "6175550101")], 0),  # of the same day
    ]
    for step in steps:
        computed = world.step(*step)
        assert computed.increment is not None
        found.append(callbacks(computed))
        assert found[-1].keys() <= {"2024-11"}
    agrees(computed, Book())
    growth.check(world, computed)
    assert [sum(months.values()) for months in found] == [0, 1, 0, 1, 0, 2, 0]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.ordinary(0, deep=1)
def test_order_and_split_of_exports_decide_nothing(order: int, tmp_path: Path) -> None:
    phones = journeys.PHONES
    rows = [job(n, kind_of(n), f"2024-11-{1 + n % 9:02}", phones[n % 6]) for n in range(1, 25)]
    found = []
    for cut in (24, 5):
        folder = tmp_path / str(cut)
        folder.mkdir()
        world = World(folder, "shipped")
        for start in range(0, 24, cut):
            some = rows[start : start + cut]
            computed = world.step("jobs", some[::-1] if order else some, 0)
        assert agrees(computed, Book()) > 0
        days = computed.rows.scan(FACTS).select("job_id", *SOUGHT).sort("job_id").collect()
        found.append(days.rows())
    assert found[0] == found[1]


def kind_of(number: int) -> str:
    return ("COD Repair", "COD Service", "Warranty")[number % 3]
