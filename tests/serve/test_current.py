"""Which version is shown while another process works on the project."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rmetrics.explain.asked import Query
from rmetrics.lake import Lake
from rmetrics.periods import parse_month
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.rules import load_rules
from rmetrics.serve.current import Current
from serve_sites import client_of
from support import Project, new_project

pytestmark = pytest.mark.one_engine

NOVEMBER = parse_month("2024-11")
LEADS = "/explain?source=Pro%20Referral&month=2024-11&metric=leads"
MORE = "Lead ID,Lead Date,Current Status\nc,11/18/2024 09:00 AM,Booked\n"


@pytest.fixture
def pages(small: Project) -> Iterator[TestClient]:
    with client_of(small.settings) as client:
        yield client


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Another process that holds the lake, as a sync does."""
    held = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    path = project.settings.lake_dir / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", held, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


def shown(client: TestClient) -> str:
    return client.get(LEADS).text.partition('data-metric="leads" data-value="')[2].partition('"')[0]


@pytest.mark.deep
def test_a_sync_shows_up_and_its_mark_with_it(small: Project, pages: TestClient) -> None:
    before = pages.get("/mark").json()["mark"]
    assert shown(pages) == "2"
    assert f'data-mark="{before}"' in pages.get("/").text
    small.put("proref2.csv", MORE)
    assert pages.get("/mark").json()["mark"] == before  # waiting in the inbox changes nothing
    small.sync()
    after = pages.get("/mark").json()["mark"]
    assert after != before
    assert (shown(pages), f'data-mark="{after}"' in pages.get("/").text) == ("3", True)


@pytest.mark.deep
def test_a_view_in_use_stays_whole_while_syncs_replace_and_sweep_its_files(small: Project) -> None:
    assert NOVEMBER is not None
    current = Current(small.settings)
    with current.view() as old:
        assert old.page().whole[NOVEMBER].leads == 2
        for name in ("c", "d"):
            small.put(f"proref-{name}.csv", MORE.replace("c,", f"{name},"))
            small.sync()
        with current.view() as new:
            assert new is not old
            assert new.page().whole[NOVEMBER].leads == 4
        again = old.explanation(Query("Pro Referral", NOVEMBER), offline=True)
        assert again.metrics["leads"].value == again.metrics["leads"].recomputed == again.metrics["leads"].listed == 2
        assert not again.differing
        folder = old.lake.lake.root
        assert folder.exists()
    assert not folder.exists()  # the last user has closed it
    current.close()


@pytest.mark.deep
def test_while_a_sync_runs_the_version_before_is_shown(small: Project, pages: TestClient) -> None:
    assert shown(pages) == "2"
    mark = pages.get("/mark").json()["mark"]
    small.put("proref2.csv", MORE)
    small.sync()
    with locked(small):  # as if that sync had not ended yet
        assert pages.get("/mark").json()["mark"] == mark
        text = pages.get("/month/2024-11").text
        assert f'data-mark="{mark}"' in text
    assert pages.get("/mark").json()["mark"] != mark
    assert shown(pages) == "3"


@pytest.mark.slow
def test_where_postgres_is_newer_than_the_version_shown_the_proof_is_of_the_newer_one(
    small: Project, pages: TestClient
) -> None:
    assert shown(pages) == "2"
    small.put("proref2.csv", MORE)
    small.sync()
    with locked(small):  # published, but the lock is still held
        text = pages.get(LEADS).text
    assert 'data-value="3"' in text
    assert 'class="verdict match"' in text


