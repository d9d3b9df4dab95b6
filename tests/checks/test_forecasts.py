"""Estimates of the month's end, made twice: the same on generated years, and an error planted in the first is seen."""

import datetime as dt
import random
import sys
import types
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rmetrics.checks.forecasts import RecomputedForecast, recompute_forecasts
from rmetrics.metrics import forecast as first
from rmetrics.metrics.holidays_of import holidays_of
from rmetrics.pipeline import forecasts
from rmetrics.pipeline.forecasts import SCALES, Estimate
from rmetrics.rules import Rules, load_rules
from support import ROOT

BEGIN = dt.date(2022, 3, 9)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(ROOT / "rules")


def days(seed: int, end: dt.date) -> pl.DataFrame:
    """Days of three sources: a large one, one with refunds and gaps, and one that is too young for a forecast."""
    chance = random.Random(seed)  # noqa: S311 - generated data
    starts = {"Large": BEGIN, "Small": BEGIN + dt.timedelta(days=200), "New": end - dt.timedelta(days=30)}
    rows = []
    for source, start in starts.items():
        for n in range((end - start).days + 1):
            day = start + dt.timedelta(days=n)
            if source == "Small" and chance.random() < 0.6:
                continue
            counts = [chance.randint(0, 9 if day.weekday() < 5 else 2) for _ in range(4)]
            cents = chance.randint(-20_000 if source == "Small" else 0, 90_000)
            rows.append((day, source, "COD", *counts, Decimal(cents).scaleb(-2), Decimal(cents * 4_123).scaleb(-6)))
    schema: dict[str, Any] = {
        "date": pl.Date,
        "source": pl.String,
        "segment": pl.String,
        **dict.fromkeys(SCALES, pl.Int64),
    }
    schema |= {"revenue_gross": pl.Decimal(18, 2), "revenue40": pl.Decimal(18, 6)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def both(folder: Path, rules: Rules, seed: int, end: dt.date, behind: int) -> tuple[dict[tuple[str, str], object], ...]:
    """All estimates of both, by source and measure; ``behind``: how many of the last days are not whole."""
    daily, whole, month = days(seed, end), end - dt.timedelta(days=behind), end.replace(day=1)
    daily.write_parquet(folder / "daily.parquet")
    ours = {(e.source, e.measure): _told(e) for e in forecasts._estimates(daily, rules, whole, month)}  # noqa: SLF001
    holidays = holidays_of("US", 2018, 2026)
    again = recompute_forecasts(folder / "daily.parquet", month, end, whole, holidays, folder / "duckdb")
    return dict(ours), {key: _told(e) for key, e in again.items()}


def _told(e: Estimate | RecomputedForecast) -> tuple[object, ...]:
    return e.as_of, e.reached, e.path, e.value, e.low, e.high, e.past


@pytest.mark.parametrize(
    ("seed", "end", "behind"),
    [
        (1, dt.date(2024, 11, 12), 0),
        (2, dt.date(2024, 12, 1), 3),  # the last whole day is of the month before
        pytest.param(3, dt.date(2024, 11, 30), 0, marks=pytest.mark.slow),
        pytest.param(4, dt.date(2022, 7, 4), 1, marks=pytest.mark.slow),  # too few past months for a range
        pytest.param(5, dt.date(2026, 2, 27), 1, marks=pytest.mark.slow),
    ],
)
def test_both_estimate_the_same(tmp_path: Path, rules: Rules, seed: int, end: dt.date, behind: int) -> None:
    ours, again = both(tmp_path, rules, seed, end, behind)
    assert ours == again
    assert {source for source, _ in ours} == ({"ALL", "Large"} if end.year == 2022 else {"ALL", "Large", "Small"})


PLANTED = [
    ("level * weights_so_far", "level * weights_so_far + weights"),
    ("series.sum(min(begun, now), now)", "series.sum(min(begun + 1, now), now)"),
    ("LEVEL_DAYS: Final = 42", "LEVEL_DAYS: Final = 41"),
    ("if not self.is_holiday[day]:", "if True:"),
    ("usual * holiday[0] // holiday[1] if self.is_holiday[day] else usual", "usual"),
    ("reached + estimates[n] - before", "reached + estimates[n]"),
    ("at, rest = divmod(4 * (len(ordered) + 1) - 5, 5)", "at, rest = divmod(4 * (len(ordered) + 1) - 10, 5)"),
    ("error * error * _PRECISION", "abs(error) * _PRECISION"),
    ("found.append(", "found.insert(0, 0) or found.append("),
    ("if end <= now:", "if end < now:"),
]


@pytest.mark.parametrize(
    ("old", "new"), [pytest.param(*p, marks=[pytest.mark.slow] if i > 1 else []) for i, p in enumerate(PLANTED)]
)
def test_a_planted_error_is_seen(
    tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    source = Path(str(first.__file__)).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"the forecast no longer holds {old}: plant the error anew"
    wrong = types.ModuleType("rmetrics.metrics.forecast")
    monkeypatch.setitem(sys.modules, "rmetrics.metrics.forecast", wrong)  # dataclasses look their module up
    exec(compile(source.replace(old, new), "forecast (wrong)", "exec"), wrong.__dict__)  # noqa: S102 - our own source
    monkeypatch.setattr(forecasts, "forecast", wrong.forecast)
    ends = [(dt.date(2024, 12, 1), 3), (dt.date(2024, 12, 1), 1), (dt.date(2024, 11, 12), 0)]
    assert any(a != b for end, behind in ends for a, b in [both(tmp_path, rules, 1, end, behind)])
