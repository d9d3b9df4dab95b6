"""Second estimate of the running month's total, from the description of the forecast, day by day.

An estimate is the month so far plus, for each day left, the level of the last six weeks, shaped by the weekdays of the
last half year and by the effect of holidays in two years. The interval is the error that four of five past months did
not exceed, with as many days left. This code follows that description and shares nothing with the first engine.

Source: the decision on forecasts (docs/decisions).
"""

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from rmetrics.sandbox.connection import duckdb_errors, file_name, sandbox
from rmetrics.sandbox.quoting import text

DECIMALS: Mapping[str, int] = {"jobs": 2, "leads": 2, "units": 2, "repairs": 2, "revenue_gross": 2, "revenue40": 6}
_DAY, _WEEK = dt.timedelta(days=1), dt.timedelta(days=7)
_SIX_WEEKS, _HALF_YEAR, _TWO_YEARS = (dt.timedelta(days=n) for n in (42, 182, 730))
_EIGHT_WEEKS, _HISTORY_DAYS = 56, 730 + 25 * 31
_SCALE = 1_000_000  # weights and errors are whole millionths, rounded down


@dataclass(frozen=True, slots=True)
class RecomputedForecast:
    """Forecast of a source's measure; see ``pipeline.forecasts.Estimate``."""

    as_of: dt.date
    reached: Decimal
    path: tuple[tuple[dt.date, Decimal], ...]
    value: Decimal
    low: Decimal | None
    high: Decimal | None
    past: int


