"""The public interface: a company's numbers from Python are the published ones, and nothing is written."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import rmetrics
from published import Published, query
from rmetrics.errors import SettingsError
from support import Project


@pytest.fixture
def folder(sample: Published, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample's project folder, whose settings are found by the environment."""
    assert sample.project is not None
    monkeypatch.chdir("/")
    monkeypatch.setenv("RMETRICS_POSTGRES_DSN", sample.project.dsn)
    return sample.project.root


@pytest.mark.parametrize(("grain", "day"), [("daily", "date"), ("monthly", "month")])
def test_the_frame_holds_the_published_figures(folder: Path, sample: Published, grain: str, day: str) -> None:
    found = rmetrics.open(folder).metrics(grain)  # type: ignore[arg-type]
    assert isinstance(found["cost"].dtype, pl.Decimal)
    _, rows = query(sample.owner, f"SELECT {day}, source, segment, leads, cost::text FROM {grain}_metrics")
    ours = [(*row[:4], str(row[4])) for row in found.select(day, "source", "segment", "leads", "cost").rows()]
    assert ours == sorted(ours)
    assert {(str(a), b, c, int(d), e) for a, b, c, d, e in ours} == {
        (str(a), b, c, int(d), e) for a, b, c, d, e in rows
    }


def test_an_explanation_is_proved_against_the_database(folder: Path) -> None:
    found = rmetrics.open(folder).explain("google", "2024-10", metrics=["leads"])
    assert list(found.metrics) == ["leads"]
    assert found.verdict == "match"


def test_sql_returns_a_frame(folder: Path) -> None:
    found = rmetrics.open(str(folder)).sql("SELECT min(date) AS first, count(*) AS days FROM daily_metrics")
    assert found.columns == ["first", "days"]
    assert isinstance(found["first"][0], dt.date)
    with pytest.raises(SettingsError, match="DROP"):
        rmetrics.open(folder).sql("DROP TABLE jobs")


def test_nothing_is_written(folder: Path) -> None:
    def state() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in (folder / "data").rglob("*") if p.is_file()}

    before = state()
    company = rmetrics.open(folder)
    company.metrics()
    company.sql("SELECT 1 AS one")
    assert state() == before


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not an rmetrics project"):
        rmetrics.open(tmp_path)


def test_an_unknown_grain_is_refused(project: Project) -> None:
    with pytest.raises(SettingsError, match="weekly"):
        rmetrics.open(project.root).metrics("weekly")  # type: ignore[arg-type]


def test_the_folder_s_env_file_counts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RMETRICS_DATA_DIR", "RMETRICS_PG_SCHEMA"):
        monkeypatch.delenv(name, raising=False)
    (project.root / ".env").write_text("RMETRICS_DATA_DIR=elsewhere\nRMETRICS_PG_SCHEMA=numbers\n", encoding="utf-8")
    settings = rmetrics.open(project.root).settings
    assert settings.data_dir == project.root / "elsewhere"
    assert settings.pg_schema == "numbers"


def test_the_import_alone_loads_no_engine() -> None:
    code = "import sys, rmetrics; print(sorted({'polars', 'duckdb', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
