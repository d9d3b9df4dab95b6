"""Journeys: the stages, an increment and the second engine against plain loops, on data full of collisions."""

import datetime as dt
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from examples import few_are_tried
from journeys_oracle import Book, follow, made_by_rmetrics
from properties import test_growth as growth
from rmetrics import memory
from rmetrics.checks import parts
from rmetrics.metrics.journeys import SUMS, changed_tally
from rmetrics.pipeline.compute import increment
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.journeys import make_in_buckets
from rmetrics.pipeline.compute.local import classes_of
from rmetrics.pipeline.compute.names import CLASSES, FACTS, MATCHES
from rmetrics.pipeline.verify import month_inputs as scope
from rmetrics.pipeline.verify.cross_check import cross_check
from rmetrics.tables import JOURNEYS

JOBS = ("Job #", "UUID", "Job Type", "Source", "Created", "Job Date", "Primary Phone", "Zip Code")
ELOCALS = ("Unique ID", "Time", "Cost", "Status", "Caller ID", "Service Zip Code")
PROREF = ("Lead ID", "Lead Date", "Current Status", "Phone", "Zip Code")
CALLS = (
    "Call ID",
    "Start Time",
    "Duration (seconds)",
    "Call Status",
    "Phone Number",
    "Source",
    "Flow",
    "Job",
    "Direction",
)
KINDS = growth.KINDS | {
    "jobs": ("Import", JOBS),
    "elocals": ("leads cost Elocals", ELOCALS),
    "proref": ("Pro Referral leads", PROREF),
    "calls": ("export_export", CALLS),
}

PHONES = (
    "6175550101", "(617) 555-0101", "6175550102", "617-555-0102 / 6175550103", "8084355068 #940", "8084355068 ext 941",
    "0000000000", "", "Anonymous", "6175550104",
)  # fmt: skip
ZIPS = ("02118", "02118-1234", "01852", "")
days = st.dates(dt.date(2024, 10, 28), dt.date(2024, 11, 8))
moments = st.tuples(days, st.sampled_from(["09:00", "09:09", "09:11", "23:55"]))
phones, zips = st.sampled_from(PHONES), st.sampled_from(ZIPS)

job_rows = st.lists(
    st.tuples(
        st.integers(1, 14).map(str),
        st.integers(0, 8).map(lambda n: f"U{n}" if n else ""),
        st.sampled_from(["COD Service", "COD Repair", "INS Service"]),
        st.sampled_from(["Google", "eLocals", "Pro Referral", "", "Puls", "PULS"]),
        st.one_of(st.just(""), days.map(lambda d: f"{d:%a %b %d %Y}")),
        days.map(lambda d: f"{d:%a %b %d %Y}"),
        phones,
        zips,
    ),
    min_size=1, max_size=9, unique_by=lambda r: r[0],
)  # fmt: skip
elocals_rows = st.lists(
    st.tuples(
        st.integers(1, 9).map(str),
        moments.map(lambda m: f"{m[0]} {m[1]}:00 -0500"),
        st.sampled_from(["20.00", "0.00", "31.50"]),
        st.just(""),
        phones,
        zips,
    ),
    min_size=1, max_size=7, unique_by=lambda r: r[0],
)  # fmt: skip
proref_rows = st.lists(
    st.tuples(
        st.integers(1, 9).map(lambda n: f"PR{n}"),
        moments.map(lambda m: f"{m[0]:%m/%d/%Y} {m[1]}"),
        st.sampled_from(["Accepted", "Passed", "Won"]),
        phones,
        zips,
    ),
    min_size=1, max_size=6, unique_by=lambda r: r[0],
)  # fmt: skip
call_rows = st.lists(
    st.tuples(
        st.integers(1, 9).map(lambda n: f"C{n}"),
        moments.map(lambda m: f"{m[0]} {m[1]}:00 -0500"),
        st.just("60"),
        st.sampled_from(["Answered Call", "Missed Call"]),
        phones,
        st.sampled_from(["Google Ads", "Direct"]),
        st.sampled_from(["eLocals", "", ""]),
        st.integers(0, 8).map(lambda n: f"U{n}" if n else ""),
        st.sampled_from(["inbound", "inbound", "outbound"]),
    ),
    min_size=1, max_size=7, unique_by=lambda r: r[0],
)  # fmt: skip

