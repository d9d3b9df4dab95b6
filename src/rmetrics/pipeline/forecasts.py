"""Forecasts of the running month's end, for the company and each source, from the lake alone, without a clock."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.brief.published import needed_feeds
from rmetrics.checks.forecasts import RecomputedForecast, recompute_forecasts
from rmetrics.metrics.forecast import Forecast, forecast
from rmetrics.metrics.holidays_of import holidays_of
from rmetrics.metrics.tallies import last_day
from rmetrics.periods import month_of, next_month
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.names import TALLIES
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.rules import ALL, Rules
from rmetrics.tables import DAILY

# Without cost: a month's advertising is known at once, but is booked only up to the data's last day.
SCALES: Mapping[str, int] = {
    "jobs": 2, "leads": 2, "units": 2, "repairs": 2, "revenue_gross": 2, "revenue40": 6,
}  # fmt: skip
"""The measures that are forecast, with the number of decimals they are computed with."""
_CENTS = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated month end of one measure of one source, or of ``ALL``, with two decimals; never a figure.

    Attributes:
        as_of: the last whole day it is based on; it may lie before the month.
        reached: the sum of the month up to that day, which is a figure.
        path: the estimated sum since the first of the month at the end of each later day of the month.
        low, high: the range in which the month ends in four of five cases; None with too few past months.
        past: number of past months behind the range.
    """

    month: dt.date
    source: str
    measure: str
    as_of: dt.date
    reached: Decimal
    path: tuple[tuple[dt.date, Decimal], ...]
    value: Decimal
    low: Decimal | None
    high: Decimal | None
    past: int


def month_estimates(computed: Computed, rules: Rules) -> tuple[Estimate, ...]:
    """Returns the estimates for the month of the data's last day, ``ALL`` first.

    They are based on whole days: those that were over when each feed that the figures need was last exported, as in
    the brief. A source with fewer than eight weeks of figures has no estimate.

    Args:
        computed: the computation and its exports.
        rules: declare the feeds needed, and the country whose holidays count.
    """
    end = _last_day(computed, rules)
    if end is None:
        return ()
    daily = computed.rows.scan(DAILY).filter(pl.col("date") <= end).select("date", "source", "segment", *SCALES)
    return tuple(_estimates(daily.collect(), rules, _last_whole_day(computed, rules, end), month_of(end)))


def estimates_differing(
    computed: Computed, rules: Rules, published: Mapping[tuple[str, str, dt.date], tuple[Decimal | None, ...]] | None
) -> list[str]:
    """Returns the differences of the estimates, and of those published, from a second computation.

    Args:
        computed: the computation.
        rules: the rules in force.
        published: value, low and high by source, measure and day, as in ``forecasts``; None to skip the comparison.

    Returns:
        A line for each difference.
    """
    end = _last_day(computed, rules)
    recomputed = dict[tuple[str, str], RecomputedForecast]()
    if end is not None:
        month, last_whole = month_of(end), _last_whole_day(computed, rules, end)
        path = computed.snapshot.path(DAILY)
        holidays = holidays_of(rules.business.country, last_whole.year - 6, next_month(month).year)
        recomputed = recompute_forecasts(path, month, end, last_whole, holidays, computed.rows.lake.root / "duckdb")
    ours = {(e.source, e.measure): e for e in month_estimates(computed, rules)}
    found = []
    for key in sorted({*ours, *recomputed}):
        mine, other = (_in_words(of.get(key)) for of in (ours, recomputed))
        if mine != other:
            found.append(f"{key[0]} {key[1]}: estimate {mine}, second computation {other}")
    if published is not None:
        wanted = dict[tuple[str, str, dt.date], tuple[Decimal | None, ...]]()
        for (source, measure), e in recomputed.items():
            for day, value in steps(month, e.as_of, e.reached, e.path):
                ends = day == (e.path[-1][0] if e.path else e.as_of)
                wanted[source, measure, day] = (value, *((e.low, e.high) if ends else (None, None)))
        for row in sorted({*wanted, *published}):
            stored, right = published.get(row), wanted.get(row)
            if stored != right:
                found.append(f"{row[0]} {row[1]} {row[2]}: PostgreSQL has {_values(stored)}, the lake {_values(right)}")
    return found


