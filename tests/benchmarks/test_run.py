"""The benchmark ends where a contender disagrees; nothing of it is kept then."""

import datetime as dt
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from measure import BenchmarkError, Measured

OURS = pl.DataFrame({
    "date": [dt.date(2024, 1, 1)], "source": ["a"], "segment": ["COD"], "jobs": [1], "leads": [1], "units": [1],
    "repairs": [0], "revenue_gross": [1], "revenue40": [1], "cost": [5],
})  # fmt: skip


@pytest.fixture
def run() -> ModuleType:
    for name in ("numpy", "psycopg"):
        pytest.importorskip(name, reason="of the group bench")
    return importlib.import_module("run")


def peer_says(
    run: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, metrics: pl.DataFrame, rows: dict[str, int]
) -> Any:
    """Lets a made-up peer run; returns the size with its figures."""

    def script(*arguments: Any) -> tuple[Measured, dict[str, Any]]:
        metrics.write_parquet(Path(arguments[3]) / "daily_metrics.parquet")
        return Measured(1.0, 1.0, 1, ""), {"rows": rows, "seconds": 0.5}

    OURS.write_parquet(folder / "ours.parquet")
    monkeypatch.setattr(run.Bench, "_script", script)
    bench, size = run.Bench(folder, None, None, 1, wide=False), run.Size(1, rows={"jobs": 1})
    try:
        bench._peer("peer/x", size, folder, folder / "ours.parquet", ["x.py"])  # noqa: SLF001
    finally:
        assert not (folder / "out").exists()
        folder.joinpath("figures").write_text(repr(sorted(size.figures)))
    return size


def test_a_peer_that_agrees_is_timed(run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = peer_says(run, tmp_path, monkeypatch, OURS, {"jobs": 1})
    assert size.figures["peer/x"].plain() == {"wall": [1.0], "cpu": [1.0], "rss": [1], "parts": {"seconds": [0.5]}}


@pytest.mark.parametrize(
    ("metrics", "rows", "told"),
    [
        (OURS.with_columns(pl.col("cost") + 1), {"jobs": 1}, "other metrics than rmetrics: 1 of 1 keys differ"),
        (OURS.clear(), {"jobs": 1}, "other metrics"),
        (OURS, {"jobs": 2}, "other rows than rmetrics"),
    ],
)
def test_a_peer_that_disagrees_ends_the_benchmark(
    run: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    metrics: pl.DataFrame,
    rows: dict[str, int],
    told: str,
) -> None:
    with pytest.raises(BenchmarkError, match=told):
        peer_says(run, tmp_path, monkeypatch, metrics, rows)
    assert (tmp_path / "figures").read_text() == "[]"