MID = dt.date(2024, 11, 1)
NUMBER = "6175550101"
SHARED = f'shared_numbers = ["{NUMBER}"]\n'
OWN = f'own_numbers = ["{NUMBER}", "6175550102"]\n'
BOOKS: Mapping[str, tuple[str, Book]] = {
    "shipped": ("[journeys]\nwindow = 0\n", Book()),
    "windows": (
        "[journeys]\nwindow = 2\n[journeys.sources.Google]\nwindow = 5\n[[journeys.changes]]\nfrom = 2024-11-01\nwindow = 1\n",
        Book(window=((None, 2), (MID, 1)), own_windows={"Google": ((None, 5),)}),
    ),
    "last": (
        '[journeys]\nwindow = 7\ntouch = "last"\n[[journeys.changes]]\nfrom = 2024-11-01\ntouch = "first"\n',
        Book(window=((None, 7),), touch=((None, "last"), (MID, "first"))),
    ),
    "shared": (
        "[journeys]\nwindow = 4\nshared_when = 1\n[[journeys.changes]]\nfrom = 2024-11-01\nshared_when = 3\n" + SHARED,
        Book(
            window=((None, 4),),
            shared_when=((None, 1), (MID, 3)),
            shared_numbers=((None, frozenset()), (MID, frozenset({NUMBER}))),
        ),
    ),
    "own lines": (
        '[journeys]\nwindow = 30\nown_numbers = ["+1 (617) 555-0102"]\n[[journeys.changes]]\nfrom = 2024-11-01\n' + OWN,
        Book(
            window=((None, 30),),
            own_numbers=((None, frozenset({"6175550102"})), (MID, frozenset({NUMBER, "6175550102"}))),
        ),
    ),
}
steps = st.one_of(
    st.tuples(st.just("jobs"), job_rows, st.integers(0, 1)),
    st.tuples(st.just("elocals"), elocals_rows, st.integers(0, 1)),
    st.tuples(st.just("proref"), proref_rows, st.integers(0, 1)),
    st.tuples(st.just("calls"), call_rows, st.integers(0, 1)),
    st.tuples(st.just("payments"), growth.payment_rows, st.integers(0, 1)),
    st.tuples(st.just("late"), st.tuples(st.just("calls"), call_rows), st.just(0)),
)


Agrees = Callable[[Computed, Book], int]


class World(growth.World):
    """A lake whose rows hold numbers."""

    def __init__(self, folder: Path, book: str) -> None:
        super().__init__(folder)
        (self.rules / "journeys.toml").write_text(BOOKS[book][0])


def agrees(computed: Computed, book: Book) -> int:
    """Compares what was computed with the oracle; returns how many jobs have a touch."""
    rows = computed.rows
    feeds = {n: rows.feed(n).collect().to_dicts() for n in ("elocals_leads", "proref_leads", "calls", "payments")}
    jobs = rows.scan(FACTS).collect().to_dicts()
    matches, outcomes = follow(feeds, jobs, feeds["payments"], book)
    ours = rows.scan(MATCHES).select("job_id", "touch_id", "matched_by", "source_matched").collect().rows()
    assert {job: tuple(match) for job, *match in ours} == matches
    assert made_by_rmetrics(rows.scan(JOURNEYS).collect().to_dicts()) == outcomes
    for buckets in (3,) if few_are_tried() else (1, 2, 7):
        with pytest.MonkeyPatch.context() as patch:  # ties of many rows are read again instead of held
            patch.setattr("rmetrics.pipeline.compute.journeys.HELD", 0)
            found = list(make_in_buckets(rows, buckets))
        for table, frames in ((MATCHES, [f.matches for f in found]), (JOURNEYS, [f.journeys for f in found])):
            held = rows.scan(table).collect()
            assert_frame_equal(pl.concat(frames).select(held.columns), held, check_row_order=False)
        classes = pl.concat(list(classes_of(rows, buckets)))
        assert_frame_equal(classes, rows.scan(CLASSES).collect().select(classes.columns), check_row_order=False)
    return len(matches)


