"""The forecast of a month's end: hand-worked cases, what it must not look at, and when it refuses."""

import datetime as dt
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import examples
from rmetrics.metrics.forecast import KEPT_DAYS, NEEDED_DAYS, forecast, straight_line
from rmetrics.metrics.holidays_of import holidays_of

DAY = dt.timedelta(days=1)
MONDAY = dt.date(2024, 1, 1)
DECEMBER = dt.date(2024, 12, 1)


def until(last: dt.date, value: int = 100, first: dt.date = MONDAY, sunday: int | None = None) -> list[int]:
    """The same figure each day up to a day, another one on Sundays."""
    days = [first + DAY * n for n in range((last - first).days + 1)]
    return [value if sunday is None or day.weekday() != 6 else sunday for day in days]


def test_the_same_figure_each_day_ends_where_a_straight_line_does() -> None:
    found = forecast(until(dt.date(2024, 12, 10)), MONDAY, dt.date(2024, 12, 10), DECEMBER)
    assert found is not None
    assert (found.reached, found.value, found.low, found.high) == (1000, 3100, 3100, 3100)
    assert found.path[0] == (dt.date(2024, 12, 11), 1100)
    assert found.path[-1] == (dt.date(2024, 12, 31), 3100)
    assert straight_line([100] * 10, 10, DECEMBER) == 3100


def test_a_weekday_counts_as_it_did() -> None:
    """Sundays at 0: a month cut on a Saturday has the Sunday ahead, and a straight line does not know it."""
    last = dt.date(2024, 12, 28)
    found = forecast(until(last, 700, sunday=0), MONDAY, last, DECEMBER)
    assert found is not None
    sunday, monday, tuesday = (b - a for a, b in itertools.pairwise([found.reached, *(v for _, v in found.path)]))
    assert sunday < monday
    assert monday == pytest.approx(tuesday, abs=1)
    assert sunday < 100, "four days at the mean steady the pattern, no more"
    assert monday == pytest.approx(700, abs=20)


def test_a_holiday_counts_as_earlier_ones_did() -> None:
    """Nothing happens on holidays: Christmas ahead adds nearly nothing, and without a country it is a usual day."""
    holidays = holidays_of("US", 2022, 2025)
    first, last = dt.date(2022, 1, 3), dt.date(2024, 12, 20)
    values = [0 if first + DAY * n in holidays else 100 for n in range((last - first).days + 1)]
    knowing, unaware = (forecast(values, first, last, DECEMBER, h) for h in (holidays, frozenset[dt.date]()))
    assert knowing is not None
    assert unaware is not None
    of = dict(knowing.path)
    assert of[dt.date(2024, 12, 25)] - of[dt.date(2024, 12, 24)] < 15
    assert of[dt.date(2024, 12, 24)] - of[dt.date(2024, 12, 23)] > 95
    assert knowing.value < unaware.value
    assert holidays_of(None, 2024, 2024) == frozenset()


def test_fewer_than_eight_weeks_are_refused() -> None:
    last = MONDAY + DAY * (NEEDED_DAYS - 1)
    assert forecast(until(last), MONDAY, last, dt.date(2024, 2, 1)) is not None
    assert forecast(until(last)[:-1], MONDAY, last - DAY, dt.date(2024, 2, 1)) is None


def test_the_range_needs_four_past_months() -> None:
    """The first month whose forecast could be made then is March: with June over there are four."""
    for last, past in ((dt.date(2024, 6, 10), 3), (dt.date(2024, 7, 10), 4)):
        found = forecast(until(last), MONDAY, last, last.replace(day=1))
        assert found is not None
        assert found.past == past
        assert (found.low is None) == (past < 4)


def test_the_range_is_the_error_of_four_months_in_five() -> None:
    """Only one past month went otherwise than the weeks before it: the range does not follow it alone."""
    last, odd = dt.date(2024, 12, 10), dt.date(2024, 5, 1)
    values = until(last)
    wild = list(values)
    for n in range(20, 31):
        wild[(odd - MONDAY).days + n] = 300
    calm, once = (forecast(v, MONDAY, last, DECEMBER) for v in (values, wild))
    assert calm is not None
    assert once is not None
    assert calm.low == calm.high == calm.value
    assert once.past == 9
    assert once.low is not None
    assert once.high is not None
    assert once.low <= once.value <= once.high
    assert once.high - once.value < 11 * 200


def test_a_month_that_is_over_is_its_figure() -> None:
    last = dt.date(2024, 12, 31)
    found = forecast(until(last), MONDAY, last, DECEMBER)
    assert found is not None
    assert (found.value, found.low, found.high, found.path) == (3100, 3100, 3100, ())


def test_days_before_the_month_that_are_not_whole_are_estimated_and_not_counted() -> None:
    """Known up to 28 November: the 29th and 30th lie ahead too, but are no part of December."""
    last = dt.date(2024, 11, 28)
    found = forecast(until(last), MONDAY, last, DECEMBER)
    assert found is not None
    assert (found.reached, found.value, len(found.path)) == (0, 3100, 31)


@examples(60)
@given(st.integers(0, 10_000), st.integers(1, 27))
def test_it_knows_nothing_of_later_days_and_is_the_same_every_time(seed: int, day: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    last = DECEMBER + DAY * (day - 1)
    values = [chance.randrange(0, 900) for _ in range((last - MONDAY).days + 1)]
    found = forecast(values, MONDAY, last, DECEMBER)
    assert found == forecast(list(values), MONDAY, last, DECEMBER)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    steps = [found.reached, *(v for _, v in found.path)]
    assert steps == sorted(steps)
    assert found.value == steps[-1]
    tenfold = forecast([10 * v for v in values], MONDAY, last, DECEMBER)
    assert tenfold is not None
    assert tenfold.value == pytest.approx(10 * found.value, rel=0.001)


def test_amounts_below_zero_and_a_company_that_stands_still() -> None:
    last = dt.date(2024, 12, 10)
    refunds = forecast(until(last, -50), MONDAY, last, DECEMBER)
    assert refunds is not None
    assert refunds.value == -1550
    still = forecast(until(last, 0), MONDAY, last, DECEMBER)
    assert still is not None
    assert (still.value, still.low, still.high) == (0, 0, 0)


def test_a_long_history_costs_no_more() -> None:
    """What lies further back than is kept changes nothing."""
    first, last = dt.date(2015, 1, 1), dt.date(2024, 12, 10)
    days = (last - first).days + 1
    recent = [n * 37 % 91 for n in range(KEPT_DAYS)]
    long = forecast([5000] * (days - KEPT_DAYS) + recent, first, last, DECEMBER)
    short = forecast(recent, last - DAY * (KEPT_DAYS - 1), last, DECEMBER)
    assert long == short
