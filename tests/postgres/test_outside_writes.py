"""Writes by others are noticed without reading large tables; what is not known is counted."""

from collections.abc import Callable
from typing import Any

import pytest

from jobs_and_payments import JOBS, PAYMENTS, content, jobs, payments, publish_contents
from published import run
from reliability.versions import prepared
from rmetrics.postgres import outside_writes as witness
from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.publish import published
from support import rows

CONTENTS = (
    content(JOBS, jobs(("1", "2024-01-05", "1"), ("2", "2024-02-05", "2"), ("3", None, "3"))),
    content(PAYMENTS, payments(("p1", "2024-01-06", "10", "1"), ("p2", "2024-02-06", "20", "2"))),
)


@pytest.fixture
def filled(database: str, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A published database all of whose tables count as large."""
    monkeypatch.setattr(witness, "_SMALL", -1)
    server = prepared(database)
    publish_contents(server, *CONTENTS)
    return server


def intact(server: Server) -> bool:
    with connect(server) as session:
        return published(session, [JOBS, PAYMENTS]).intact


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes which tables are counted from here on."""
    found: list[str] = []
    query: Callable[..., Any] = Session.query

    def noting(self: Session, sql: str, *arguments: Any) -> Any:
        if "count(*)" in sql:
            found.append(sql)
        return query(self, sql, *arguments)

    monkeypatch.setattr(Session, "query", noting)
    return found


def test_what_nobody_touched_is_not_counted(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(monkeypatch)
    assert intact(filled)
    run(filled.dsn, "VACUUM ANALYZE jobs", "ANALYZE payments", "SELECT count(*) FROM jobs")
    assert intact(filled)
    publish_contents(filled, *CONTENTS)
    assert intact(filled)
    assert found == []


def test_a_column_that_is_dropped_is_noticed(filled: Server) -> None:
    run(filled.dsn, "ALTER TABLE jobs DROP COLUMN city CASCADE")
    assert not intact(filled)


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM payments WHERE payment_id = 'p1'",
        "INSERT INTO jobs (job_id, source, segment, is_unit, is_repair) VALUES ('x', 'y', 'COD', false, false)",
        "UPDATE payments SET amount = 11 WHERE payment_id = 'p1'",
        "UPDATE jobs SET city = 'Lynn'",
        "TRUNCATE payments",
        "DROP TABLE payments CASCADE",
        "DELETE FROM published_parts WHERE table_name = 'jobs'",
        "WITH gone AS (DELETE FROM payments RETURNING *) INSERT INTO payments SELECT * FROM gone WHERE amount > 10",
    ],
)
@pytest.mark.ordinary(2, deep=6)
def test_a_write_by_hand_is_noticed(filled: Server, harm: str) -> None:
    run(filled.dsn, harm)
    assert not intact(filled)
    if "DROP" in harm:
        prepared(filled.dsn)
    before = rows(filled.dsn, "SELECT count(*) FROM sync_runs")
    publish_contents(filled, *CONTENTS)
    assert intact(filled)
    assert rows(filled.dsn, "SELECT payment_id, amount, job_id FROM payments ORDER BY 1") == [
        ("p1", "10.00", "1"),
        ("p2", "20.00", "2"),
    ]
    assert rows(filled.dsn, "SELECT job_id, paid, city FROM jobs ORDER BY 1") == [
        ("1", "1.00", None),
        ("2", "2.00", None),
        ("3", "3.00", None),
    ]
    assert rows(filled.dsn, "SELECT count(*) FROM sync_runs")[0][0] == before[0][0] + 1


@pytest.mark.deep
def test_after_a_crash_or_in_a_restored_dump_rows_are_counted(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    run(filled.dsn, "SELECT pg_stat_reset()")  # what a crash does to the counters
    found = counted(monkeypatch)
    assert intact(filled)
    assert "payments" in found[0]
    run(filled.dsn, "DELETE FROM payments WHERE payment_id = 'p1'")
    assert not intact(filled)


@pytest.mark.deep
def test_a_table_that_was_rewritten_is_counted(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    found = counted(monkeypatch)
    run(filled.dsn, "VACUUM FULL payments")
    assert intact(filled)
    assert len(found) == 1


@pytest.mark.deep
def test_counters_of_an_old_server_are_not_used(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "_OLDEST", 990_000)
    publish_contents(filled, *CONTENTS)
    found = counted(monkeypatch)
    assert intact(filled)
    assert len(found) == 1
    run(filled.dsn, "DELETE FROM payments WHERE payment_id = 'p1'")
    assert not intact(filled)


def test_small_tables_are_counted_whatever_the_counters_say(filled: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "_SMALL", 10)
    found = counted(monkeypatch)
    assert intact(filled)
    assert len(found) == 1
