"""Classes of calls after any split of the exports are those that computing everything gives; both engines agree."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import test_growth
from properties.test_growth import KINDS, Step, World, check, common, run

PHONED_JOBS = ("Job #", "UUID", "Job Type", "Source", "Created", "Primary Phone")
CALLS = ("Call ID", "Time", "Flow", "From number", "To number", "Answered", "Job")
LINE = "(617) 555-0199"
always_grow = test_growth._always_grow  # noqa: SLF001 - an autouse fixture, here too

numbers = st.one_of(
    st.integers(0, 7).map(lambda n: f"(617) 555-010{n}"),
    st.sampled_from(["", "0000000000", "617-555-0101 / 617-555-0102", "6175550101 x4"]),
)
moments = st.builds(
    lambda day, minute: f"{day:%m/%d/%Y} {minute // 60 % 12 or 12}:{minute % 60:02} {'PM' if minute >= 720 else 'AM'}",
    st.dates(dt.date(2024, 10, 20), dt.date(2024, 11, 20)),
    st.integers(0, 1439),
)
job_rows = st.lists(
    st.tuples(
        st.integers(1, 20), st.integers(0, 9).map(lambda n: f"U{n}"), st.just("COD Service"), st.just("Google"),
        st.dates(dt.date(2024, 9, 25), dt.date(2024, 11, 25)).map(lambda d: f"{d:%a %b %d %Y}"), numbers,
    ),
    min_size=1, max_size=8, unique_by=lambda r: r[0],
)  # fmt: skip


@st.composite
def call_rows(draw: st.DrawFn) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for key in draw(st.lists(st.integers(1, 40), min_size=1, max_size=12, unique=True)):
        number, inbound = draw(numbers), draw(st.booleans())
        ends = (number, LINE) if inbound else (LINE, number)
        who = draw(st.sampled_from(["", "", "Nadia"])) if inbound else ""
        job = draw(st.sampled_from(["", "", "", "U1", "U2", "U30"]))
        rows.append((f"C{key}", draw(moments), "GoogleAds" if inbound else "", *ends, who, job))
    return rows


steps = st.one_of(
    st.tuples(st.just("phoned jobs"), job_rows, st.integers(0, 1)),
    st.tuples(st.just("calls"), call_rows(), st.integers(0, 1)),
    st.tuples(st.just("calls"), call_rows(), st.integers(0, 1)),
)


@pytest.fixture(autouse=True)
def _kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "phoned jobs", ("Import phones", PHONED_JOBS))
    monkeypatch.setitem(KINDS, "calls", ("export_export", CALLS))


@settings(common, max_examples=2)  # the first one is always the simplest
@given(st.lists(steps, min_size=2, max_size=5))
@pytest.mark.deep
def test_any_split_of_calls_and_jobs(taken: list[Step]) -> None:
    run(taken, each=False)


@pytest.mark.slow
@settings(common, max_examples=150)
@given(st.lists(steps, min_size=3, max_size=8))
def test_many_splits_of_calls_and_jobs(taken: list[Step]) -> None:
    run(taken, each=True)


@pytest.mark.deep
def test_a_missed_call_is_lost_until_a_later_export_shows_that_it_was_returned_or_booked(tmp_path: Path) -> None:
    world = World(tmp_path)
    mine, other = "(617) 555-0101", "(617) 555-0102"
    world.step("phoned jobs", [(9, "U9", "COD Service", "Google", "Tue Oct 01 2024", "(617) 555-0109")], 0)
    missed = [
        ("A", "11/04/2024 9:00 AM", "GoogleAds", mine, LINE, "", ""),
        ("B", "11/04/2024 9:05 AM", "GoogleAds", other, LINE, "", ""),
    ]
    computed = world.step("calls", missed, 0)
    assert set(computed.rows.scan("calls").collect()["class"]) == {"missed and lost"}
    computed = world.step("calls", [("C", "11/04/2024 10:00 AM", "", LINE, mine, "", "")], 0)
    check(world, computed)
    assert computed.increment is not None
    found = dict(computed.rows.scan("calls").select("call_id", "class").collect().iter_rows())
    assert found == {"A": "missed and called back", "B": "missed and lost", "C": None}
    computed = world.step("phoned jobs", [(10, "U10", "COD Service", "Google", "Wed Nov 06 2024", other)], 0)
    check(world, computed)
    assert computed.increment is not None
    found = dict(computed.rows.scan("calls").select("call_id", "class").collect().iter_rows())
    assert found == {"A": "missed and called back", "B": "missed but booked anyway", "C": None}
