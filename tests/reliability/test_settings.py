"""Settings that a pooler loses, or that a role, a database, a DSN or the environment brings along.

Each is either without effect on what is published, or refused in words that say what to do.
"""

import datetime as dt
import time
from typing import Any

import pytest

from postgres.test_foreign_tables import everything
from published import run
from reliability.pooler import Pooler
from reliability.world import differences, tables
from rmetrics.errors import PostgresError
from rmetrics.pipeline.asked import MonthRange
from rmetrics.postgres.connection import Session
from rmetrics.usecases.check import check
from rmetrics.usecases.history import history
from rmetrics.usecases.status import status
from small_company import jobs
from support import Project, fresh_database, new_project, rows

FEED = """
[feeds.notes]
files = ["notes*"]
key = ["note_id"]
date = "noted_at"
comment = 'It\\'s \\\\ one'
[feeds.notes.columns]
note_id = { type = "text", from = ["Note"], required = true }
noted_at = { type = "date", from = ["Day"], formats = ["%Y-%m-%d"], required = true }
text = { type = "text", from = ["Text"], comment = 'ends in a backslash \\' }
"""


def fill(project: Project) -> None:
    """Two syncs: a first load, then changed and new rows."""
    (project.rules / "notes.toml").write_text(FEED.replace("'It\\'s \\\\ one'", '"It\'s \\\\ one"'))
    project.put("notes.csv", "Note,Day,Text\nN1,2024-11-05,Größe 東京 € \\\n")
    project.put("Import-1.csv", jobs((1, "COD Repair", "Café Zürich"), (2, "INS Repair", "東京", "Wed Nov 06 2024")))
    project.sync()
    project.put(
        "Import-2.csv",
        jobs((1, "INS Repair", "Café Zürich", "Mon Nov 04 2024"), (3, "INS Repair", "", "Wed Dec 11 2024")),
    )
    assert project.sync().status == "published"
    assert project.sync().status == "unchanged"


