"""The backtest of the forecast: what is recorded reaches the goals, is what the page tells, and is what the code gives."""

import json
from pathlib import Path

import forecast as benchmark
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "benchmarks" / "results" / "forecast.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("score", RECORDED, ids=lambda score: str(score["what"]))
def test_the_recorded_scores_reach_the_goals_and_are_told(score: dict[str, object]) -> None:
    coverage, better, error = (float(str(score[name])) for name in ("coverage", "better", "error"))
    assert 0.75 <= coverage <= 0.85
    assert better >= 0.25
    told = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert f"| {score['forecasts']:,} | {error:.1%} |" in told
    assert f"| {better:.0%} | {coverage:.1%} of {score['intervals']:,} |" in told


def test_a_company_is_the_same_every_time() -> None:
    once, again = (list(benchmark.generated(3, years=1)) for _ in range(2))
    assert [s.values for s in once] == [s.values for s in again]
    assert sum(once[0].values) > 0


@pytest.mark.slow
def test_the_scores_are_what_the_code_gives() -> None:
    series = [s for seed in range(40) for s in benchmark.generated(seed)]
    made = benchmark.backtest("generated, the third year", series, skip_days=700)
    (recorded,) = (s for s in RECORDED if s["what"] == made.what)
    assert (made.forecasts, made.error, made.coverage) == tuple(recorded[n] for n in ("forecasts", "error", "coverage"))
