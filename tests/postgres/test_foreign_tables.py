"""Nothing that somebody else made in the schema is ever written, altered, commented on, granted or dropped.

Where it has a name that rmetrics needs, everything that would make or fill tables refuses it by name.
"""

import re
from collections.abc import Sequence
from typing import Any

import pytest

import small_company
from jobs_and_payments import JOBS, content, jobs, publish_contents
from published import run
from reliability.versions import prepared
from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import connect, server_of, statements
from rmetrics.postgres.ownership import CARRIERS, TABLES, VIEWS, own_relations, read_note
from rmetrics.postgres.roles import READER, WRITER, roles_script
from rmetrics.usecases.schema import schema_apply
from rmetrics.usecases.status import status
from support import ROOT, Project, rows

pytestmark = pytest.mark.one_engine

FEED = """
[feeds.invoices]
files = ["invoices*"]
key = ["invoice_id"]
date = "invoiced_at"
[feeds.invoices.columns]
invoice_id = { type = "text", from = ["Invoice"], required = true }
invoiced_at = { type = "date", from = ["Day"], formats = ["%Y-%m-%d"], required = true }
amount = { type = "money", from = ["Amount"] }
"""
# Everything that can be known of what is in a database, but for rmetrics' own notes.
EVERYTHING = """
SELECT 'relation', c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, pg_get_userbyid(c.relowner)::text,
       coalesce(c.relacl::text, ''), coalesce(obj_description(c.oid, 'pg_class'), ''), coalesce(pg_relation_filenode(c.oid), 0)::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_|^information'
UNION ALL
SELECT 'column', attrelid::text, attname::text, attnum::text, format_type(atttypid, atttypmod), attnotnull::text,
       coalesce(attacl::text, ''), coalesce(col_description(attrelid, attnum), ''), ''
FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_|^information'
UNION ALL
SELECT 'type', oid::text, typname::text, typtype::text, '', coalesce(typacl::text, ''), '', '', ''
FROM pg_type WHERE typnamespace = 'public'::regnamespace
"""


def everything(dsn: str) -> set[tuple[Any, ...]]:
    return set(rows(dsn, EVERYTHING))


@pytest.fixture
def project(bare_project: Project) -> Project:
    """A project whose database has no schema yet, so that somebody else's tables can be in its way."""
    return bare_project


def put(project: Project) -> None:
    project.put("Import-1.csv", small_company.jobs((1,)))


IN_THE_WAY = {
    "a table with our columns": (
        [("CREATE TABLE feed_status (feed varchar PRIMARY KEY, table_name varchar, rows bigint, last_date date, "
         "last_export_at timestamptz, exports integer)"), "INSERT INTO feed_status VALUES ('theirs', 'x', 1)",
         "COMMENT ON TABLE feed_status IS 'State of each feed at the last publish, one row per feed.'"],
        "table public.feed_status"),
    "a table with other columns": (["CREATE TABLE jobs (a int)", "COMMENT ON TABLE jobs IS 'theirs'"], "table public.jobs"),
    "a runs table": (["CREATE TABLE sync_runs (run_id varchar PRIMARY KEY, status varchar)"], "table public.sync_runs"),
    "a view": (["CREATE VIEW call_funnel AS SELECT 1 AS a"], "view public.call_funnel"),
    "a view with the name of a table": (["CREATE VIEW targets AS SELECT 1 AS month"], "view public.targets"),
    "a table with the name of a view": (["CREATE TABLE run_findings (a int)"], "table public.run_findings"),
    "a materialized view": (["CREATE MATERIALIZED VIEW payments AS SELECT 1 AS a"], "materialized view public.payments"),
    "a partitioned table": (
        ["CREATE TABLE calls (call_id varchar, d date) PARTITION BY RANGE (d)"], "partitioned table public.calls"),
    "a foreign table": (
        ["CREATE FOREIGN DATA WRAPPER nowhere", "CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
         "CREATE FOREIGN TABLE daily_metrics (a int) SERVER far"], "foreign table public.daily_metrics"),
    "a sequence": (["CREATE SEQUENCE business"], "sequence public.business"),
    "a composite type": (["CREATE TYPE jobs AS (a int)"], "type public.jobs"),
    "an enum": (["CREATE TYPE published_parts AS ENUM ('a')"], "type public.published_parts"),
    "a domain": (["CREATE DOMAIN metric_changes AS int"], "type public.metric_changes"),
    "an index": (
        ["CREATE TABLE theirs (a int)", "CREATE INDEX jobs_metric_date_idx ON theirs (a)"],
        "index public.jobs_metric_date_idx"),
    "a table with the name of a key": (["CREATE TABLE payments_pkey (a int)"], "table public.payments_pkey"),
    "two tables": (["CREATE TABLE jobs (a int)", "CREATE TABLE targets (a int)"], "table public.jobs, the table public.targets"),
}  # fmt: skip