@pytest.mark.slow
def test_readers_and_syncs_at_once_never_meet_a_mix(small: Project, pages: TestClient) -> None:
    """Every page is of one version: leads of the tile and of the table agree, whatever a sync does meanwhile."""
    wrong: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            answer = pages.get("/month/2024-11")
            days = unescape(answer.text).partition('id="table-days"')[2].partition("</table>")[0]
            rows = unescape(answer.text).partition('id="table-sources"')[2].partition("</table>")[0]
            leads = [int(v) for v in _values(days, "leads")]
            sources = [int(v) for v in _values(rows, "leads")]
            if answer.status_code != 200 or sum(leads) != sources[-1] or sum(sources[:-1]) != sources[-1]:
                wrong.append(answer.text)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(3):
        small.put(f"proref-{number}.csv", MORE.replace("c,", f"n{number},"))
        small.sync()
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert shown(pages) == "5"


def _values(text: str, metric: str) -> list[Decimal]:
    import re

    return [Decimal(v) for v in re.findall(rf'data-value="([^"]+)"><a href="[^"]*metric={metric}[&"]', text)]


def test_rules_that_do_not_load_are_told_with_their_line_and_mended_without_a_restart(
    small: Project, pages: TestClient
) -> None:
    path = small.rules / "sources.toml"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace("per_lead = 20.00 }\n\n", "per_lead = -1 }\n\n"), encoding="utf-8")
    lines = path.read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "per_lead = -1 }" in text)
    answer = pages.get("/")
    assert (answer.status_code, f"sources.toml:{line}:" in answer.text) == (503, True)
    path.write_text(right, encoding="utf-8")
    assert pages.get("/").status_code == 200


@pytest.mark.deep
def test_edited_rules_are_followed_and_it_is_said_that_they_are_not_published(
    small: Project, pages: TestClient
) -> None:
    path = small.rules / "sources.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("per_lead = 20.00 }\n\n", "per_lead = 25.00 }\n\n"), encoding="utf-8"
    )
    text = unescape(pages.get("/explain?source=Pro%20Referral&month=2024-11&metric=cost").text)
    assert 'data-value="50.00"' in text
    assert "rules were edited after the last sync" in text
    assert 'class="verdict mismatch"' in text


@pytest.mark.deep
def test_exports_that_landed_without_being_computed_are_told_and_left_out(small: Project, pages: TestClient) -> None:
    small.put("proref2.csv", MORE)
    land_inbox(small.inbox, Lake(small.settings.lake_dir), load_rules(small.rules), lambda *_: None)
    assert "1 landed export is not in these figures yet" in client_text(small)
    assert shown(pages) == "2"


def client_text(project: Project) -> str:
    with client_of(project.settings) as client:
        return client.get("/").text


def test_a_project_without_a_sync_says_what_to_do_and_shows_the_first_one(tmp_path: Path, database: str) -> None:
    project = new_project(tmp_path / "new", database)
    with client_of(project.settings) as client:
        answer = client.get("/")
        assert (answer.status_code, "rmetrics sync" in answer.text) == (503, True)
        assert not project.settings.lake_dir.exists()
        project.put("Import-1.csv", "Job #,Job Type,Source,Created\n1,COD Service,Google,10/15/2024\n")
        project.sync()
        assert client.get("/").status_code == 200


def test_a_bug_of_ours_says_nothing_of_the_data(small: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("617-555-0100")

    with client_of(small.settings) as client:
        monkeypatch.setattr("rmetrics.serve.app.Site.asked", broken)
        with pytest.raises(RuntimeError):
            client.get("/")
        quiet = TestClient(
            client.app, base_url=str(client.base_url), cookies=client.cookies, raise_server_exceptions=False
        )
        answer = quiet.get("/")
    assert (answer.status_code, "bug in rmetrics" in answer.text, "617" in answer.text) == (500, True, False)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_without_postgres_the_rest_is_shown(small: Project) -> None:
    from pydantic import SecretStr

    settings = small.settings.model_copy(update={"postgres_dsn": SecretStr("postgresql://127.0.0.1:1/none")})
    with client_of(settings) as client:
        for path in ("/", "/funnel", "/runs", "/health", LEADS):
            assert client.get(path).status_code == 200, path
        text = unescape(client.get(LEADS).text)
        assert "The proof does not include PostgreSQL" in text
        assert 'data-value="2"' in text
