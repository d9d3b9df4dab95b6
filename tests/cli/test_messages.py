"""The brief and alerts from the command line: forms, exit codes, and a sync that tells alerts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Line, in_process
from services import Service, service
from small_company import jobs
from support import Project

pytestmark = pytest.mark.one_engine

ALERT = """
[notify.owner]
url = "TEST_OWNER"
gets = ["alerts"]
[[alerts]]
name  = "failed"
title = "A run failed"
over  = "publication"
where = "failed_runs > 0"
[[alerts]]
name  = "jobs"
title = "Jobs came"
over  = "data_freshness"
where = "feed = 'jobs' AND rows > 0"
"""


@pytest.fixture
def line(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return in_process(project, monkeypatch, capsys)


@pytest.fixture
def told(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A channel that gets alerts."""
    with service() as made:
        monkeypatch.setenv("TEST_OWNER", made.url())
        (project.rules / "messages.toml").write_text(ALERT, encoding="utf-8")
        yield made


def publish(project: Project, line: Line) -> None:
    project.put("jobs.csv", jobs((1, "COD Repair", "Google", "11/05/2024")))
    assert line("sync").returncode == 0


def test_a_sync_tells_what_is_new_and_one_without_news_nothing(project: Project, line: Line, told: Service) -> None:
    publish(project, line)
    assert [m["title"] for m in told.got] == ["rmetrics: Jobs came"]
    assert line("sync").returncode == 0
    assert line("sync", "--dry-run").returncode == 0
    assert len(told.got) == 1


@pytest.mark.deep
def test_a_failed_sync_is_told_and_still_fails(project: Project, line: Line, told: Service) -> None:
    publish(project, line)
    (landed,) = (project.root / "data" / "lake" / "raw" / "jobs").glob("*.parquet")
    (project.inbox / "jobs.csv").unlink()
    aside = landed.rename(project.root / "aside")
    assert line("sync", "--quiet").returncode == 4
    assert told.got[-1]["title"] == "rmetrics: A run failed"
    assert "failed_runs 1" in told.got[-1]["message"]
    aside.rename(landed)
    assert line("sync", "--force").returncode == 0
    assert len(told.got) == 2


@pytest.mark.deep
def test_a_channel_that_fails_does_not_fail_a_sync(project: Project, line: Line, told: Service) -> None:
    told.status = 500
    project.put("jobs.csv", jobs((1, "COD Repair", "Google", "11/05/2024")))
    done = line("sync", "--json")
    assert done.returncode == 0
    assert "alerts were not sent to the channel owner" in done.stderr
    assert "message-not-sent" in [f["code"] for f in json.loads(done.stdout)["findings"]]
    assert project.rows("SELECT count(*) FROM jobs") == [(1,)]
    assert line("alerts", "--quiet").returncode == 3


@pytest.mark.usefixtures("told")
def test_alerts_in_every_form(project: Project, line: Line) -> None:
    publish(project, line)
    document = json.loads(line("alerts", "--json").stdout)
    (alert,) = document["alerts"]
    assert (alert["name"], alert["of"], alert["command"]) == ("jobs", "jobs", "rmetrics status")
    assert document["sent"] == [{"channel": "owner", "state": "already", "why": ""}]
    assert line("alerts", "--format", "csv").stdout.startswith(
        "name,title,of,cause,command,since\njobs,Jobs came,jobs,"
    )
    assert "Jobs came: jobs" in line("alerts", "--dry-run").stdout
    assert line("alerts", "--quiet").stdout == ""


def test_brief_on_a_terminal_and_in_russian(project: Project, line: Line, tmp_path: Path) -> None:
    assert "Nothing is published yet" in line("brief").stdout
    publish(project, line)
    told = line("brief", "--date", "2024-11-06")
    assert told.returncode == 0
    assert told.stdout.startswith(
        "Morning brief, Wed 6 Nov 2024\n\nYesterday, Tue 5 Nov 2024\n  1 lead, 0 visits, 1 repair;"
    )
    messages = project.rules / "messages.toml"
    messages.write_text(messages.read_text().replace('language = "en"', 'language = "ru"'))
    told = line("brief", "--date", "2024-11-06", "--html", str(tmp_path / "b.html"))
    assert "Вчера, вт 05.11.2024\n  1 лид, 0 выездов, 1 ремонт;" in told.stdout
    assert '<html lang="ru">' in (tmp_path / "b.html").read_text(encoding="utf-8")
    assert line("brief", "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--date", "yesterday"), "not a date: 'yesterday'"), (("--again", "owner"), "--again requires --send"),
        (("--send",), "no channel for the brief is declared"), (("--html", "/nowhere/at/all.html"), "cannot write"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(line: Line, arguments: tuple[str, ...], told: str) -> None:
    done = line("brief", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
