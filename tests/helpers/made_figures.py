"""Made-up figures of a run."""

from typing import Any


def figure(*wall: float, rss: int = 100 * 2**20, rows: int | None = None, **parts: float) -> dict[str, Any]:
    """One figure; parts are the same in every round."""
    made: dict[str, Any] = {"wall": list(wall), "cpu": list(wall), "rss": [rss] * len(wall)}
    if parts:
        made["parts"] = {n: [v] * len(wall) for n, v in parts.items()}
    if rows is not None:
        made["rows"] = rows
    return made


def size(jobs: int, **changed: dict[str, Any]) -> dict[str, Any]:
    """One size with every figure; ``changed`` replaces some."""
    figures = {
        "rmetrics/first sync": figure(10.0, 9.0, rows=1000, land=1.0, type=2.0, compute=1.0, check=2.0, publish=2.0),
        "rmetrics/help": figure(0.1),
        "rmetrics/status": figure(0.5),
        "rmetrics/explain a month": figure(1.0),
        "rmetrics/nothing new": figure(0.5),
        "rmetrics/plan of an edited price": figure(2.0),
        "rmetrics/one more day": figure(0.6, rows=10, publish=0.2),
        "rmetrics/full rebuild": figure(10.0),
        "peer/DuckDB SQL": figure(4.0, typed=3.0, metrics=1.0),
        "peer/pandas": figure(20.0),
        "peer/Postgres COPY and SQL": figure(21.0, seconds=18.0),
        "peer/dbt-duckdb": figure(17.0),
        "lake/DuckDB SQL": figure(2.0, metrics=1.5),
        "landing/dlt": figure(3.0, rows=1000),
        "floor/CSV, Polars": figure(0.5, rows=1000),
        "publish/bare ADBC": figure(2.5, rows=1000, seconds=2.0),
        "publish/pandas to_sql": figure(5.0, rows=100, seconds=4.0),
    }
    return {
        "jobs": jobs,
        "export_files": 20,
        "export_bytes": 10**6,
        "rows": {"jobs": jobs},
        "figures": {**figures, **changed},
    }


def results(*sizes: dict[str, Any]) -> dict[str, Any]:
    """A run."""
    return {
        "name": "made up", "at": "2025-01-01 00:00 UTC", "seconds": 1, "revision": "abc",
        "machine": {"cores": 2, "memory_gib": 8.0, "processor": "p", "system": "s", "filesystem": "f"},
        "versions": {"python": "3.11", "polars": "2.1"}, "wide": False, "cache": "warm", "sizes": list(sizes),
    }  # fmt: skip
