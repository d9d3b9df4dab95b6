"""Periods, what they are compared with, and sums over them: small cases worked by hand."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from rmetrics.metrics.by_period import Compare, Coverage, Period, Span, ages_of, compared_with, periods_of, sums
from rmetrics.metrics.figures import SHIPPED
from rmetrics.periods import Grain, next_period, period_name, period_of, year_before

D = dt.date
DATA = Span(D(2023, 10, 1), D(2024, 11, 5))


def period(start: dt.date, grain: Grain, wanted: Span | None = None) -> Period:
    """The period that begins on a day, of those with data or of the days asked for."""
    wanted = wanted or Span(
        period_of(DATA.first, grain), next_period(period_of(DATA.last, grain), grain) - dt.timedelta(1)
    )
    return next(p for p in periods_of(wanted, DATA, grain) if p.start == start)


@pytest.mark.parametrize(
    ("grain", "start", "name", "after"),
    [
        (Grain.DAY, D(2024, 2, 29), "2024-02-29", D(2024, 3, 1)),
        (Grain.WEEK, D(2024, 2, 26), "2024-W09", D(2024, 3, 4)),
        (Grain.MONTH, D(2024, 2, 1), "2024-02", D(2024, 3, 1)),
        (Grain.QUARTER, D(2024, 1, 1), "2024-Q1", D(2024, 4, 1)),
        (Grain.YEAR, D(2024, 1, 1), "2024", D(2025, 1, 1)),
    ],
)
def test_a_day_is_in_one_period_of_each_grain(grain: Grain, start: dt.date, name: str, after: dt.date) -> None:
    assert period_of(D(2024, 2, 29), grain) == start
    assert (period_name(start, grain), next_period(start, grain)) == (name, after)
    assert next_period(after, grain, -1) == start


@pytest.mark.parametrize("grain", Grain)
def test_periods_follow_each_other_without_a_gap(grain: Grain) -> None:
    """Over ten years each day is in one period, and a week is named after the year of its Thursday."""
    day, last = D(2019, 12, 30), D(2030, 1, 6)
    start = period_of(day, grain)
    while day < last:
        if day == next_period(start, grain):
            start = day
        assert period_of(day, grain) == start
        if grain is Grain.WEEK:
            assert period_name(start, grain)[:4] == str((start + dt.timedelta(3)).year)
        day += dt.timedelta(1)


def test_what_is_not_whole_is_labelled() -> None:
    assert period(D(2024, 10, 1), Grain.MONTH).state is Coverage.WHOLE
    assert period(D(2024, 11, 1), Grain.MONTH) == Period(
        D(2024, 11, 1), Grain.MONTH, Span(D(2024, 11, 1), D(2024, 11, 30)), D(2024, 11, 5), Coverage.BEGUN
    )
    assert period(D(2024, 1, 1), Grain.YEAR).state is Coverage.BEGUN
    assert period(D(2023, 1, 1), Grain.YEAR).state is Coverage.PART
    assert period(D(2023, 9, 25), Grain.WEEK).state is Coverage.PART
    cut = Span(D(2024, 10, 10), D(2024, 12, 31))
    assert [p.state for p in periods_of(cut, DATA, Grain.MONTH)] == [Coverage.PART, Coverage.BEGUN, Coverage.AHEAD]


def test_every_day_is_of_one_age() -> None:
    data = Span(D(2024, 1, 1), D(2024, 11, 5))
    ages = list(ages_of(data, D(2024, 11, 7)))
    assert [(a.name, a.span) for a in ages] == [
        ("ahead", Span(D(2024, 11, 6), D(2024, 11, 7))),
        ("0-29 days", Span(D(2024, 10, 7), D(2024, 11, 5))),
        ("30-59 days", Span(D(2024, 9, 7), D(2024, 10, 6))),
        ("60-89 days", Span(D(2024, 8, 8), D(2024, 9, 6))),
        ("90+ days", Span(D(2024, 1, 1), D(2024, 8, 7))),
    ]
    assert sum(a.span.days for a in ages) == data.days + 2


def test_ages_that_the_data_do_not_reach_are_left_out() -> None:
    data = Span(D(2024, 11, 1), D(2024, 12, 5))
    assert [(a.name, a.span.days) for a in ages_of(data, data.last)] == [("0-29 days", 30), ("30-59 days", 5)]
    eve = Span(D(2024, 9, 6), D(2024, 12, 5))
    assert [a.span.days for a in ages_of(eve, eve.last)] == [30, 30, 30, 1]


def test_a_whole_period_is_compared_with_a_whole_one() -> None:
    march = period(D(2024, 3, 1), Grain.MONTH)
    assert compared_with(march, Compare.PREVIOUS, DATA) == Span(D(2024, 2, 1), D(2024, 2, 29))
    assert compared_with(period(D(2024, 10, 1), Grain.MONTH), Compare.YEAR, DATA) == Span(
        D(2023, 10, 1), D(2023, 10, 31)
    )
    assert compared_with(march, Compare.YEAR, DATA) is None, "the data do not reach March 2023"
    week = period(D(2024, 10, 28), Grain.WEEK)
    assert compared_with(week, Compare.YEAR, DATA) == Span(D(2023, 10, 30), D(2023, 11, 5))


def test_a_begun_period_is_compared_with_as_many_days() -> None:
    november = period(D(2024, 11, 1), Grain.MONTH)
    assert compared_with(november, Compare.PREVIOUS, DATA) == Span(D(2024, 10, 1), D(2024, 10, 5))
    assert compared_with(november, Compare.YEAR, DATA) == Span(D(2023, 11, 1), D(2023, 11, 5))
    week = period(D(2024, 11, 4), Grain.WEEK)
    assert compared_with(week, Compare.PREVIOUS, DATA) == Span(D(2024, 10, 28), D(2024, 10, 29))
    quarter = period(D(2024, 10, 1), Grain.QUARTER)
    assert compared_with(quarter, Compare.PREVIOUS, DATA) == Span(D(2024, 7, 1), D(2024, 8, 5))


def test_a_begun_march_is_compared_with_no_more_than_all_of_february() -> None:
    data = Span(D(2023, 1, 1), D(2023, 3, 30))
    march = next(iter(periods_of(Span(D(2023, 3, 1), D(2023, 3, 31)), data, Grain.MONTH)))
    assert compared_with(march, Compare.PREVIOUS, data) == Span(D(2023, 2, 1), D(2023, 2, 28))


def test_the_29th_of_february_has_no_day_a_year_before() -> None:
    assert year_before(D(2024, 2, 29), Grain.DAY) is None
    assert compared_with(period(D(2024, 2, 29), Grain.DAY), Compare.YEAR, DATA) is None


def test_sums_over_spans_that_overlap() -> None:
    daily = pl.LazyFrame(
        {
            "date": [D(2024, 1, 1), D(2024, 1, 2), D(2024, 1, 2), D(2024, 2, 1)],
            "source": ["A", "A", "B", "A"],
            "cost": pl.Series(["1.10", "2.20", "0.01", "9.99"]).cast(pl.Decimal(18, 2)),
        }
    )
    spans = [
        Span(D(2024, 1, 1), D(2024, 1, 31)),
        Span(D(2024, 1, 2), D(2024, 2, 1)),
        Span(D(2025, 1, 1), D(2024, 12, 1)),
    ]
    of = sums(daily, spans, "source", ["cost"]).sort("span", "member").collect()
    assert of.rows() == [(0, "A", Decimal("3.30")), (0, "B", Decimal("0.01")), (1, "A", Decimal("12.19")),
                         (1, "B", Decimal("0.01"))]  # fmt: skip
    whole = sums(daily, spans, None, ["cost"]).sort("span").collect()
    assert whole.rows() == [(0, None, Decimal("3.31")), (1, None, Decimal("12.20"))]


def test_ratios_come_from_sums_and_are_none_where_nothing_divides() -> None:
    cpl, profit = SHIPPED["cpl"], SHIPPED["profit"]
    assert cpl.value(Decimal("100.00"), Decimal(3)) == Decimal("33.333333")
    assert cpl.value(Decimal("100.00"), Decimal(0)) is None
    assert profit.value(Decimal("40.123456"), Decimal("50.00")) == Decimal("-9.876544")
    assert not cpl.additive
    assert profit.additive
