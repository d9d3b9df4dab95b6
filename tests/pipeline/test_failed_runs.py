"""A run that fails leaves a row in ``sync_runs``: Grafana and ``status`` show it, and nothing takes it for a publish."""

import json
from pathlib import Path
from typing import Any

import pytest

import rmetrics.pipeline.prepared as preparing
from postgres.test_connections import Proxy
from rmetrics.cli import run
from rmetrics.errors import BusyError, LakeError, PostgresError, RulesError
from rmetrics.grafana.alerts import alert_rules
from rmetrics.grafana.model import Installation
from rmetrics.lake import Lake
from rmetrics.usecases.doctor import doctor
from rmetrics.usecases.status import status
from small_company import jobs
from support import Project

pytestmark = pytest.mark.one_engine


def runs(project: Project) -> list[str]:
    return [s for (s,) in project.rows("SELECT status FROM sync_runs ORDER BY started_at, run_id")]


def broken(project: Project) -> Path:
    """A landed export that is neither in the lake nor in the inbox any more: every sync stops there."""
    (landed,) = (project.root / "data" / "lake" / "raw" / "jobs").glob("*.parquet")
    (project.inbox / "Import-1.csv").unlink()
    return landed.rename(project.root / "aside")


def rebuilt(project: Project, aside: Path) -> None:
    catalog = json.loads((project.root / "data" / "lake" / "raw" / "catalog.json").read_text())
    (of_jobs,) = (f["file"] for f in catalog["files"] if f["feed"] == "jobs")
    aside.rename(project.root / "data" / "lake" / "raw" / of_jobs)


def test_a_failed_run_is_seen_until_a_later_one_finds_all_well(
    published: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Installation("America/New_York", "USD")
    (alert,) = (r for r in alert_rules(place)["groups"][0]["rules"] if r["uid"] == "rmetrics-checks")
    alarm = alert["data"][0]["model"]["rawSql"]
    aside = broken(published)
    with pytest.raises(LakeError):
        published.sync()
    assert runs(published) == ["ok", "failed"]
    ((message,),) = published.rows("SELECT message FROM run_findings WHERE code = 'run-failed' AND severity = 'error'")
    assert "the lake is damaged" in message
    assert status(published.settings).runs[0].message == message
    assert any(c.name == "last run" and message in c.message for c in doctor(published.settings).checks)
    assert published.rows(alarm)[0][1] == 1
    for name, value in published.environment.items():
        monkeypatch.setenv(name, value)
    assert run(["status"]) == 0
    assert f"The last run failed: {message}" in capsys.readouterr().out
    rebuilt(published, aside)
    assert published.sync().status == "unchanged"
    assert published.sync().status == "unchanged"
    assert runs(published) == ["ok", "failed", "unchanged"], "one row tells that all is well again"
    assert published.rows(alarm)[0][1] == 0
    assert not any(c.name == "last run" for c in doctor(published.settings).checks)
    published.put("Import-2.csv", jobs((2,)))
    assert published.sync().status == "published"
    assert runs(published)[-1] == "ok"


def test_rules_that_do_not_load_are_a_failed_run_that_no_rules_made(published: Project) -> None:
    (published.rules / "sources.toml").write_text("[sources.X]\nleads = 'nobody'\n")
    with pytest.raises(RulesError):
        published.sync()
    assert published.rows("SELECT rules_hash, files FROM sync_runs WHERE status = 'failed'") == [(None, None)]


def test_a_dry_run_and_a_run_that_another_keeps_out_leave_no_row(published: Project) -> None:
    with Lake(published.settings.lake_dir).locked(), pytest.raises(BusyError):
        published.sync()
    (published.rules / "sources.toml").write_text("[sources.X]\nleads = 'nobody'\n")
    with pytest.raises(RulesError):
        published.sync(dry_run=True)
    assert runs(published) == ["ok"]


def test_a_database_without_tables_is_left_alone_and_one_that_cannot_be_reached_does_not_hide_the_error(
    bare_project: Project,
) -> None:
    project = bare_project
    (project.rules / "sources.toml").write_text("[sources.X]\nleads = 'nobody'\n")
    with pytest.raises(RulesError):
        project.sync()
    assert project.rows("SELECT to_regclass('sync_runs')::text") == [(None,)]
    project.dsn = "postgresql://u:pw@127.0.0.1:1/x"
    with pytest.raises(RulesError):
        project.sync()


def test_a_fault_of_ours_is_noted_without_what_it_happened_on(
    published: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any, **__: Any) -> None:
        raise ValueError("row 'Quackenbush' 6175559137 s3cr3t")

    monkeypatch.setattr(preparing, "compute", fault)
    with pytest.raises(ValueError, match="Quackenbush"):
        published.sync()
    ((detail,),) = published.rows("SELECT detail::text FROM sync_runs WHERE status = 'failed'")
    assert json.loads(detail)["error"]["kind"] == "ValueError"
    assert not any(canary in detail for canary in ("Quackenbush", "6175559137", "s3cr3t"))


@pytest.mark.parametrize("answer", [False, True], ids=["lost before the commit", "lost before its answer"])
def test_a_run_whose_commit_took_hold_is_no_failed_one(published: Project, answer: bool) -> None:
    direct = published.dsn
    proxy = Proxy(direct.partition("host=")[2].partition("&")[0], answer=answer)
    proxy.start()
    published.put("Import-2.csv", jobs((2,)))
    published.dsn = f"postgresql://postgres:@127.0.0.1:{proxy.port}/{direct.split('/')[3].partition('?')[0]}"
    with pytest.raises(PostgresError):
        published.sync()
    proxy.listener.close()
    assert proxy.cuts == 1
    published.dsn = direct
    assert runs(published) == (["ok", "ok"] if answer else ["ok", "failed"])
