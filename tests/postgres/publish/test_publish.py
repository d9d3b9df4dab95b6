"""The publish protocol: what is refused, and that nothing is changed then."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs_and_payments import JOBS, PAYMENTS, content, jobs, payments, publish_contents
from published import run
from reliability.versions import SEEN, prepared, publish_version, seen_of
from rmetrics.errors import LakeError, PostgresError
from rmetrics.postgres.connection import Session
from rmetrics.postgres.publish import DesiredTable
from rmetrics.postgres.publish.digests import digests, month_sums
from support import rows


def held(dsn: str) -> tuple[Any, ...]:
    return rows(dsn, SEEN)[0]


@pytest.mark.parametrize("version", [2, 4], ids=["more rows", "rows changed only"])
@pytest.mark.ordinary(1)
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
    with pytest.raises(PostgresError, match=r"daily_metrics, jobs: sent \d+, read back \d+"):
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
        *(
            f"DROP VIEW IF EXISTS {name} CASCADE"
            for (name,) in rows(database, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")
        ),
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
    with pytest.raises(PostgresError, match="missing from the database"):
        publish_version(server, 1)


# -- months


FIRST = jobs(*((f"j{n}", f"2024-{n % 3 + 1:02}-05", "1") for n in range(90)), ("undated", None, "1"))


def held_jobs(dsn: str) -> list[tuple[Any, ...]]:
    return rows(dsn, "SELECT job_id, metric_date::text, paid FROM jobs ORDER BY 1")


def wanted(frame: pl.LazyFrame) -> list[tuple[Any, ...]]:
    cells = (pl.col("metric_date").cast(pl.String), pl.col("paid").cast(pl.String))
    return frame.select("job_id", *cells).sort("job_id").collect().rows()


def changed(**paid: str) -> pl.LazyFrame:
    """The first jobs with other amounts."""
    new = pl.lit(None)
    for job, amount in paid.items():
        new = pl.when(pl.col("job_id") == job).then(pl.lit(amount)).otherwise(new)
    return FIRST.with_columns(pl.coalesce(new.cast(pl.Decimal(12, 2)), "paid").alias("paid"))


def ingested(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Notes how many rows go into which table from here on."""
    found: dict[str, int] = {}
    ingest = Session.ingest

    def noting(self: Session, table: str, data: Any, *, schema: str | None) -> int:
        found[table] = ingest(self, table, data, schema=schema)
        return found[table]

    monkeypatch.setattr(Session, "ingest", noting)
    return found


AFTER = {
    "a value": (changed(j3="7"), 1),
    "a row more and one less": (pl.concat([FIRST.filter(pl.col("job_id") != "j4"), jobs(("new", "2024-02-09", "3"))]), 2),
    "a row of another month": (
        pl.concat([FIRST.filter(pl.col("job_id") != "j4"), jobs(("j4", "2024-03-09", "1"))]), 1
    ),
    "a row that lost its day": (pl.concat([FIRST.filter(pl.col("job_id") != "j4"), jobs(("j4", None, "1"))]), 1),
    "a month gone": (FIRST.filter(pl.col("metric_date") != dt.date(2024, 2, 5)), 31),
    "a month that is new": (pl.concat([FIRST, jobs(("new", "2024-07-09", "3"))]), 1),
    "nothing left": (jobs(), 91),
}  # fmt: skip


@pytest.mark.parametrize("at_hand", [False, True], ids=["whole months", "months at hand as they were"])
@pytest.mark.parametrize("what", AFTER)
@pytest.mark.ordinary(1, deep=2)
def test_whatever_changed_the_table_is_as_it_must_be(database: str, what: str, at_hand: bool) -> None:
    server, first = prepared(database), content(JOBS, FIRST)
    publish_contents(server, first)
    after, written = AFTER[what]
    done = publish_contents(server, content(JOBS, after, first if at_hand else None))
    assert held_jobs(database) == wanted(after)
    if what != "a month gone":
        assert done.rows == {"jobs": written}
    parts = rows(database, "SELECT part, rows, digest FROM published_parts ORDER BY 1")
    run(database, "TRUNCATE jobs, payments, calls", "DELETE FROM published_parts")
    publish_contents(server, content(JOBS, after))
    assert rows(database, "SELECT part, rows, digest FROM published_parts ORDER BY 1") == parts


