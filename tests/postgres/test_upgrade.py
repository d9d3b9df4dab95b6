"""A database that an earlier version made is upgraded in place by the next sync: rows, grants and own views are kept.

``earlier/`` holds the schema of 0.1.0 as released and as it was first written, and what 0.1.0 published with it from
the exports that lie beside the rows. These files are never changed; a release adds its own.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from published import run
from reliability.world import differences, tables
from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import statements
from rmetrics.usecases.schema import schema_apply
from small_company import jobs
from support import Project, fresh_database, new_project, rows

pytestmark = pytest.mark.one_engine

EARLIER = Path(__file__).with_name("earlier")
HISTORY = ("sync_runs", "metric_changes")
OWN_VIEW = "SELECT month, source, revenue40, cpl FROM monthly_metrics WHERE segment = 'COD'"
# Everything the schema says, in words that do not depend on the order in which it was made.
SHAPE = {
    "columns": "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text, "
    "pg_get_expr(d.adbin, d.adrelid) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 "
    "AND NOT a.attisdropped LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) "
    "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace AND contype <> 'n'",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "comments": "SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_class AS c JOIN pg_attribute AS a "
    "ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relnamespace = 'public'::regnamespace "
    "AND c.relkind IN ('r', 'v') UNION ALL SELECT relname, '', obj_description(oid) FROM pg_class "
    "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')",
}


def shape(dsn: str) -> dict[str, set[tuple[Any, ...]]]:
    """Tables, constraints, indexes, views and comments of a database."""
    return {what: set(rows(dsn, sql)) for what, sql in SHAPE.items()}


def lacking(found: dict[str, set[tuple[Any, ...]]], wanted: dict[str, set[tuple[Any, ...]]]) -> dict[str, Any]:
    """What one shape has and the other has not."""
    return {what: found[what] ^ wanted[what] for what in SHAPE if found[what] != wanted[what]}


def grants(dsn: str) -> list[tuple[Any, ...]]:
    """Owner and grants of every table and view."""
    return rows(
        dsn,
        "SELECT relname::text, relowner::text, relacl::text FROM pg_class WHERE relkind IN ('r', 'v') "
        "AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )


def exports(project: Project) -> None:
    """Puts the exports that 0.1.0 published into the inbox, with the times they had."""
    for name, export in json.loads((EARLIER / "rows-0.1.0.json").read_text(encoding="utf-8"))["inbox"].items():
        os.utime(project.put(name, export["text"]), (export["mtime"], export["mtime"]))


def installed(dsn: str, schema: str) -> None:
    """A database as an earlier version left it, in use: a reader with grants, and a view of the user's own."""
    held = json.loads((EARLIER / "rows-0.1.0.json").read_text(encoding="utf-8"))["tables"]
    with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements((EARLIER / schema).read_text(encoding="utf-8")):
            cursor.execute(statement)
        for table, content in held.items():
            names = ", ".join(sorted({name for row in content for name in row}))
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, $1::text::jsonb)",
                (json.dumps(content),),
            )
    run(
        dsn,
        "DO $$ BEGIN CREATE ROLE someones_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"CREATE VIEW own AS {OWN_VIEW}",
        "ALTER TABLE daily_metrics ADD COLUMN own_note text",
        "GRANT SELECT ON monthly_metrics, monthly_vs_target, targets, own TO someones_reader",
    )


@pytest.fixture
def project(bare_project: Project) -> Project:
    """A project whose database has no schema yet, for an earlier one to be made in it."""
    return bare_project


@pytest.fixture
def fresh(pg_uri: str, tmp_path: Path) -> Iterator[Project]:
    """The same exports, published into an empty database by today's version."""
    with fresh_database(pg_uri) as dsn:
        project = new_project(tmp_path / "fresh", dsn)
        exports(project)
        project.sync()
        yield project