@pytest.mark.parametrize("what", IN_THE_WAY)
@pytest.mark.ordinary(1, deep=2)
def test_a_first_sync_refuses_what_is_in_its_way_and_changes_nothing(project: Project, what: str) -> None:
    made, named = IN_THE_WAY[what]
    run(project.dsn, *made)
    put(project)
    before = everything(project.dsn)
    for command in (project.sync, lambda: schema_apply(project.settings)):
        with pytest.raises(PostgresError, match=re.escape(named)) as caught:
            command()
        assert "RMETRICS_PG_SCHEMA" in caught.value.hint
        assert caught.value.exit_code == 4
        assert everything(project.dsn) == before
    assert status(project.settings).runs == ()
    if what == "a table with our columns":
        assert rows(project.dsn, "SELECT feed FROM feed_status") == [("theirs",)]


@pytest.mark.deep
def test_another_schema_is_the_way_out(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    run(project.dsn, "CREATE TABLE jobs (a int)", "CREATE VIEW call_funnel AS SELECT 1 AS a")
    put(project)
    monkeypatch.setenv("RMETRICS_PG_SCHEMA", "rmetrics")
    before = everything(project.dsn)
    assert project.sync().status == "published"
    assert before <= everything(project.dsn)
    assert rows(project.dsn, "SELECT job_id FROM rmetrics.jobs") == [("1",)]


@pytest.mark.parametrize("made", [
    ["CREATE TABLE invoices (invoice_id varchar PRIMARY KEY, invoiced_at date NOT NULL, amount numeric(12,2))",
     "INSERT INTO invoices VALUES ('theirs', '2024-01-01', 5)", "COMMENT ON TABLE invoices IS 'theirs'"],
    ["CREATE VIEW invoices AS SELECT 1 AS invoice_id"],
    ["CREATE TYPE invoices AS ENUM ('a')"],
    ["CREATE TABLE invoices_pkey (a int)"],
])  # fmt: skip
@pytest.mark.ordinary(0, deep=1)
def test_a_feed_that_rules_declare_does_not_take_a_table_of_its_name(published: Project, made: Sequence[str]) -> None:
    run(published.dsn, *made)
    (published.rules / "invoices.toml").write_text(FEED)
    published.put("invoices.csv", "Invoice,Day,Amount\nI1,2024-11-05,10.00\n")
    before = everything(published.dsn)
    with pytest.raises(PostgresError, match=r"public\.invoices"):
        published.sync()
    assert everything(published.dsn) == before
    (published.rules / "invoices.toml").unlink()
    assert published.sync().status in ("published", "unchanged")
    assert before == everything(published.dsn)


@pytest.mark.deep
def test_a_feed_that_rules_no_longer_have_loses_its_rows_and_never_somebody_elses(project: Project) -> None:
    put(project)
    (project.rules / "invoices.toml").write_text(FEED)
    project.put("invoices.csv", "Invoice,Day,Amount\nI1,2024-11-05,10.00\n")
    project.sync()
    assert rows(project.dsn, "SELECT invoice_id FROM invoices") == [("I1",)]
    run(
        project.dsn,
        "ALTER TABLE invoices RENAME TO old",
        "CREATE TABLE invoices (LIKE old INCLUDING ALL)",
        "INSERT INTO invoices TABLE old",
    )
    (project.rules / "invoices.toml").unlink()
    project.sync()
    assert rows(project.dsn, "SELECT (SELECT count(*) FROM invoices), (SELECT count(*) FROM old)") == [(1, 1)]
    assert rows(project.dsn, "SELECT count(*) FROM published_parts WHERE table_name = 'invoices'") == [(0,)]


@pytest.mark.parametrize("table", ["jobs", "feed_status", "monthly_metrics", "sync_runs"])
@pytest.mark.ordinary(1)
def test_a_copy_in_the_place_of_a_table_of_ours_is_not_ours(published: Project, table: str) -> None:
    """A copy takes columns, keys, comments and rows along: only the oid tells it."""
    run(
        published.dsn,
        f"ALTER TABLE {table} RENAME TO {table}_kept",
        f"CREATE TABLE {table} (LIKE {table}_kept INCLUDING ALL)",
        f"INSERT INTO {table} SELECT * FROM {table}_kept" if table != "monthly_metrics" else "SELECT 1",
        f"COMMENT ON TABLE {table} IS 'theirs'",
    )
    published.put("Import-2.csv", small_company.jobs((2,)))
    before = everything(published.dsn)
    with pytest.raises(PostgresError, match=rf"^the table public\.{table} was not created by rmetrics"):
        published.sync()
    assert everything(published.dsn) == before


def test_a_table_swapped_between_the_look_and_the_publish_is_refused_too(database: str) -> None:
    server = prepared(database)
    run(database, "ALTER TABLE feed_status RENAME TO kept", "CREATE TABLE feed_status (LIKE kept INCLUDING ALL)",
        "INSERT INTO feed_status (feed, table_name, rows, exports) VALUES ('theirs', 'x', 1, 1)")  # fmt: skip
    with pytest.raises(PostgresError, match=r"table public\.feed_status was not created by rmetrics"):
        publish_contents(server, content(JOBS, jobs(("1", "2024-01-01", "1"))))
    assert rows(database, "SELECT feed FROM feed_status") == [("theirs",)]


@pytest.mark.deep
def test_tables_of_our_names_in_other_places_are_neither_read_nor_written(project: Project) -> None:
    """In a schema earlier in the role's path, or with the names of our temporary tables."""
    name = rows(project.dsn, "SELECT current_database()::text")[0][0]
    run(
        project.dsn,
        "CREATE SCHEMA theirs",
        "CREATE TABLE theirs.jobs (a int)",
        "CREATE TABLE theirs.sync_runs (a int)",
        f"ALTER DATABASE {name} SET search_path = theirs, pg_catalog",
        "CREATE TABLE public._stage_jobs (job_id varchar)",
        "CREATE TABLE public._causes (a int)",
        "CREATE TABLE public._keys_jobs (job_id varchar)",
    )
    before = everything(project.dsn)
    put(project)
    project.sync()
    project.put("Import-2.csv", small_company.jobs((1, "INS Repair", "Rely"), (2,)))  # fmt: skip
    assert project.sync().status == "published"
    assert rows(project.dsn, "SELECT job_id, source FROM public.jobs ORDER BY 1") == [("1", "Rely"), ("2", "Google")]
    assert before <= everything(project.dsn)


# -- the note


def test_the_names_here_are_those_of_the_schema_script() -> None:
    script = (ROOT / "schema.sql").read_text(encoding="utf-8")
    assert set(TABLES) == set(re.findall(r"^CREATE TABLE IF NOT EXISTS (\w+)", script, re.MULTILINE))
    assert set(VIEWS) == set(re.findall(r"^CREATE OR REPLACE VIEW (\w+)", script, re.MULTILINE))


def own(dsn: str) -> frozenset[str]:
    with connect(server_of(dsn)) as session:
        return own_relations(session)


@pytest.mark.deep
def test_a_schema_applied_by_hand_is_ours_with_the_rows_typed_into_it(project: Project) -> None:
    run(
        project.dsn,
        *statements((ROOT / "schema.sql").read_text(encoding="utf-8")),
        "INSERT INTO targets (month, source, segment, target_repairs) VALUES ('2024-11-01', 'ALL', 'ALL', 9)",
    )
    assert own(project.dsn) == {*TABLES, *VIEWS}
    put(project)
    assert project.sync().status == "published"
    with connect(server_of(project.dsn)) as session:
        note = read_note(session)
    assert note is not None
    assert set(note.made) == {*TABLES, *VIEWS}


@pytest.mark.deep
def test_a_restored_dump_is_ours_and_a_table_that_was_never_published_is_not(published: Project) -> None:
    """A restore gives every table another oid: all of them differ then, the noted ones are known by what they hold."""
    note = rows(published.dsn, "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'sync_runs_pkey'")[0][0]  # fmt: skip
    restored = re.sub(r":(\d+)", lambda m: f":{int(m[1]) + 1000000}", note)
    for carrier in CARRIERS:
        run(published.dsn, f"COMMENT ON CONSTRAINT {carrier}_pkey ON {carrier} IS '{restored}'")
    assert own(published.dsn) == {*TABLES, *VIEWS}
    assert published.sync().status == "unchanged"
    run(
        published.dsn,
        "DROP TABLE calls CASCADE",
        "CREATE TABLE calls (call_id varchar)",
        "INSERT INTO calls VALUES ('theirs')",
        "COMMENT ON TABLE calls IS 'theirs'",
    )
    assert "calls" not in own(published.dsn)
    with pytest.raises(PostgresError, match=r"table public\.calls"):
        published.sync()
    assert rows(published.dsn, "SELECT call_id FROM calls") == [("theirs",)]


@pytest.mark.parametrize("table", ["sync_runs", "published_parts", "jobs"])
@pytest.mark.ordinary(0, deep=1)
def test_a_table_that_somebody_dropped_is_made_again(published: Project, table: str) -> None:
    run(published.dsn, f"DROP TABLE {table} CASCADE")
    published.sync()
    assert own(published.dsn) == {*TABLES, *VIEWS}
    assert rows(published.dsn, "SELECT job_id FROM jobs") == [("1",)]
    assert published.sync().status == "unchanged"


@pytest.mark.parametrize("note", ["rmetrics schema abc {", 'rmetrics schema abc {"jobs": "x"}', "rmetrics schema"])
@pytest.mark.ordinary(0, deep=1)
def test_a_note_that_somebody_edited_proves_nothing_and_stops_nothing(published: Project, note: str) -> None:
    for carrier in CARRIERS:
        run(published.dsn, f"COMMENT ON CONSTRAINT {carrier}_pkey ON {carrier} IS '{note}'")
    assert not any(published.sync().published.values())
    assert published.sync().status == "unchanged"
    assert own(published.dsn) == {*TABLES, *VIEWS}


# -- grants


@pytest.mark.deep
def test_roles_touch_our_tables_only_one_by_one(project: Project) -> None:
    put(project)
    (project.rules / "invoices.toml").write_text(FEED)
    project.put("invoices.csv", "Invoice,Day,Amount\nI1,2024-11-05,10.00\n")
    project.sync()
    run(
        project.dsn,
        "CREATE TABLE theirs (a int)",
        "COMMENT ON TABLE theirs IS 'theirs'",
        "CREATE VIEW their_view AS SELECT a FROM theirs",
        "COMMENT ON VIEW their_view IS 'theirs'",
        "CREATE VIEW on_ours AS SELECT job_id FROM jobs",
        "CREATE SEQUENCE their_sequence",
        *statements(roles_script()),
        f"GRANT SELECT ON theirs TO {READER}",
    )
    theirs = [r for r in everything(project.dsn) if r[0] == "relation" and r[3] in ("theirs", "their_view", "on_ours")]
    run(project.dsn, *statements(roles_script()))
    assert set(theirs) <= everything(project.dsn)
    assert {r[5] for r in theirs} == {"postgres"}
    may = f"SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND has_table_privilege('{WRITER}', oid, 'DELETE')"  # fmt: skip
    assert {n for (n,) in rows(project.dsn, may)} == {*TABLES, *VIEWS, "invoices"}
    run(project.dsn, "SET ROLE rmetrics_owner", "CREATE TABLE made_later (a int)")
    assert rows(project.dsn, f"SELECT has_table_privilege('{WRITER}', 'made_later', 'SELECT')") == [(False,)]


def test_roles_take_back_what_an_earlier_script_gave(published: Project) -> None:
    run(
        published.dsn,
        *statements(roles_script()),
        f"ALTER DEFAULT PRIVILEGES FOR ROLE rmetrics_owner IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO {WRITER}",
        *statements(roles_script()),
    )
    assert rows(published.dsn, "SELECT count(*) FROM pg_default_acl") == [(0,)]


def test_the_script_names_our_tables_and_never_all() -> None:
    script = roles_script("metrics")
    assert "ALL TABLES" not in script
    assert all(f"'{name}'" in script for name in (*TABLES, *VIEWS))
