"""``rmetrics sql``: what it shows, and what it refuses."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rmetrics.cli import run
from rmetrics.errors import LakeError, RmetricsError, SettingsError
from rmetrics.usecases.sql import query, query_to_parquet, views
from small_company import jobs
from support import Project, fresh_database, new_project


@pytest.fixture(scope="module")
def synced(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("query") / "project", uri)
        project.put(
            "Import-1.csv",
            jobs(
                (1, "COD Service", "Google", "Tue Nov 05 2024", "=1+1", "6175550101"),
                (2, "COD Repair", "Rely", "Wed Nov 06 2024", "-2", ""),
                more=("Status", "Primary Phone"),
            ),
        )
        project.sync()
        yield project


@pytest.fixture
def command(synced: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    for name, value in synced.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(synced.root)
    return lambda *arguments: run(list(arguments))


def asked(project: Project, sql: str) -> list[tuple[object, ...]]:
    with query(project.settings, sql) as result:
        return list(result.rows)


def test_there_is_a_view_per_feed_and_per_result(synced: Project) -> None:
    found = views(synced.settings)
    assert {"jobs", "payments", "calls", "targets", "job_facts", "daily_metrics", "monthly_metrics",
            "weekly_metrics", "quarterly_metrics", "yearly_metrics"} <= found.keys()  # fmt: skip
    assert {"job_id", "source", "segment", "is_unit", "is_repair", "paid", "metric_date", "_line", "_export"} <= {
        c for c, _ in found["job_facts"]
    }
    assert "_parts" not in {c for c, _ in found["jobs"]}


def test_rows_name_their_export_and_line(synced: Project) -> None:
    assert asked(synced, "SELECT job_id, _export, _line FROM jobs ORDER BY 1;") == [
        ("1", "Import-1.csv", 2),
        ("2", "Import-1.csv", 3),
    ]


def test_stamps_need_no_other_library(synced: Project) -> None:
    ((stamp,),) = asked(synced, "SELECT created_at FROM jobs WHERE job_id = '1'")
    assert str(stamp) == "2024-11-05 05:00:00+00:00"


def test_table_csv_json_and_parquet(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sql = "SELECT job_id, status, paid FROM job_facts ORDER BY job_id"
    assert command("sql", sql) == 0
    assert "2 rows" in capsys.readouterr().out
    assert command("sql", "--csv", sql) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["job_id", "status", "paid"], ["1", "'=1+1", "0.00"], ["2", "'-2", "0.00"]]
    assert command("sql", "--json", sql) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"][0] == {"job_id": "1", "status": "=1+1", "paid": "0.00"}
    target = tmp_path / "x.parquet"
    assert command("sql", "--parquet", str(target), sql) == 0
    assert pq.read_table(target).num_rows == 2
    assert command("sql", "--csv", "--json", sql) == 2
    assert command("sql") == 0
    assert "job_facts" in capsys.readouterr().out


def test_a_table_is_cut_and_says_so(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("sql", "--limit", "3", "SELECT * FROM range(10)") == 0
    assert "The first 3 rows" in capsys.readouterr().out


ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM read_parquet('/tmp/*.parquet')",
    "SELECT * FROM read_parquet('{raw}')",
    "SELECT * FROM read_parquet('{lake}/metrics/../raw/x.parquet')",
    "SELECT * FROM read_json('https://example.com/x.json')",
    "SELECT * FROM 's3://bucket/x.parquet'",
    "SELECT getenv('HOME')",
    "SELECT * FROM project",
    "COPY jobs TO '/tmp/stolen.csv'",
    "COPY (SELECT 1) TO '{current}' (FORMAT parquet, use_tmp_file false)",
    "EXPORT DATABASE '/tmp/stolen'",
    "ATTACH '/tmp/stolen.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET allowed_paths = ['/etc/passwd']",
    "PRAGMA database_list",
    "RESET lock_configuration",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW jobs",
    "DELETE FROM _work.exports",
    "SELECT 1; SELECT 2",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM enable_logging()",
    "CALL enable_logging()",
    "",
    "SELECT",
    "SELECT nothing FROM jobs",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_nothing_leads_out_of_the_sandbox(synced: Project, sql: str) -> None:
    lake = synced.root / "data" / "lake"
    before = {p: p.read_bytes() for p in lake.rglob("*.parquet")}
    text = sql.format(
        raw=min((lake / "raw" / "jobs").glob("*.parquet")), lake=lake, current=lake / "metrics" / "jobs.parquet"
    )
    with pytest.raises(SettingsError):
        asked(synced, text)
    assert {p: p.read_bytes() for p in lake.rglob("*.parquet")} == before
    assert not Path("/tmp/stolen.csv").exists()  # noqa: S108 - must not exist


def test_a_symbolic_link_leads_nowhere(synced: Project) -> None:
    link = synced.root / "data" / "lake" / "metrics" / "link.parquet"
    link.symlink_to("/etc/passwd")
    with pytest.raises(SettingsError):
        asked(synced, f"SELECT * FROM read_parquet('{link}')")


def test_memory_is_limited(synced: Project) -> None:
    settings = synced.settings.model_copy(update={"memory_limit": "50MB"})
    with pytest.raises(RmetricsError, match="out of memory"), query(settings, "SELECT max(len(l)) FROM (SELECT list(repeat('x', 1000) || range) AS l FROM range(1000000))") as result:  # fmt: skip
        list(result.rows)


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
@pytest.mark.deep
def test_ctrl_c_stops_a_statement(synced: Project) -> None:
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    spill = synced.root / "data" / "lake" / "duckdb"
    before = set(spill.iterdir()) if spill.is_dir() else set()  # of this process, not yet collected
    running = subprocess.Popen([sys.executable, "-m", "rmetrics", "sql", endless], env=synced.environment, cwd=synced.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    for _ in range(200):
        if spill.is_dir() and set(spill.iterdir()) - before:
            break
        time.sleep(0.1)
    time.sleep(3)  # until the statement runs, on a busy machine too
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert set(spill.iterdir()) - before == set()


def test_parquet_is_written_whole_or_not_at_all(synced: Project, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot write"):
        query_to_parquet(synced.settings, "SELECT 1", tmp_path / "no" / "x.parquet")
    with pytest.raises(RmetricsError):
        query_to_parquet(synced.settings, "SELECT CAST('x' || range AS INTEGER) FROM range(10)", tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_sync_it_says_what_to_do(project: Project) -> None:
    with pytest.raises(LakeError, match="no export has landed"):
        views(project.settings)