def as_reader(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with dbapi.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SET ROLE someones_reader")
        cursor.execute(sql)
        return sorted(tuple(r) for r in cursor.fetchall())


@pytest.mark.parametrize("schema", [pytest.param("schema-first.sql", marks=pytest.mark.slow), "schema-0.1.0.sql"])
@pytest.mark.deep
def test_a_sync_upgrades_what_0_1_0_made_and_keeps_rows_grants_and_own_views(
    project: Project, fresh: Project, schema: str
) -> None:
    installed(project.dsn, schema)
    history = {t: set(project.rows(f"SELECT to_jsonb(t)::text FROM {t} AS t")) for t in HISTORY}
    own, granted = as_reader(project.dsn, "SELECT * FROM own"), grants(project.dsn)
    assert own
    exports(project)
    project.sync()
    assert as_reader(project.dsn, "SELECT * FROM own") == own
    assert set(granted) <= set(grants(project.dsn))
    for table in HISTORY:
        assert history[table] <= set(project.rows(f"SELECT to_jsonb(t)::text FROM {table} AS t")), table
    run(project.dsn, "DROP VIEW own", "ALTER TABLE daily_metrics DROP COLUMN own_note")
    assert lacking(shape(project.dsn), shape(fresh.dsn)) == {}
    assert set(differences(tables(project), tables(fresh))) <= set(HISTORY)
    more = jobs((900, "COD Repair", "Google", "Tue Dec 03 2024", "U900"), more=("UUID",))
    for one in (project, fresh):
        one.put("Import-9.csv", more, minutes=10**6)
        assert one.sync().status == "published"
    assert set(differences(tables(project), tables(fresh))) <= set(HISTORY)
    assert project.sync().status == "unchanged"


OLDER = (
    "DROP VIEW own, data_freshness, run_findings, monthly_vs_target, daily_cumulative, call_funnel",
    "ALTER TABLE monthly_metrics DROP COLUMN cpl, DROP COLUMN profit",
    "ALTER TABLE sync_runs DROP COLUMN rows_rejected, DROP COLUMN version, DROP CONSTRAINT sync_runs_ok_is_finished",
    "ALTER TABLE sync_runs DROP CONSTRAINT sync_runs_status_known",
    "ALTER TABLE sync_runs ADD CONSTRAINT sync_runs_status_known CHECK (status IN ('ok', 'failed', 'other'))",
    "ALTER TABLE payments DROP CONSTRAINT payments_job_id_fkey, ALTER COLUMN method SET NOT NULL",
    "ALTER TABLE jobs DROP COLUMN paid, ALTER COLUMN zip TYPE varchar(20), DROP CONSTRAINT jobs_source_not_blank",
    "ALTER TABLE google_spend DROP CONSTRAINT google_spend_pkey",
    "DROP TABLE feed_status, metric_changes",
    "DROP INDEX payments_paid_date_idx",
    "COMMENT ON COLUMN payments.amount IS NULL",
    "COMMENT ON CONSTRAINT sync_runs_pkey ON sync_runs IS 'rmetrics schema of long ago'",
)


def test_columns_constraints_indexes_views_and_comments_that_lack_are_added_in_place(
    project: Project, fresh: Project
) -> None:
    """A form older than any release: whatever a later version adds to schema.sql arrives without a migration."""
    installed(project.dsn, "schema-0.1.0.sql")
    run(project.dsn, *OLDER)
    kept = project.rows("SELECT xmin::text, ctid::text, payment_id FROM payments ORDER BY 3")
    exports(project)
    schema_apply(project.settings)
    assert project.rows("SELECT xmin::text, ctid::text, payment_id FROM payments ORDER BY 3") == kept, "rewritten"
    project.sync()
    run(project.dsn, "ALTER TABLE daily_metrics DROP COLUMN own_note")
    assert lacking(shape(project.dsn), shape(fresh.dsn)) == {}
    assert set(differences(tables(project), tables(fresh))) <= set(HISTORY)


@pytest.mark.deep
def test_what_cannot_be_upgraded_in_place_is_told_and_nothing_is_changed(project: Project) -> None:
    installed(project.dsn, "schema-0.1.0.sql")
    run(project.dsn, "DROP VIEW run_findings", "ALTER TABLE monthly_metrics ALTER COLUMN cpl DROP EXPRESSION")
    before = shape(project.dsn)
    with pytest.raises(PostgresError, match="monthly_metrics: column cpl must be computed") as caught:
        schema_apply(project.settings)
    assert "CASCADE" in caught.value.hint
    assert shape(project.dsn) == before
