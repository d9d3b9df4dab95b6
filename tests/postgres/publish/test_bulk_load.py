"""Large empty tables are filled without keys: these are there again, and nobody sees anything in between."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from jobs_and_payments import JOBS, PAYMENTS, content, jobs, payments, publish_contents
from published import run
from reliability.versions import prepared
from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Server, Session, connect, server_of, statements
from rmetrics.postgres.publish import bulk_load, published
from rmetrics.postgres.roles import WRITER, roles_script
from support import rows

TWO_JOBS = content(JOBS, jobs(("1", "2024-01-05", "1"), ("2", "2024-02-05", "2")))
PAID = content(PAYMENTS, payments(("p1", "2024-01-06", "10", "1"), ("p2", "2024-01-06", "10", None)))
ASTRAY = content(PAYMENTS, payments(("p1", "2024-01-06", "10", "3")))
TWICE = content(JOBS, jobs(("1", "2024-01-05", "1"), ("1", "2024-01-06", "2")))

CATALOG = """
SELECT 'key', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), contype::text,
       obj_description(oid, 'pg_constraint'), convalidated::text
FROM pg_constraint WHERE conrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL
SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid),
       concat_ws(' ', indisprimary, indisunique, indisvalid, indisready), obj_description(indexrelid, 'pg_class'), ''
FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL
SELECT 'table', oid::text, relname::text, relacl::text, relowner::text, obj_description(oid, 'pg_class'), ''
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
ORDER BY 1, 2, 3
"""


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_load, "WORTH", 1)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """Notes, for each COPY into a table, which of our two tables have a key at that time."""
    found: list[frozenset[str]] = []
    ingest = Session.ingest

    def noting(self: Session, table: str, data: Any, *, schema: str | None) -> int:
        if table in ("jobs", "payments"):
            keys = self.query("SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'p'")
            found.append(frozenset({"jobs", "payments"} - {str(name) for (name,) in keys}))
        return ingest(self, table, data, schema=schema)

    monkeypatch.setattr(Session, "ingest", noting)
    return found


def counts(dsn: str) -> tuple[Any, ...]:
    return rows(dsn, "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM payments)")[0]


def catalog(dsn: str) -> list[tuple[Any, ...]]:
    return rows(dsn, CATALOG)


def test_keys_come_back_as_they_were_with_comments_and_grants(database: str, bare: list[frozenset[str]]) -> None:
    server = prepared(database)
    run(
        database,
        *statements(roles_script()),
        "COMMENT ON INDEX jobs_metric_date_idx IS 'it''s mine'",
        "COMMENT ON CONSTRAINT jobs_pkey ON jobs IS 'the key'",
        "COMMENT ON INDEX jobs_pkey IS 'its index'",
        "COMMENT ON CONSTRAINT payments_job_id_fkey ON payments IS 'a job'",
        'CREATE INDEX "of mine" ON jobs (lower(city)) WITH (fillfactor = 70) WHERE paid > 0',
        "ALTER TABLE jobs ADD CONSTRAINT together UNIQUE (job_id, job_uuid) DEFERRABLE INITIALLY DEFERRED",
    )
    before = catalog(database)
    publish_contents(server, TWO_JOBS, PAID)
    assert bare == [{"jobs", "payments"}] * 2
    assert catalog(database) == before
    assert counts(database) == (2, 2)
    assert rows(database, "SELECT count(DISTINCT tablename) FROM pg_stats WHERE tablename IN ('jobs', 'payments')") == [
        (2,)
    ]
    with pytest.raises(dbapi.Error, match="foreign key"):
        run(database, "DELETE FROM jobs")


@pytest.mark.deep
def test_the_next_run_finds_the_tables_as_they_were_published(database: str, bare: list[frozenset[str]]) -> None:
    server = prepared(database)
    publish_contents(server, TWO_JOBS, PAID)
    with connect(server) as session:
        assert published(session, [JOBS, PAYMENTS]).intact
    run(database, "DELETE FROM payments")
    with connect(server) as session:
        assert not published(session, [JOBS, PAYMENTS]).intact
    publish_contents(server, TWO_JOBS, PAID)
    assert bare == [{"jobs", "payments"}] * 2 + [frozenset()]  # jobs has rows, and its readers must not wait
    assert counts(database) == (2, 2)


@pytest.mark.parametrize("contents", [(TWO_JOBS, ASTRAY), (TWICE, PAID)], ids=["a lost job", "a job twice"])
def test_rows_that_violate_a_key_publish_nothing(
    database: str, bare: list[frozenset[str]], contents: tuple[Any, ...]
) -> None:
    server = prepared(database)
    before = catalog(database)
    with pytest.raises(PostgresError) as refused:
        publish_contents(server, *contents)
    assert refused.value.state in ("23503", "23505")
    assert bare == [{"jobs", "payments"}] * 2, "it was tried once"
    assert (catalog(database), counts(database)) == (before, (0, 0))


OUT_OF_THE_ORDINARY: Mapping[str, tuple[str, ...]] = {
    "a trigger": (
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "CREATE TRIGGER own BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION noted()",
    ),
    "a table that refers to it": ("CREATE TABLE own (job varchar REFERENCES jobs)",),
    "a table elsewhere that refers to it": ("CREATE SCHEMA s", "CREATE TABLE s.payments (job varchar REFERENCES jobs)"),
    "a view that rests on its key": ("CREATE VIEW own AS SELECT job_id, type FROM jobs GROUP BY job_id",),
    "a replica identity": ("ALTER TABLE jobs REPLICA IDENTITY USING INDEX jobs_pkey",),
    "a clustered index": ("CLUSTER jobs USING jobs_metric_date_idx",),
    "a foreign key switched off": ("ALTER TABLE payments DISABLE TRIGGER ALL",),
    "an inherited table": ("CREATE TABLE own () INHERITS (jobs)",),
    "a refusal of all changes": (
        "CREATE FUNCTION never() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no changes'; END $$",
        "CREATE EVENT TRIGGER never ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION never()",
    ),
}


@pytest.mark.parametrize("ddl", OUT_OF_THE_ORDINARY.values(), ids=OUT_OF_THE_ORDINARY.keys())
@pytest.mark.ordinary(1, deep=3)
def test_what_is_out_of_the_ordinary_is_published_in_the_ordinary_way(
    database: str, bare: list[frozenset[str]], ddl: tuple[str, ...]
) -> None:
    server = prepared(database)
    run(database, *ddl)
    before = catalog(database)
    publish_contents(server, TWO_JOBS, PAID)
    assert "jobs" not in bare[0]
    assert (catalog(database), counts(database)) == (before, (2, 2))


@pytest.mark.deep
def test_who_does_not_own_the_tables_publishes_in_the_ordinary_way(database: str, bare: list[frozenset[str]]) -> None:
    prepared(database)
    run(database, *statements(roles_script()))
    user = database.partition("//")[2].partition(":")[0]
    writer: Server = server_of(database.replace(f"//{user}:", f"//{WRITER}:", 1))
    publish_contents(writer, TWO_JOBS, PAID)
    assert bare == [frozenset()] * 2
    assert counts(database) == (2, 2)


@pytest.mark.deep
def test_a_reader_at_work_is_not_waited_for(database: str, bare: list[frozenset[str]]) -> None:
    server = prepared(database)
    with dbapi.connect(database) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM jobs")
        cursor.fetchall()
        publish_contents(server, TWO_JOBS, PAID)
        reader.rollback()
    assert bare == [frozenset()] * 2
    assert counts(database) == (2, 2)


def test_readers_wait_for_the_commit_or_keep_their_older_version(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = prepared(database)
    ingest = Session.ingest
    seen: dict[str, Any] = {}

    def late() -> None:
        seen["late"] = counts(database)

    waiting = threading.Thread(target=late)
    with dbapi.connect(database, autocommit=True) as reader, reader.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")  # takes the snapshot, and no lock on our tables
        cursor.fetchall()

        def while_copying(self: Session, table: str, data: Any, *, schema: str | None) -> int:
            if table == "payments":
                waiting.start()
                waiting.join(0.5)
                assert waiting.is_alive()
                assert not seen
            return ingest(self, table, data, schema=schema)

        monkeypatch.setattr(Session, "ingest", while_copying)
        publish_contents(server, TWO_JOBS, PAID)
        waiting.join(10)
        cursor.execute("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM payments)")
        assert cursor.fetchone() == (0, 0)
    assert seen == {"late": (2, 2)}
