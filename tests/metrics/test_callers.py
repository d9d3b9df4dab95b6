"""Who waits, how soon callers are reached, and what lost callers were worth: worked by hand, and against plain Python."""

import datetime as dt
import math
import random
from collections.abc import Sequence
from decimal import Decimal

import polars as pl
import pytest

from rmetrics.metrics.call_classes import ANSWERED, ANYWAY, BACK, CLASSES, EXISTING, LOST, OWN
from rmetrics.metrics.callers import MIN_CASES, Speed, Worth, speeds, waiting, worths
from rmetrics.rules import Rules, load_rules
from support import ROOT

DAY = dt.date(2024, 11, 4)
ONE, TWO = "6175550101", "6175550102"
Row = tuple[str, str, int | None, str | None]  # source, class, wait, number


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(ROOT / "rules")


def calls(rows: Sequence[Row], days: Sequence[int] = ()) -> pl.LazyFrame:
    """Calls an hour apart, or on some days after the first."""
    at = [dt.datetime(2024, 11, 4, 15, tzinfo=dt.UTC) + dt.timedelta(days=d) for d in days or [0] * len(rows)]
    return pl.LazyFrame(
        {
            "_position": range(len(rows)), "source": [r[0] for r in rows],
            "day": [DAY + dt.timedelta(days=d) for d in days or [0] * len(rows)],
            "at": [a + dt.timedelta(minutes=i) for i, a in enumerate(at)],
            "answered": [r[1] == ANSWERED for r in rows], "class": [r[1] for r in rows],
            "answered_within_s": [r[2] for r in rows], "customer": [r[3] for r in rows],
        },
schema_overrides={
            "answered_within_s": pl.Int64, "customer": pl.String, "day": pl.Date, "_position": pl.Int64,
            "source": pl.String, "class": pl.String, "answered": pl.Boolean, "at": pl.Datetime("us", "UTC"),
        },
    )  # fmt: skip


def facts(jobs: Sequence[tuple[int, str | None, Decimal]]) -> pl.LazyFrame:
    """Jobs so many days after the first call: number, paid."""
    noon = dt.datetime(2024, 11, 4, 17, tzinfo=dt.UTC)
    return pl.LazyFrame(
        {
            "job_id": [str(i) for i in range(len(jobs))], "counted": [True] * len(jobs),
            "created_at": [noon + dt.timedelta(days=d) for d, _, _ in jobs], "job_date": [None] * len(jobs),
            "client_phone": [n for _, n, _ in jobs], "paid": [p for _, _, p in jobs],
        },
        schema={
            "job_id": pl.String, "counted": pl.Boolean, "created_at": pl.Datetime("us", "UTC"), "job_date": pl.Date,
            "client_phone": pl.String, "paid": pl.Decimal(18, 2),
        },
    )  # fmt: skip


def test_who_waits_is_one_line_per_number_those_who_may_be_new_first() -> None:
    rows: list[Row] = [
        ("Google", EXISTING, None, TWO), ("Google", LOST, None, ONE), ("eLocals", LOST, None, ONE),
        ("Google", BACK, 60, "6175550103"), ("Google", ANYWAY, None, "6175550104"), ("Google", LOST, None, None),
        ("Google", LOST, None, None), ("Google", EXISTING, 60, "6175550105"), ("Google", OWN, None, "6175550106"),
    ]  # fmt: skip
    found = waiting(calls(rows)).collect()
    assert found.select("phone_key", "class", "source", "calls").rows() == [
        (ONE, LOST, "eLocals", 2), (None, LOST, "Google", 2), (TWO, EXISTING, "Google", 1),
    ]  # fmt: skip