def test_only_rows_that_differ_go_to_the_server_where_the_month_is_at_hand_as_it_was(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, first = prepared(database), content(JOBS, FIRST)
    publish_contents(server, first)
    second = changed(j3="7", j4="8")
    sent = ingested(monkeypatch)
    publish_contents(server, content(JOBS, second, first))
    assert sent["_stage_jobs"] == 2
    publish_contents(server, content(JOBS, FIRST))
    assert sent["_stage_jobs"] == 60


@pytest.mark.deep
def test_a_month_that_is_not_as_it_was_published_is_sent_whole(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server, first, other = prepared(database), content(JOBS, FIRST), content(JOBS, changed(j3="5"))
    publish_contents(server, first)
    sent = ingested(monkeypatch)
    publish_contents(server, content(JOBS, changed(j3="7"), other))
    assert sent["_stage_jobs"] == 30
    run(database, "UPDATE jobs SET paid = 9 WHERE job_id = 'j6'")  # of a month that has not changed
    publish_contents(server, content(JOBS, changed(j3="8"), content(JOBS, changed(j3="7"))))
    assert held_jobs(database) == wanted(changed(j3="8"))


def test_only_the_keys_of_rows_that_go_are_sent_where_nobody_else_has_put_rows(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, first = prepared(database), content(JOBS, FIRST)
    publish_contents(server, first)
    second = FIRST.filter(~pl.col("job_id").is_in(["j4", "j7", "undated"]))
    sent = ingested(monkeypatch)
    assert publish_contents(server, content(JOBS, second, first)).rows == {"jobs": 3}
    assert sent["_gone_jobs"] == 3
    assert "_keys_jobs" not in sent
    assert held_jobs(database) == wanted(second)


@pytest.mark.parametrize("strange", [1, 2])
@pytest.mark.ordinary(1, deep=1)
def test_a_row_of_somebody_else_in_the_place_of_one_that_goes_does_not_stay(database: str, strange: int) -> None:
    server, first = prepared(database), content(JOBS, FIRST)
    publish_contents(server, first)
    put = [
        f"INSERT INTO jobs (job_id, metric_date, source, segment, paid, is_unit, is_repair) "
        f"SELECT 'odd{n}', metric_date, source, segment, 5, is_unit, is_repair "
        "FROM jobs WHERE job_id = 'j4'"
        for n in range(strange)
    ]
    run(database, *put, "DELETE FROM jobs WHERE job_id = 'j4'")
    second = FIRST.filter(pl.col("job_id") != "j4")
    publish_contents(server, content(JOBS, second, first))
    assert held_jobs(database) == wanted(second)


def test_what_is_published_already_is_not_written_again(database: str) -> None:
    server, both = (
        prepared(database),
        (content(JOBS, FIRST), content(PAYMENTS, payments(("p", "2024-01-06", "1", "j1")))),
    )
    publish_contents(server, *both)
    assert publish_contents(server, *both).rows == {"jobs": 0, "payments": 0}
    assert held_jobs(database) == wanted(FIRST)


@pytest.mark.deep
def test_rows_that_cannot_be_read_change_nothing(database: str, tmp_path: Path) -> None:
    server, path = prepared(database), tmp_path / "jobs.parquet"
    publish_contents(server, content(JOBS, FIRST))
    changed(j3="7").filter(pl.col("metric_date") == dt.date(2024, 1, 5)).collect().write_parquet(path)
    made = digests(month_sums(JOBS, pl.scan_parquet(path)), JOBS)
    stored = DesiredTable(JOBS, made, lambda _: [pl.scan_parquet(path)])
    path.write_bytes(path.read_bytes()[:200] + bytes(200) + path.read_bytes()[400:])
    with pytest.raises(LakeError, match="cannot read the rows of jobs"):
        publish_contents(server, stored)
    path.unlink()
    with pytest.raises(LakeError, match="cannot read the rows of jobs"):
        publish_contents(server, stored)
    assert held_jobs(database) == wanted(FIRST)


def test_a_small_change_that_is_stored_otherwise_is_read_back_by_its_keys(database: str) -> None:
    server, first = prepared(database), content(JOBS, FIRST)
    publish_contents(server, first)
    run(
        database,
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.paid := NEW.paid + 1; RETURN NEW; END $$",
        "CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    with pytest.raises(PostgresError, match=r"jobs, paid: sent [\d.]+, read back [\d.]+"):
        publish_contents(server, content(JOBS, changed(j3="7"), first))
    assert held_jobs(database) == wanted(FIRST)