class _Days:
    """One measure of one source by day, in whole units; ``days`` has every day from the first to the last whole one."""

    def __init__(self, days: Mapping[dt.date, int], holidays: Collection[dt.date]) -> None:
        self.days, self.holidays = days, holidays
        self.first = min(days)

    def between(self, start: dt.date, now: dt.date) -> list[dt.date]:
        """Returns the days from ``start`` up to but excluding ``now``."""
        start = max(start, self.first)
        return [start + _DAY * n for n in range((now - start).days)]

    def sum(self, days: Sequence[dt.date]) -> int:
        """Returns the sum of the days."""
        return sum(self.days[d] for d in days)

    def forecast(self, now: dt.date, count: int) -> list[int]:
        """Returns cumulative estimates for ``count`` days from ``now`` on, based on earlier days only."""
        months = self.between(now - _HALF_YEAR, now)
        total, usual = self.sum(months), [d for d in months if d not in self.holidays]
        weights = []
        for weekday in range(7):
            same = [d for d in usual if d.weekday() == weekday]
            weights.append(
                max(0, (self.sum(same) * len(months) + 4 * total) * _SCALE // ((len(same) + 4) * len(months)))
            )
        on, off = self._holidays(now, total, len(months))
        recent = self.between(now - _SIX_WEEKS, now)

        def weight(day: dt.date) -> int:
            plain = weights[day.weekday()]
            return plain * on // off if day in self.holidays else plain

        level, base = self.sum(recent), sum(weight(d) for d in recent)
        found, so_far = [], 0
        for n in range(count):
            so_far += weight(now + _DAY * n) if base else 1
            found.append(_nearest(level * so_far, base or len(recent)))
        return found

    def _holidays(self, now: dt.date, total: int, length: int) -> tuple[int, int]:
        """Returns the fraction of a usual day that a holiday is worth."""
        actual, usual = 0, 0
        for day in self.between(now - _TWO_YEARS, now):
            if day in self.holidays:
                near = [d for d in (day - _WEEK, day + _WEEK) if self.first <= d < now and d not in self.holidays]
                if near:
                    actual += 2 * self.days[day]
                    usual += 2 * self.sum(near) // len(near)
        on, off = actual * length + 4 * total, usual * length + 4 * total
        return (max(0, on), off) if off > 0 else (1, 1)

    def mean(self, now: dt.date) -> int:
        """Returns the mean per day of the half year before."""
        days = self.between(now - _HALF_YEAR, now)
        return self.sum(days) // len(days)

    def errors(self, now: dt.date, days_left: int) -> list[int]:
        """Returns squared errors per unit estimated, of past months with as many days left; the newest two years."""
        found: list[int] = []
        last = now - _DAY
        month = last.replace(day=1)
        while len(found) < 24:
            end = _after(month)
            start = end - _DAY * days_left
            if (start - self.first).days < _EIGHT_WEEKS:
                break
            if end <= now:
                estimate = ([0, *self.forecast(start, days_left)])[-1]
                error = self.sum(self.between(start, end)) - estimate
                found.append(error * error * _SCALE // max(estimate, self.mean(start), 1))
            month = (month - _DAY).replace(day=1)
        return found


def recompute_forecasts(
    daily: Path, month: dt.date, end: dt.date, last_whole: dt.date, holidays: Collection[dt.date], temp: Path
) -> dict[tuple[str, str], RecomputedForecast]:
    """Returns every possible estimate, by source (``ALL``: the company) and measure.

    Args:
        daily: Parquet file of ``daily_metrics``.
        month: the month to estimate.
        end: the last day of the data.
        last_whole: the last complete day.
        holidays: of all years used.
        temp: folder for spilled data.

    Raises:
        LakeError: the file cannot be read.
    """
    cells = ", ".join(f"CAST(sum({m}) * {10**n} AS HUGEINT)" for m, n in DECIMALS.items())
    with duckdb_errors("recompute the forecast"):
        connection = sandbox([daily], temp=temp)
        try:
            rows = connection.execute(
                f"SELECT if(grouping(source) = 1, 'ALL', source), date, {cells} "
                f"FROM read_parquet({text(file_name(daily))}) WHERE date <= $1 "
                "GROUP BY GROUPING SETS ((source, date), (date)) ORDER BY date",
                [end],
            ).fetchall()
        finally:
            connection.close()
    series: dict[str, dict[dt.date, tuple[int, ...]]] = {}
    for source, day, *values in rows:
        series.setdefault(source, {})[day] = tuple(int(v or 0) for v in values)
    found = {}
    for source, by_day in series.items():
        if min(by_day) > last_whole:
            continue
        for i, (measure, decimals) in enumerate(DECIMALS.items()):
            one = {day: values[i] for day, values in by_day.items()}
            forecast = _forecast(one, month, last_whole, holidays, decimals)
            if forecast is not None:
                found[source, measure] = forecast
    return found


def _forecast(
    known: Mapping[dt.date, int], month: dt.date, last_whole: dt.date, holidays: Collection[dt.date], decimals: int
) -> RecomputedForecast | None:
    first = min(known)
    every = [first + _DAY * n for n in range((last_whole - first).days + 1)]
    if len(every) < _EIGHT_WEEKS:
        return None
    days = _Days({d: known.get(d, 0) for d in every[-_HISTORY_DAYS:]}, holidays)
    now, after = last_whole + _DAY, _after(month)
    days_left = max(0, (after - now).days)
    reached = days.sum([d for d in days.between(month, now) if d < after])
    steps = days.forecast(now, days_left)
    skipped = max(0, (month - now).days)
    before = steps[skipped - 1] if skipped else 0
    path = [(now + _DAY * n, reached + steps[n] - before) for n in range(skipped, days_left)]
    value = path[-1][1] if path else reached
    errors = days.errors(now, days_left) if days_left else []
    low: int | None = value
    high: int | None = value
    if days_left:
        wide = _not_exceeded(errors) * max(value - reached, days.mean(now), 1) // _SCALE if len(errors) >= 4 else None
        low, high = (None, None) if wide is None else (value - math.isqrt(wide), value + math.isqrt(wide))
    so_far = sum(v for d, v in known.items() if month <= d < after)  # a month cannot end below its present total
    least = so_far if value >= reached else min(value, so_far)

    def amount(units: int) -> Decimal:
        return Decimal(units).scaleb(-decimals).quantize(Decimal("0.01"), ROUND_HALF_EVEN)

    return RecomputedForecast(
        as_of=last_whole,
        reached=Decimal(reached).scaleb(-decimals),
        path=tuple((d, amount(max(v, least) if d == path[-1][0] else v)) for d, v in path),
        value=amount(max(value, least)),
        low=None if low is None else amount(max(low, least)),
        high=None if high is None else amount(max(high, least)),
        past=len(errors),
    )


def _not_exceeded(errors: Sequence[int]) -> int:
    """Error that one more would exceed in one of five cases: at index 4/5 * (n + 1) - 1, interpolated."""
    ordered = sorted(errors)
    fifths = 4 * (len(ordered) + 1) - 5
    low = ordered[fifths // 5]
    high = ordered[min(fifths // 5 + 1, len(ordered) - 1)]
    return low + (high - low) * (fifths % 5) // 5


def _nearest(top: int, bottom: int) -> int:
    """Returns the nearest integer to a fraction; halves round up."""
    return (2 * top + bottom) // (2 * bottom)


def _after(month: dt.date) -> dt.date:
    return (month + _DAY * 31).replace(day=1)


__all__ = ["RecomputedForecast", "recompute_forecasts"]
