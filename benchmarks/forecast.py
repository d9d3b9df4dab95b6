"""How good is the forecast of a month's end? A rolling backtest against the straight line it replaced.

    python benchmarks/forecast.py [--companies 40] [--lake DIR] [--json FILE]

On each tenth of every past month, only what was known then is used: the estimate, its interval, and the straight line
(the month so far by calendar days) are compared with what the month came to. ``--lake`` adds the figures of a synced
project; the generated companies have three years of weekdays, holidays, seasons, trends and chance, from one and a half
to thirty repairs a day, and are the same on every machine. Figures are final ones: payments that arrived later are in
them, so a real month, whose newest days still grow, is harder than this.
"""

import argparse
import calendar
import datetime as dt
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from rmetrics.metrics.forecast import forecast, straight_line
from rmetrics.metrics.holidays_of import holidays_of

DAY = dt.timedelta(days=1)
DAYS_OF_MONTH = (3, 6, 9, 12, 15, 18, 21, 24, 27)
START = dt.date(2021, 1, 1)
COUNT, CENTS = 100, 1


@dataclass(frozen=True, slots=True)
class Series:
    """Daily figures in the forecast's unit, from the first day on."""

    name: str
    first: dt.date
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Score:
    """What a backtest found.

    Attributes:
        forecasts: how many were made; ``intervals`` how many had one.
        error, line_error: the mean absolute error by what the month came to.
        better: how much smaller the forecast's error is than the straight line's, as a share of it.
        coverage: the share of intervals that held what the month came to.
        width: the mean half of an interval, by what the month came to.
    """

    what: str
    forecasts: int
    intervals: int
    error: float
    line_error: float
    better: float
    coverage: float
    width: float


def generated(seed: int, years: int = 3) -> Iterator[Series]:
    """A company's repairs and what was paid for them, day by day."""
    chance = random.Random(seed)
    base, trend, season = chance.choice([1.5, 4, 10, 30]), chance.uniform(-0.15, 0.4), chance.uniform(0, 0.25)
    wander = chance.uniform(0.006, 0.042)
    week = [*(chance.uniform(0.9, 1.2) for _ in range(5)), chance.uniform(0.1, 0.8), chance.uniform(0, 0.5)]
    closed = chance.uniform(0, 0.5)
    holidays = holidays_of("US", START.year, START.year + years)
    counts, cents, level = list[int](), list[int](), 0.0
    for n in range(365 * years):
        day = START + DAY * n
        level = 0.97 * level + chance.gauss(0, wander)
        yearly = 1 + season * math.sin(2 * math.pi * day.timetuple().tm_yday / 365 + seed)
        mean = base * math.exp(trend * n / 365 + level) * yearly * week[day.weekday()]
        repairs = poisson(chance, mean * (closed if day in holidays else 1))
        counts.append(repairs * COUNT)
        cents.append(sum(int(chance.lognormvariate(5.3, 0.6) * 100) for _ in range(repairs)))
    yield Series(f"company {seed} repairs", START, counts)
    yield Series(f"company {seed} revenue", START, cents)


def poisson(chance: random.Random, mean: float) -> int:
    """A count of that mean."""
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def of_lake(project: Path) -> Iterator[Series]:
    """The company's own series, all sources together."""
    from rmetrics.company import Company

    daily = Company.open(project).metrics("daily")
    first, last = min(daily["date"]).replace(day=1), max(daily["date"])
    days = pl.DataFrame({"date": pl.date_range(first, last, eager=True)})
    sums = daily.group_by("date").agg(pl.col("leads", "units", "repairs", "revenue_gross", "revenue40").sum())
    rows = days.join(sums, on="date", how="left").sort("date").fill_null(0)
    for name in ("leads", "units", "repairs", "revenue_gross", "revenue40"):
        unit = 1_000_000 if name == "revenue40" else 100
        yield Series(name, first, [int(v * unit) for v in rows[name].to_list()])


def backtest(what: str, series: Sequence[Series], *, skip_days: int) -> Score:
    """Forecasts every past month of each series after its first ``skip_days``, on each of ``DAYS_OF_MONTH``."""
    made = intervals = held = 0
    error = line_error = width = 0.0
    for one in series:
        holidays = holidays_of("US", one.first.year, one.first.year + len(one.values) // 365 + 1)
        for month, start, length in months(one, skip_days):
            came_to = sum(one.values[start : start + length])
            if came_to <= 0:
                continue
            for day in DAYS_OF_MONTH:
                known = one.values[: start + day]
                found = forecast(known, one.first, month + DAY * (day - 1), month, holidays)
                if found is None:
                    continue
                made += 1
                error += abs(found.value - came_to) / came_to
                line_error += abs(straight_line(known[start:], day, month) - came_to) / came_to
                if found.low is not None and found.high is not None:
                    intervals += 1
                    held += found.low <= came_to <= found.high
                    width += (found.high - found.low) / 2 / came_to
    many = max(intervals, 1)
    return Score(
        what,
        made,
        intervals,
        round(error / made, 4),
        round(line_error / made, 4),
        round(1 - error / line_error, 4),
        round(held / many, 4),
        round(width / many, 4),
    )


def months(series: Series, skip_days: int) -> Iterator[tuple[dt.date, int, int]]:
    """Whole months: the first day, its position, and the length."""
    month = series.first
    while True:
        length = calendar.monthrange(month.year, month.month)[1]
        start = (month - series.first).days
        if start + length > len(series.values):
            return
        if start >= skip_days:
            yield month, start, length
        month = (month + DAY * length).replace(day=1)


def main() -> None:
    """Prints a line for each group of series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--companies", type=int, default=40)
    parser.add_argument("--lake", type=Path, help="a synced project folder, such as one of the sample")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    series = [s for seed in range(asked.companies) for s in generated(seed)]
    young = [Series(s.name, s.first, s.values[:365]) for s in series]
    scores = [
        backtest("generated, the third year", series, skip_days=700),
        backtest("generated, the first year", young, skip_days=56),
    ]
    if asked.lake is not None:
        scores.append(backtest("the project", list(of_lake(asked.lake)), skip_days=150))
    for score in scores:
        print(
            f"{score.what}: {score.forecasts} forecasts, error {score.error:.1%} against {score.line_error:.1%} of the "
            f"straight line ({score.better:.0%} smaller); {score.intervals} intervals held {score.coverage:.1%}, "
            f"half a width {score.width:.1%}"
        )
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(s) for s in scores], indent=2) + "\n")


if __name__ == "__main__":
    main()