@pytest.fixture(scope="module")
def plain(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same, published straight into a plain database."""
    with fresh_database(pg_uri) as dsn:
        made = new_project(tmp_path_factory.mktemp("settings") / "plain", dsn)
        fill(made)
        yield tables(made), rows(dsn, "SELECT note_id, text FROM notes")


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return set(differences(found, wanted)) <= {"metric_changes", "feed_status"}  # these name runs and moments


@pytest.mark.slow
def test_behind_a_pooler_in_transaction_mode_everything_is_where_it_belongs(
    project: Project, plain: tuple[dict[str, Any], Any]
) -> None:
    direct = project.dsn
    run(direct, "CREATE SCHEMA theirs", "CREATE TABLE theirs.jobs (a int)", "CREATE TABLE theirs.sync_runs (a int)")
    before = {r for r in everything(direct) if r[2] == "theirs"}
    pooler = Pooler(direct.partition("host=")[2].partition("&")[0])
    name = direct.split("/")[3].partition("?")[0]
    project.dsn = f"postgresql://postgres:@127.0.0.1:{pooler.port}/{name}?sslmode=disable"
    fill(project)
    assert check(project.settings).ok
    assert status(project.settings).runs
    pooler.listener.close()
    project.dsn = direct
    assert same(tables(project), plain[0])
    assert rows(direct, "SELECT note_id, text FROM notes") == plain[1]
    assert before <= everything(direct)
    assert {r[2] for r in everything(direct) if r[0] == "relation"} == {"public", "theirs"}
    assert pooler.transactions > 20


HARMLESS = {
    "search_path": "theirs, pg_catalog",
    "client_encoding": "'LATIN1'",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "timezone": "'Asia/Kolkata'",
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'iso_8601'",
    "default_transaction_isolation": "'serializable'",
    "statement_timeout": "'2s'",
    "lock_timeout": "'1s'",
    "idle_in_transaction_session_timeout": "'2s'",
    "extra_float_digits": "-15",
    "bytea_output": "'escape'",
    "row_security": "off",
    "xmlbinary": "'hex'",
    "transform_null_equals": "on",
}


@pytest.mark.deep
def test_settings_of_the_database_change_nothing(project: Project, plain: tuple[dict[str, Any], Any]) -> None:
    name = rows(project.dsn, "SELECT current_database()::text")[0][0]
    run(project.dsn, "CREATE SCHEMA theirs", "CREATE TABLE theirs.jobs (a int)")
    run(project.dsn, *(f"ALTER DATABASE {name} SET {n} = {v}" for n, v in HARMLESS.items()))
    fill(project)
    run(project.dsn, *(f"ALTER DATABASE {name} RESET {n}" for n in HARMLESS))
    assert same(tables(project), plain[0])
    assert rows(project.dsn, "SELECT note_id, text FROM notes") == plain[1]
    assert rows(project.dsn, "SELECT obj_description('notes'::regclass), col_description('notes'::regclass, 3)") == [
        ("It's \\ one", "ends in a backslash \\")
    ]


@pytest.mark.parametrize("where", ["dsn", pytest.param("environment", marks=pytest.mark.slow)])
@pytest.mark.deep
def test_settings_of_the_dsn_and_the_environment_change_nothing(
    project: Project, plain: tuple[dict[str, Any], Any], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = project.dsn
    run(direct, "CREATE SCHEMA theirs", "CREATE TABLE theirs.jobs (a int)")
    if where == "dsn":
        project.dsn += "&options=-csearch_path%3Dtheirs%20-cquote_all_identifiers%3Don&client_encoding=LATIN1"
    else:
        monkeypatch.setenv("PGOPTIONS", "-csearch_path=theirs -cdatestyle=SQL,DMY")
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    fill(project)
    monkeypatch.undo()
    project.dsn = direct
    assert same(tables(project), plain[0])
    assert rows(direct, "SELECT note_id, text FROM notes") == plain[1]


@pytest.mark.deep
def test_a_transaction_that_takes_longer_than_the_roles_limits_is_published(
    published: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits are for questions; a publish sets its own."""
    name = rows(published.dsn, "SELECT current_database()::text")[0][0]
    limits = ("statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    run(published.dsn, *(f"ALTER DATABASE {name} SET {n} = '1s'" for n in limits))
    ingest = Session.ingest

    def slow(self: Session, table: str, data: Any, *, schema: str | None) -> int:
        if table == "_stage_jobs":
            self.query("SELECT pg_sleep(1.2)::text")
            time.sleep(1.2)
        return ingest(self, table, data, schema=schema)

    monkeypatch.setattr(Session, "ingest", slow)
    published.put("Import-2.csv", jobs((1, "INS Repair")))
    assert published.sync().status == "published"
    run(published.dsn, *(f"ALTER DATABASE {name} RESET {n}" for n in limits))


@pytest.mark.deep
def test_a_database_that_is_read_only_is_refused_and_may_be_read(published: Project) -> None:
    name = rows(published.dsn, "SELECT current_database()::text")[0][0]
    run(published.dsn, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    published.put("Import-2.csv", jobs((2,)))
    with pytest.raises(PostgresError, match="only to read") as caught:
        published.sync()
    assert "default_transaction_read_only = off" in caught.value.hint
    assert status(published.settings).runs
    assert history(published.settings, MonthRange(last=dt.date(2024, 11, 1), one=True)).first_run
    run(
        published.dsn,
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {name} RESET default_transaction_read_only",
    )
    assert published.sync().status == "published"


def test_a_pool_whose_sessions_quote_every_name_is_refused(project: Project) -> None:
    """The driver reads the types when it connects, so nothing that is set later helps."""
    pooler = Pooler(project.dsn.partition("host=")[2].partition("&")[0], ("SET quote_all_identifiers TO on",))
    name = project.dsn.split("/")[3].partition("?")[0]
    project.dsn = f"postgresql://postgres:@127.0.0.1:{pooler.port}/{name}?sslmode=disable"
    project.put("Import-1.csv", jobs((1,)))
    with pytest.raises(PostgresError, match="quote_all_identifiers is on") as caught:
        project.sync()
    assert "ALTER ROLE" in caught.value.hint
    pooler.listener.close()
