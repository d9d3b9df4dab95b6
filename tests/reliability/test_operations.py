"""docs/operations.md, tried: restore from raw/ and rules/, an upgrade of the schema, the shipped cron line, long use."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from published import run
from reliability.figures import record
from reliability.world import World, differences, tables
from rmetrics.pipeline import publication
from small_company import jobs
from support import ROOT, Project, fresh_database, new_project


@pytest.mark.slow
def test_a_backup_of_raw_and_rules_restores_everything(pg_uri: str, world: World, tmp_path: Path) -> None:
    with world.copy(tmp_path / "p") as project, fresh_database(pg_uri) as dsn:
        assert world.run(project).exit == 0
        restored = new_project(tmp_path / "restored", dsn)
        shutil.copytree(project.root / "data" / "lake" / "raw", restored.root / "data" / "lake" / "raw")
        assert world.run(restored).exit == 0
        history = {"metric_changes"}  # lives in the database alone
        assert set(differences(tables(restored), world.after["tables"])) <= history


@pytest.mark.slow
def test_a_newer_schema_is_applied_in_place_with_data_and_grants_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.put("Import-1.csv", jobs((1,)))
    project.sync()
    run(project.dsn, "GRANT SELECT ON monthly_metrics TO pg_monitor")
    before = tables(project)
    script = (ROOT / "schema.sql").read_text(encoding="utf-8")
    newer = script + "\n\nALTER TABLE monthly_metrics ADD COLUMN IF NOT EXISTS note varchar;\n"
    monkeypatch.setattr(publication, "schema_script", lambda: newer)
    project.sync()
    assert project.rows("SELECT note FROM monthly_metrics") == [(None,)]
    assert project.rows("SELECT has_table_privilege('pg_monitor', 'monthly_metrics', 'SELECT')") == [(True,)]
    assert set(differences(tables(project), before)) <= {"monthly_metrics", "published_parts"}
    assert project.sync().status == "unchanged"


@pytest.mark.deep
def test_the_shipped_cron_line_syncs_quietly(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    (line,) = (x for x in (ROOT / "ops" / "crontab").read_text().splitlines() if x.startswith("*/15"))
    command = (
        line.split(" ", 5)[5]
        .replace("/srv/acme", str(project.root))
        .replace("/opt/rmetrics/bin/rmetrics", f"{sys.executable} -m rmetrics")
    )
    plain = {k: v for k, v in project.environment.items() if k.startswith("RMETRICS_")} | {
        "PATH": "/usr/bin:/bin",
        "HOME": "/",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=plain, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert project.rows("SELECT count(*) FROM jobs") == [(1,)]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_the_shipped_units_are_units(tmp_path: Path) -> None:
    for unit in (ROOT / "ops").glob("*@.*"):
        text = unit.read_text().replace("/opt/rmetrics/bin/rmetrics", "/bin/true")
        (tmp_path / unit.name.replace("@", "@srv-acme")).write_text(text)
    for unit in tmp_path.iterdir():
        done = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
        )
        told = [x for x in done.stderr.splitlines() if "rmetrics" in x]
        assert told == [], told


@pytest.mark.slow
def test_many_syncs_in_a_row_leave_nothing_behind(project: Project) -> None:
    """A growing lake, in one process: memory, open files, files and dead rows level off."""
    syncs, seen = 200, list[tuple[int, int]]()
    for n in range(syncs):
        if n % 4 == 0:
            project.put(f"Import-{n:03}.csv", jobs((n,), (1, "COD Repair", "Rely" if n % 8 else "NSA")))
        project.sync()
        seen.append((len(list(Path("/proc/self/fd").iterdir())), _memory()))
    assert seen[-1][0] <= seen[20][0] + 5, "open files"
    assert seen[-1][1] - seen[100][1] < 150 * 2**20, "memory"
    lake = project.root / "data" / "lake"
    assert list(lake.rglob("*.part")) == []
    exports = syncs // 4
    assert len(list(lake.rglob("*"))) < 4 * exports + 120  # tables of one month: two files each
    ((dead,),) = project.rows("SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables")
    assert dead < 2000
    record(
        "200 syncs in a row",
        f"{syncs} syncs, {len(project.rows('SELECT 1 FROM sync_runs'))} publishes, {dead} dead rows at the end",
        0,
    )


def _memory() -> int:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) * 1024
