"""Least privilege: the writer syncs and can make nothing, the reader sees aggregates and nothing else."""

import pytest
from adbc_driver_postgresql import dbapi

from published import run
from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import statements
from rmetrics.postgres.roles import OWNER, READER, WRITER, roles_script
from rmetrics.usecases.schema import schema_apply
from small_company import jobs
from support import Project

pytestmark = pytest.mark.one_engine


@pytest.fixture
def installed(project: Project) -> Project:
    """A database as an administrator prepares it, and a project that syncs as the writer."""
    schema_apply(project.settings)
    run(project.dsn, *statements(roles_script()))
    project.put("Import-1.csv", jobs((1,)))
    project.dsn = as_role(project.dsn, WRITER)
    return project


def as_role(dsn: str, role: str) -> str:
    user = dsn.partition("//")[2].partition(":")[0]
    return dsn.replace(f"//{user}:", f"//{role}:", 1)


@pytest.mark.deep
def test_the_writer_syncs_again_and_again_and_publishes_changes(installed: Project) -> None:
    assert installed.sync().status == "published"
    assert installed.sync().status == "unchanged"
    installed.put("Import-2.csv", jobs((1, "INS Repair", "Rely")))
    assert installed.sync().status == "published"
    assert installed.rows("SELECT source FROM jobs") == [("Rely",)]


@pytest.mark.parametrize(
    "sql", ["DROP TABLE jobs", "CREATE TABLE x (a int)", "ALTER TABLE jobs ADD x int", "TRUNCATE jobs"]
)
@pytest.mark.ordinary(1, deep=3)
def test_the_writer_makes_and_drops_nothing(installed: Project, sql: str) -> None:
    with pytest.raises(dbapi.Error, match=r"denied|must be owner"):
        run(installed.dsn, sql)


@pytest.mark.deep
def test_a_column_that_rules_ask_for_is_left_to_the_owner_who_is_told_how(installed: Project) -> None:
    installed.sync()
    feeds = installed.rules / "feeds.toml"
    feeds.write_text(feeds.read_text().replace(
        "city         = {", 'state        = { type = "text", from = ["State"], comment = "State" }\ncity         = {', 1
    ))  # fmt: skip
    with pytest.raises(PostgresError, match="may not create them") as caught:
        installed.sync()
    assert "schema --apply" in caught.value.hint
    owner = Project(installed.root, as_role(installed.dsn, "postgres"))
    schema_apply(owner.settings)
    run(owner.dsn, *statements(roles_script()))
    assert installed.sync().status == "published"


def test_the_reader_sees_aggregates_and_neither_raw_tables_nor_files_nor_the_runs_detail(installed: Project) -> None:
    installed.sync()
    reader = as_role(installed.dsn, READER)
    for sql in (
        "SELECT * FROM monthly_metrics",
        "SELECT * FROM targets",
        "SELECT * FROM call_funnel",
        "SELECT run_id FROM sync_runs",
    ):
        run(reader, sql)
    for sql in (
        "SELECT * FROM jobs", "SELECT * FROM payments", "SELECT * FROM published_parts", "SELECT detail FROM sync_runs",
        "SELECT pg_read_file('/etc/passwd')", "COPY (SELECT 1) TO PROGRAM 'cat'", "DELETE FROM daily_metrics",
        "CREATE TABLE public.x (a int)", "CREATE SCHEMA x", f"SET ROLE {OWNER}", f"SET ROLE {WRITER}",
    ):  # fmt: skip
        with pytest.raises(dbapi.Error, match=r"denied|read-only|must be"):
            run(reader, sql)
