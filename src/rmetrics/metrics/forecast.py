"""Estimate, with an interval, of a month's total from one series of daily figures. It reads no clock.

The estimate is the sum so far plus, for each day left, the level of the last six weeks, shaped by the weekday pattern
of the last half year and by the effect of earlier holidays. The interval comes from the errors of the same estimate in
past months with as many days left: in four of five of them the error was no larger. Errors are scaled by the square
root of the amount estimated for the days left, as the errors of counts grow.

All values are integers in the smallest unit of the series (hundredths of a count, cents, millionths), so the same data
give the same estimate on every machine. It remains an estimate: rounded, labelled, and never added to a figure.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rmetrics.periods import days_of, month_of, next_month

NEEDED_DAYS: Final = 56  # eight weeks; with fewer, a weekday pattern is chance and there is no forecast
LEVEL_DAYS: Final = 42  # six weeks, the best of four to twelve on generated companies (benchmarks/forecast.py)
PATTERN_DAYS: Final = 182  # half a year
HOLIDAY_DAYS: Final = 730  # two years, since there are only a dozen holidays a year
NEEDED_MONTHS: Final = 4  # minimum for a range of four cases in five
MAX_MONTHS: Final = 24
KEPT_DAYS: Final = HOLIDAY_DAYS + (MAX_MONTHS + 1) * 31  # days used, so that a long history costs no more
_WEEKDAY_PRIOR, _HOLIDAY_PRIOR = 4, 2  # days at the mean, which steady the pattern of few or small figures
_PRECISION = 1_000_000
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of a month's total, in the unit of the series.

    Attributes:
        as_of: the last whole day used.
        reached: the sum of the month up to ``as_of``.
        path: the estimated sum since the first of the month at the end of each day after ``as_of``.
        value: the estimate for the whole month.
        low, high: the interval that holds the total in four of five cases; None below ``NEEDED_MONTHS`` past months.
        past: number of past months behind the interval.
    """

    month: dt.date
    as_of: dt.date
    reached: int
    path: tuple[tuple[dt.date, int], ...]
    value: int
    low: int | None
    high: int | None
    past: int


