"""The publish protocol: what is refused, and that nothing is changed then."""

from typing import Any

import pytest

from published import run
from reliability.versions import SEEN, prepared, publish_version, seen_of
from rmetrics.errors import PostgresError
from rmetrics.postgres import Session
from support import rows


def held(dsn: str) -> tuple[Any, ...]:
    return rows(dsn, SEEN)[0]


@pytest.mark.parametrize("version", [2, 4], ids=["more rows", "rows changed only"])
def test_a_publish_gives_exactly_the_version_whatever_was_there(database: str, version: int) -> None:
    server = prepared(database)
    for one in (1, version, 1):
        publish_version(server, one)
        run(
            database,
            "UPDATE sync_runs SET run_id = run_id || ' earlier' WHERE run_id = 'v0001'" if one != 1 else "SELECT 1",
        )
        assert held(database)[:7] == seen_of(one)[:7]


def test_what_postgres_stored_otherwise_is_read_back_and_nothing_is_published(database: str) -> None:
    server = prepared(database)
    publish_version(server, 1)
    run(
        database,
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.jobs := NEW.jobs + 1; RETURN NEW; END $$",
        "CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON daily_metrics FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    with pytest.raises(PostgresError, match=r"daily_metrics, jobs: \d+ was read back where \d+ was sent"):
        publish_version(server, 2)
    assert held(database) == seen_of(1)


@pytest.mark.parametrize("ddl", [
    "ALTER TABLE daily_metrics ALTER COLUMN leads TYPE integer",
    "ALTER TABLE daily_metrics ADD COLUMN must varchar NOT NULL DEFAULT ''",
])  # fmt: skip
def test_a_table_of_another_shape_is_refused_before_a_row_is_sent(database: str, ddl: str) -> None:
    server = prepared(database)
    run(
        database,
        "DROP VIEW monthly_vs_target, daily_cumulative CASCADE",
        "ALTER TABLE daily_metrics DROP COLUMN conv_l2u, DROP COLUMN conv_l2r, DROP COLUMN cpl",
        ddl,
    )
    with pytest.raises(PostgresError, match=r"column (leads|must)"):
        publish_version(server, 1)
    assert rows(database, "SELECT count(*) FROM daily_metrics") == [(0,)]


def test_a_run_that_is_not_there_after_the_commit_is_an_error(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = prepared(database)
    commit = Session.commit

    def lost(self: Session) -> None:
        if self.query("SELECT count(*) FROM sync_runs")[0][0]:
            self.rollback()  # what a commit after a failed statement does, while it reports success
        commit(self)

    monkeypatch.setattr(Session, "commit", lost)
    with pytest.raises(PostgresError, match="not in the database"):
        publish_version(server, 1)