@pytest.fixture(autouse=True)
def _always_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    always_grow(monkeypatch)


def always_grow(patch: pytest.MonkeyPatch) -> None:
    """Lakes with the exports of this module grow by each, however many of their rows it touches.

    The second engine makes its tables a few rows at a time.
    """
    patch.setattr(parts, "_AT_ONCE", 3)
    patch.setattr(growth, "KINDS", KINDS)
    patch.setattr(increment, "MAX_NEW_SHARE", 1_000_000)
    patch.setattr(scope, "MAX_SHARE", 1_000_000)
    patch.setattr(memory, "_MIN_ROWS", 5)


def run(book: str, taken: list[growth.Step], *, each: bool, of: type[World] = World, agrees: Agrees = agrees) -> None:
    """Takes the steps under the rules of a book; compares with the oracle and a lake computed at once, as growth does."""
    with tempfile.TemporaryDirectory() as folder:
        world = of(Path(folder), book)
        for number, step in enumerate(taken, 1):
            computed = world.step(*step)
            if each or number == len(taken):
                agrees(computed, BOOKS[book][1])
                growth.check(world, computed)


common = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=2,
)


@common
@given(st.sampled_from(sorted(BOOKS)), st.lists(steps, min_size=3, max_size=5))
@pytest.mark.deep
def test_any_exports_one_after_another(book: str, taken: list[growth.Step]) -> None:
    run(book, taken, each=False)


@pytest.mark.slow
@settings(common, max_examples=300)
@given(st.sampled_from(sorted(BOOKS)), st.lists(steps, min_size=3, max_size=9))
def test_many_exports_one_after_another(book: str, taken: list[growth.Step]) -> None:
    run(book, taken, each=True)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.ordinary(0, deep=1)
def test_order_and_split_of_exports_decide_nothing(order: int, tmp_path: Path) -> None:
    """Ties are settled by what rows say: the same rows in one export or in three, in either order."""
    jobs = [(str(n), f"U{n}", "COD Service", "", "Fri Nov 01 2024", "", PHONES[n % 6], "02118") for n in range(1, 13)]
    leads = [(str(n), "2024-11-01 09:00:00 -0500", "20.00", "", PHONES[n % 6], "02118") for n in range(1, 13)]
    found = []
    for cut in (12, 6):
        folder = tmp_path / str(cut)
        folder.mkdir()
        world = World(folder, "shipped")
        for start in range(0, 12, cut):
            some = [rows[start : start + cut] for rows in (jobs, leads)]
            for kind, rows in zip(("jobs", "elocals"), some, strict=True):
                computed = world.step(kind, rows[::-1] if order else rows, 0)
        assert agrees(computed, Book()) > 0
        found.append(computed.rows.scan(MATCHES).select("job_id", "touch_id").sort("job_id").collect().rows())
    assert found[0] == found[1]


@pytest.mark.parametrize("column", ["booked", "no_job", "revenue_gross", "touch_cost"])
@pytest.mark.ordinary(0, deep=2)
def test_touches_added_up_wrong_after_a_change_are_found(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the months of touches that a change reaches are added up again: an error in them must not pass."""
    lead = ("2024-11-01 09:00:00 -0500", "20.00", "", PHONES[0], "02118")
    world = World(tmp_path, "shipped")
    world.step("jobs", [("1", "U1", "COD Service", "", "Fri Nov 01 2024", "", PHONES[0], "02118")], 0)
    world.step("elocals", [("1", *lead), ("2", *lead)], 0)

    def wrong(*cuts: pl.LazyFrame) -> pl.LazyFrame:
        return changed_tally(*cuts).with_columns((pl.col(column) + 1).cast(SUMS[column]))

    monkeypatch.setattr(increment, "changed_tally", wrong)
    computed = world.step("elocals", [("3", *lead)], 0)
    with scope.of_increment(world.lake, world.loaded(), computed) as part:
        assert part is not None
        found, _ = cross_check(world.lake, world.loaded(), computed, part)
    assert {m.measure for m in found.mismatches} >= {column}
