"""The generated exports, and that every peer makes of them what rmetrics makes of them."""

import datetime as dt
import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from dbt_duckdb import models
from duckdb_sql import HERE
from duckdb_sql import run as duckdb_run
from same import difference

from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from support import ROOT

JOBS = 3_000


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    pytest.importorskip("numpy", reason="the exports are generated with NumPy, of the group bench")
    return importlib.import_module("generate")


@pytest.fixture(scope="module")
def history(generator: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    generator.generate(folder, generator.Company(JOBS))
    return folder


@dataclass(frozen=True, slots=True)
class Own:
    """What rmetrics makes of an inbox."""

    lake: Lake
    computed: Computed

    def table(self, name: str) -> pl.DataFrame:
        """A table of the lake."""
        return self.computed.rows.scan(name).collect()

    def unlike(self, peer: Path) -> str | None:
        """How the daily metrics a peer has written differ."""
        ours = peer / "ours.parquet"
        self.table("daily_metrics").write_parquet(ours)
        return difference(ours, peer / "daily_metrics.parquet")


def synced(inbox: Path, folder: Path) -> Own:
    rules, lake = load_rules(ROOT / "rules"), Lake(folder)
    with lake.locked():
        seen = land_inbox(inbox, lake, rules, silent)
        assert [s.name for s in seen if s.refused] == []
        return Own(lake, compute(lake, rules, silent))


@pytest.fixture(scope="module")
def own(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Own:
    return synced(history, tmp_path_factory.mktemp("lake"))


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


# -- the exports


def test_the_same_arguments_give_the_same_bytes(generator: ModuleType, history: Path, tmp_path: Path) -> None:
    generator.generate(tmp_path / "again", generator.Company(JOBS))
    assert digests(tmp_path / "again") == digests(history)
    assert [p.stat().st_mtime for p in sorted(history.iterdir())] == [
        p.stat().st_mtime for p in sorted((tmp_path / "again").iterdir())
    ]


def test_the_history_has_everything_the_rules_meet(own: Own) -> None:
    facts = own.table("job_facts")
    sources = {name.casefold() for name in facts["source"]}  # an undeclared one is spelled as its first job spells it
    wanted = {*load_rules(ROOT / "rules").sources, "Unattributed", "Insurance", "Service Direct"}
    assert sources >= {name.casefold() for name in wanted}
    assert set(facts["segment"]) == {"COD", "INS", "OTHER"}
    payments = own.table("payments")
    assert payments["amount"].min() < 0  # type: ignore[operator]
    assert set(payments["counted"]) == {True, False}
    orphans = payments.filter(pl.col("job_id").is_null())
    assert orphans["job_ref"].is_null().any()
    assert orphans["job_ref"].is_not_null().any()
    assert payments.filter(pl.col("job_ref").str.starts_with("U") & pl.col("job_id").is_not_null()).height
    assert facts.height == pytest.approx(JOBS, abs=2)


def test_a_day_brings_new_rows_and_changes_old_months(generator: ModuleType, history: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    generator.generate(inbox, generator.Company(JOBS))
    before = synced(inbox, tmp_path / "lake").table("daily_metrics")
    made = generator.generate_day(inbox, generator.Company(JOBS), 1)
    assert min(p.stat().st_mtime for p in made) > max(p.stat().st_mtime for p in history.iterdir())
    own = synced(inbox, tmp_path / "lake")
    after = own.table("daily_metrics")
    changed = set(after.join(before, on=after.columns, how="anti")["date"].dt.month_start())
    assert dt.date(2025, 1, 1) in changed
    assert {m for m in changed if m.year == 2024}
    assert len({m for m in changed if m.year < 2024}) >= 3
    assert own.table("jobs")["created_at"].dt.date().max() >= dt.date(2025, 1, 1)  # type: ignore[operator]


# -- the peers


def test_duckdb_sql_agrees(history: Path, own: Own, tmp_path: Path) -> None:
    duckdb_run(history, tmp_path)
    assert own.unlike(tmp_path) is None


def test_duckdb_over_the_typed_files_agrees(history: Path, own: Own, tmp_path: Path) -> None:
    importlib.import_module("duckdb_lake").run(history, tmp_path, own.lake.root)
    assert own.unlike(tmp_path) is None


def test_pandas_agrees(history: Path, own: Own, tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="of the group bench")
    importlib.import_module("pandas_peer").run(history, tmp_path)
    assert own.unlike(tmp_path) is None


def test_postgres_agrees(history: Path, own: Own, tmp_path: Path, database: str) -> None:
    pytest.importorskip("psycopg", reason="of the group bench")
    importlib.import_module("postgres_copy").run(history, tmp_path, database)
    assert own.unlike(tmp_path) is None


def test_peers_agree_after_a_day_too(generator: ModuleType, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    generator.generate(inbox, generator.Company(JOBS, seed=8))
    for day in (1, 2):
        generator.generate_day(inbox, generator.Company(JOBS, seed=8), day)
    own = synced(inbox, tmp_path / "lake")
    duckdb_run(inbox, tmp_path)
    assert own.unlike(tmp_path) is None


# -- what needs no generated data


def test_models_of_dbt_name_each_other_by_ref() -> None:
    sql = (HERE / "duckdb_typed.sql").read_text() + (HERE / "duckdb_metrics.sql").read_text()
    feeds = ("jobs", "payments", "elocals_leads", "proref_leads", "calls", "google_spend")
    made = models(sql, {f: [Path(f"/inbox/{f}.csv")] for f in feeds})
    assert set(made) == {*feeds, "linked", "facts", "daily_jobs", "daily_revenue", "daily_leads", "google_days",
                         "google_costs", "daily_metrics"}  # fmt: skip
    assert not [n for n, body in made.items() if "getvariable" in body or "CREATE" in body]
    assert "read_csv(['/inbox/jobs.csv']" in made["jobs"]
    assert made["facts"].count("{{ ref('jobs') }}") == 1
    assert "FROM {{ ref('payments') }} p" in made["linked"]


@pytest.mark.parametrize("change", [pl.col("cost") + 1, pl.col("jobs") - 1, pl.lit("x").alias("source")])
def test_a_difference_of_one_cell_is_found(tmp_path: Path, change: pl.Expr) -> None:
    ours = pl.DataFrame({
        "date": [dt.date(2024, 1, 1), dt.date(2024, 1, 2)], "source": ["a", "b"], "segment": ["COD", "COD"],
        "jobs": [1, 2], "leads": [1, 2], "units": [1, 1], "repairs": [0, 1],
        "revenue_gross": [1, 2], "revenue40": [1, 2], "cost": [5, 6],
    })  # fmt: skip
    ours.write_parquet(tmp_path / "ours")
    assert difference(tmp_path / "ours", tmp_path / "ours") is None
    pl.concat([ours[:1], ours[1:].with_columns(change)], how="vertical_relaxed").write_parquet(tmp_path / "theirs")
    found = difference(tmp_path / "ours", tmp_path / "theirs")
    assert found is not None
    assert "2024-01-02 b COD" in found