def test_speed_counts_calls_that_may_be_leads() -> None:
    rows: list[Row] = [("A", ANSWERED, 0, ONE)] * 8 + [
        ("A", BACK, 600, ONE),
        ("A", BACK, 900, ONE),
        ("A", LOST, None, ONE),
    ]
    rows += [("B", LOST, None, ONE), ("B", EXISTING, 5, ONE)]
    assert speeds(calls(rows)) == [
        Speed("ALL", 12, 10, 0, 600),
        Speed("A", 11, 10, 0, 600),
        Speed("B", 1, 0, None, None),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_waits_that_happened(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    waits = [dice.choice([None, dice.randrange(1000)]) for _ in range(dice.randrange(1, 40))]
    reached = sorted(w for w in waits if w is not None)

    def rank(percent: int) -> int | None:
        return reached[math.ceil(len(reached) * percent / 100) - 1] if reached else None

    (first, *_) = speeds(calls([("A", BACK if w is not None else LOST, w, ONE) for w in waits]))
    assert (first.median_s, first.p90_s) == (rank(50), rank(90))


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"617555{n:04}" for n in range(first, first + count)]


def test_lost_callers_are_worth_what_reached_ones_paid(rules: Rules) -> None:
    """40 callers reached, 32 booked, 30 of them paid 100 each, and 5 were lost, of whom one called three times."""
    reached, lost = numbered(40), numbered(5, 50)
    rows: list[Row] = [("A", ANSWERED, 0, n) for n in reached] + [
        ("A", LOST, None, n) for n in (*lost, lost[0], lost[0])
    ]
    jobs = [(0, n, Decimal(100) if i < 30 else Decimal(0)) for i, n in enumerate(reached[:32])]
    (every, only) = worths(calls(rows), facts(jobs), rules)
    assert every == Worth(**{**{f: getattr(only, f) for f in Worth.__slots__}, "source": "ALL"})
    assert (only.lost, only.reached, only.booked, only.completed) == (5, 40, 32, 30)
    assert (only.booking_rate, only.completion, only.average_paid) == (
        Decimal("0.8000"),
        Decimal("0.9375"),
        Decimal("100.00"),
    )
    # mean 75; variance (30 * 25^2 + 10 * 75^2) / 39 = 1923.08; standard error 6.934; 1.96 of it 13.59
    assert only.each == (Decimal("61.41"), Decimal("75.00"), Decimal("88.59"))
    assert only.total == (Decimal("307.05"), Decimal("375.00"), Decimal("442.95"))
    assert only.refused == ""


def test_fewer_than_thirty_cases_have_no_figure(rules: Rules) -> None:
    for reached, paying in ((MIN_CASES - 1, MIN_CASES - 1), (MIN_CASES + 5, MIN_CASES - 1)):
        numbers = numbered(reached)
        rows: list[Row] = [("A", ANSWERED, 0, n) for n in numbers] + [("A", LOST, None, ONE)]
        (every, _) = worths(calls(rows), facts([(0, n, Decimal(100)) for n in numbers[:paying]]), rules)
        assert (every.each, every.total) == (None, None)
        assert every.refused == f"{reached} callers were reached and {paying} of them paid; 30 of each are needed"


def test_who_was_reached_or_booked_is_not_lost_and_later_jobs_are_not_of_the_call(rules: Rules) -> None:
    rows: list[Row] = [("A", LOST, None, ONE), ("A", BACK, 60, ONE), ("A", LOST, None, TWO), ("A", ANYWAY, None, TWO)]
    (every, _) = worths(calls(rows), facts([(8, ONE, Decimal(100)), (-1, ONE, Decimal(100))]), rules)
    assert (every.lost, every.reached, every.booked) == (0, 1, 0)
    (every, _) = worths(calls(rows), facts([(7, ONE, Decimal(100))]), rules)
    assert (every.booked, every.completed) == (1, 1)


def test_no_calls_no_figures(rules: Rules) -> None:
    assert speeds(calls([])) == []
    assert worths(calls([]), facts([]), rules) == []
    assert waiting(calls([])).collect().height == 0
    assert len(CLASSES) == 7
