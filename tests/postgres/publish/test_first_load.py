"""The first rows of a table: a violated foreign key fails the publish, however the keys are checked."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from jobs_and_payments import JOBS, PAYMENTS, content, jobs, payments, publish_contents
from published import run
from reliability.versions import prepared
from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Server, Session, server_of, statements
from rmetrics.postgres.roles import WRITER, roles_script
from support import rows

ONE_JOB = content(JOBS, jobs(("1", "2024-01-05", "1")))
PAID = content(PAYMENTS, payments(("p1", "2024-01-06", "10", "1"), ("p2", "2024-01-06", "10", None)))
ASTRAY = content(PAYMENTS, payments(("p1", "2024-01-06", "10", "1"), ("p2", "2024-01-06", "10", "2")))


def counts(dsn: str) -> tuple[Any, ...]:
    return rows(dsn, "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM payments)")[0]


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes the statements from here on."""
    found: list[str] = []
    execute: Callable[..., int] = Session.execute

    def noting(self: Session, sql: str, *arguments: Any) -> int:
        found.append(sql)
        return execute(self, sql, *arguments)

    monkeypatch.setattr(Session, "execute", noting)
    return found


def at_once(statements: list[str]) -> bool:
    return any("session_replication_role = replica" in s for s in statements)


@pytest.fixture
def installed(database: str) -> Mapping[str, Server]:
    """The schema, for its superuser and for the writer."""
    owner = prepared(database)
    run(database, *statements(roles_script()))
    user = database.partition("//")[2].partition(":")[0]
    return {"superuser": owner, "writer": server_of(database.replace(f"//{user}:", f"//{WRITER}:", 1))}


@pytest.mark.parametrize("who", ["superuser", "writer"])
@pytest.mark.ordinary(1, deep=1)
def test_a_violated_foreign_key_publishes_nothing(
    installed: Mapping[str, Server], who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(monkeypatch)
    with pytest.raises(PostgresError, match="foreign key"):
        publish_contents(installed[who], ONE_JOB, ASTRAY)
    assert at_once(found) is (who == "superuser")
    assert counts(installed["superuser"].dsn) == (0, 0)
    publish_contents(installed[who], ONE_JOB, PAID)
    assert counts(installed["superuser"].dsn) == (1, 2)
    with pytest.raises(PostgresError, match="foreign key"):
        publish_contents(installed[who], ONE_JOB, ASTRAY)
    with pytest.raises(dbapi.Error, match="foreign key"):
        run(installed["superuser"].dsn, "DELETE FROM jobs")


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TRIGGER own BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION noted()",
        "ALTER TABLE payments ALTER CONSTRAINT payments_job_id_fkey DEFERRABLE",
    ],
)
@pytest.mark.ordinary(1, deep=1)
def test_what_else_would_be_switched_off_keeps_keys_checked_row_by_row(
    database: str, monkeypatch: pytest.MonkeyPatch, ddl: str
) -> None:
    server = prepared(database)
    run(
        database,
        "CREATE TABLE seen (n int)",
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO seen VALUES (1); RETURN NEW; END $$",
        ddl,
    )
    found = asked(monkeypatch)
    with pytest.raises(PostgresError, match="foreign key"):
        publish_contents(server, ONE_JOB, ASTRAY)
    publish_contents(server, ONE_JOB, PAID)
    assert not at_once(found)
    assert rows(database, "SELECT count(*) FROM seen") == [(2 if "TRIGGER" in ddl else 0,)]


def test_where_somebody_writes_meanwhile_keys_are_checked_row_by_row(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = prepared(database)
    publish_contents(server, ONE_JOB)
    found = asked(monkeypatch)
    with dbapi.connect(database) as other, other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobs (job_id, source, segment, is_unit, is_repair) VALUES ('x', 'y', 'z', true, true)"
        )
        publish_contents(server, ONE_JOB, PAID)
        other.rollback()
    assert not at_once(found)
    assert counts(database) == (1, 2)


def test_readers_go_on_while_keys_are_off(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = prepared(database)
    ingest = Session.ingest
    found = asked(monkeypatch)
    seen = []

    def while_copying(self: Session, table: str, data: Any, *, schema: str | None) -> int:
        done = ingest(self, table, data, schema=schema)
        if table == "payments":
            assert at_once(found)
            with dbapi.connect(database, autocommit=True) as reader, reader.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
                cursor.execute("SELECT count(*) FROM payments JOIN jobs USING (job_id)")
                seen.append(cursor.fetchone())
        return done

    monkeypatch.setattr(Session, "ingest", while_copying)
    publish_contents(server, ONE_JOB, PAID)
    assert seen == [(0,)]
    assert counts(database) == (1, 2)