class _Series:
    """Daily figures with the kind of each day; days are indexed from the first."""

    def __init__(self, first: dt.date, values: Sequence[int], length: int, holidays: frozenset[dt.date]) -> None:
        self.first, self.values = first, values
        self.sums = [0]
        for value in values:
            self.sums.append(self.sums[-1] + value)
        weekday = first.weekday()
        self.weekdays = [(weekday + i) % _WEEK for i in range(length)]
        self.is_holiday = [False] * length
        for day in holidays:
            if 0 <= (at := (day - first).days) < length:
                self.is_holiday[at] = True
        self.holidays = [i for i in range(len(values)) if self.is_holiday[i]]

    def sum(self, start: int, end: int) -> int:
        """Returns the sum of the days from ``start`` up to but excluding ``end``."""
        return self.sums[end] - self.sums[start]

    def days_ahead(self, now: int, days: int) -> Iterator[int]:
        """Yields the estimate for 1, 2, ... ``days`` days from day ``now`` on, using only days before it."""
        weekday, holiday = self._pattern(now)

        def weight(day: int) -> int:
            usual = weekday[self.weekdays[day]]
            return usual * holiday[0] // holiday[1] if self.is_holiday[day] else usual

        start = max(0, now - LEVEL_DAYS)
        level, weights = self.sum(start, now), sum(map(weight, range(start, now)))
        weights_so_far = 0
        for day in range(now, now + days):
            weights_so_far += weight(day) if weights else 1
            yield _rounded(level * weights_so_far, weights or now - start)

    def estimate(self, now: int, days: int) -> int:
        """Returns the estimate for the sum of the next ``days`` days."""
        return ([0, *self.days_ahead(now, days)])[-1]

    def mean(self, now: int) -> int:
        """Returns the mean per day of the half year before ``now``."""
        start = max(0, now - PATTERN_DAYS)
        return self.sum(start, now) // (now - start)

    def _pattern(self, now: int) -> tuple[list[int], tuple[int, int]]:
        """Returns the weight of each weekday, and the fraction by which a holiday's weight is multiplied."""
        start = max(0, now - PATTERN_DAYS)
        days, total = now - start, self.sum(start, now)
        sums, counts = [0] * _WEEK, [0] * _WEEK
        for day in range(start, now):
            if not self.is_holiday[day]:
                sums[self.weekdays[day]] += self.values[day]
                counts[self.weekdays[day]] += 1
        weights = [
            max(0, (s * days + _WEEKDAY_PRIOR * total) * _PRECISION // ((n + _WEEKDAY_PRIOR) * days))
            for s, n in zip(sums, counts, strict=True)
        ]
        actual, usual = 0, 0  # both doubled, for the mean of two neighbours
        for day in self.holidays:
            if max(0, now - HOLIDAY_DAYS) <= day < now:
                near = [self.values[i] for i in (day - _WEEK, day + _WEEK) if 0 <= i < now and not self.is_holiday[i]]
                if near:
                    actual += 2 * self.values[day]
                    usual += 2 * sum(near) // len(near)
        prior = 2 * _HOLIDAY_PRIOR * total
        top, bottom = actual * days + prior, usual * days + prior
        return weights, (max(0, top), bottom) if bottom > 0 else (1, 1)


def forecast(
    values: Sequence[int], first: dt.date, as_of: dt.date, month: dt.date, holidays: frozenset[dt.date] = frozenset()
) -> Forecast | None:
    """Forecasts the total of a month.

    Args:
        values: of every day from ``first`` to ``as_of``, 0 for a day without rows.
        first: the first day with complete figures.
        as_of: the last whole day; in the month, or before it.
        month: its first day.
        holidays: days on which the company may be closed, including those ahead.

    Returns:
        None with fewer than eight weeks of figures.
    """
    if len(values) < NEEDED_DAYS:
        return None
    if len(values) > KEPT_DAYS:
        first, values = first + dt.timedelta(days=len(values) - KEPT_DAYS), values[-KEPT_DAYS:]
    end = next_month(month) - dt.timedelta(days=1)
    now, days_left = len(values), max(0, (end - as_of).days)
    series = _Series(first, values, now + days_left, holidays)
    begun = max(0, (month - first).days)
    reached = series.sum(min(begun, now), now)
    skipped = max(0, (month - as_of).days - 1)  # days before the month that are not complete yet
    estimates = list(series.days_ahead(now, days_left))
    before = estimates[skipped - 1] if skipped else 0
    path = tuple((as_of + dt.timedelta(days=n + 1), reached + estimates[n] - before) for n in range(skipped, days_left))
    value = path[-1][1] if path else reached
    errors = _errors(series, now, days_left) if days_left else []
    low = high = None
    if not days_left:
        low = high = value
    elif len(errors) >= NEEDED_MONTHS:
        width = math.isqrt(_four_of_five(errors) * max(value - reached, series.mean(now), 1) // _PRECISION)
        low, high = value - width, value + width
    return Forecast(month, as_of, reached, path, value, low, high, len(errors))


def _errors(series: _Series, now: int, days_left: int) -> list[int]:
    """Returns the squared error, per unit estimated, of the estimate in each past month with as many days left.

    Each estimate uses only figures known at the time; newest months first, two years at most.
    """
    found = list[int]()
    month = month_of(series.first + dt.timedelta(days=now - 1))
    while len(found) < MAX_MONTHS:
        end = (next_month(month) - series.first).days
        origin = end - days_left
        if origin < NEEDED_DAYS:
            break
        if end <= now:
            estimate = series.estimate(origin, days_left)
            error = series.sum(origin, end) - estimate
            found.append(error * error * _PRECISION // max(estimate, series.mean(origin), 1))
        month = month_of(month - dt.timedelta(days=1))
    return found


def _four_of_five(errors: Sequence[int]) -> int:
    """Interpolates between two sorted errors the one that a further month would exceed in one of five cases.

    >>> _four_of_five([40, 10, 30, 20]), _four_of_five([10, 20, 30, 40, 50])
    (40, 48)
    """
    ordered = sorted(errors)
    at, rest = divmod(4 * (len(ordered) + 1) - 5, 5)
    above = ordered[min(at + 1, len(ordered) - 1)]
    return ordered[at] + (above - ordered[at]) * rest // 5


def _rounded(top: int, bottom: int) -> int:
    """Returns the nearest integer to a fraction; halves round up."""
    return (2 * top + bottom) // (2 * bottom)


def straight_line(values: Sequence[int], day: int, month: dt.date) -> int:
    """Extrapolates a month from its first ``day`` days, by calendar days: the baseline for judging the forecast.

    Args:
        values: of the days of the month up to ``day``.
        day: number of days.
        month: its first day.
    """
    return _rounded(sum(values[:day]) * days_of(month), day)


__all__ = ["KEPT_DAYS", "NEEDED_DAYS", "NEEDED_MONTHS", "Forecast", "forecast", "straight_line"]