def steps(
    month: dt.date, as_of: dt.date, reached: Decimal, path: Sequence[tuple[dt.date, Decimal]]
) -> list[tuple[dt.date, Decimal]]:
    """Returns the published days of an estimate: the last whole one if it is in the month, then those ahead."""
    return [*([(as_of, reached.quantize(Decimal("0.01")))] if as_of >= month else []), *path]


def _in_words(of: Estimate | RecomputedForecast | None) -> str:
    if of is None:
        return "nothing"
    path = ", ".join(str(value) for _, value in of.path)
    return f"{of.value} ({of.low} to {of.high}, {of.past} months, from {of.reached} on {of.as_of}; {path})"


def _values(row: tuple[Decimal | None, ...] | None) -> str:
    return "nothing" if row is None else " ".join(str(v) for v in row if v is not None)


def _last_day(computed: Computed, rules: Rules) -> dt.date | None:
    newest = newest_day((p.raw for p in computed.placed), rules)
    found: dt.date | None = last_day(computed.snapshot.scan(TALLIES["days"]), rules, newest).collect().item()
    return found


def _last_whole_day(computed: Computed, rules: Rules, end: dt.date) -> dt.date:
    exported = dict[str, dt.datetime]()
    for placed in computed.placed:
        exported[placed.feed] = max(placed.raw.exported_at, exported.get(placed.feed, placed.raw.exported_at))
    zone = ZoneInfo(rules.business.timezone)
    days = [exported[f].astimezone(zone).date() - dt.timedelta(days=1) for f in needed_feeds(rules) if f in exported]
    return min([end, *days])


def _estimates(daily: pl.DataFrame, rules: Rules, last_whole: dt.date, month: dt.date) -> Iterator[Estimate]:
    by_source = daily.group_by("source", "date").agg(pl.col(*SCALES).sum())
    company = daily.group_by("date").agg(pl.col(*SCALES).sum()).with_columns(pl.lit(ALL).alias("source"))
    for source, of_source in [(ALL, company), *sorted(((str(k[0]), f) for k, f in by_source.group_by("source")))]:
        first: dt.date = of_source["date"].min()  # type: ignore[assignment]
        if first > last_whole:
            continue
        holidays = holidays_of(rules.business.country, first.year, next_month(month).year)
        series = _series(of_source, first, last_whole)
        known = of_source.filter((pl.col("date") >= month) & (pl.col("date") < next_month(month)))
        for measure, scale in SCALES.items():
            found = forecast(series[measure], first, last_whole, month, holidays)
            if found is not None:
                yield _estimate(source, measure, scale, found, _units(known[measure], scale))


def _series(rows: pl.DataFrame, first: dt.date, last: dt.date) -> dict[str, Sequence[int]]:
    """Returns each measure of every day, in its smallest unit; 0 if there is no row."""
    days = pl.DataFrame({"date": pl.date_range(first, last, eager=True)})
    filled = days.join(rows, on="date", how="left").sort("date").fill_null(0)
    return {
        name: (filled[name].cast(pl.Decimal(30, scale)) * 10**scale).cast(pl.Int64).to_list()
        for name, scale in SCALES.items()
    }


def _units(values: pl.Series, scale: int) -> int:
    return int(Decimal(str(values.sum() or 0)).scaleb(scale))


def _estimate(source: str, measure: str, scale: int, found: Forecast, known: int) -> Estimate:
    """Returns an estimate in decimals, not below what the month already has, including its days that are not whole."""
    grows = found.value >= found.reached
    least = known if grows else min(found.value, known)

    def amount(units: int, *, at_least: bool = True) -> Decimal:
        value = max(units, least) if at_least else units
        return Decimal(value).scaleb(-scale).quantize(Decimal(1).scaleb(-_CENTS))

    return Estimate(
        month=found.month,
        source=source,
        measure=measure,
        as_of=found.as_of,
        reached=Decimal(found.reached).scaleb(-scale),
        path=tuple((day, amount(units, at_least=day == found.path[-1][0])) for day, units in found.path),
        value=amount(found.value),
        low=None if found.low is None else amount(found.low),
        high=None if found.high is None else amount(found.high),
        past=found.past,
    )


__all__ = ["SCALES", "Estimate", "estimates_differing", "month_estimates", "steps"]
