"""The main job, end to end, on small exports and a real database."""

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from rmetrics.errors import BusyError, CheckError, OutOfMemoryError, PostgresError, SettingsError
from rmetrics.lake import EXPORT, Lake
from rmetrics.pipeline import publication
from rmetrics.pipeline.verify import cross_check
from rmetrics.usecases.sync import sync
from small_company import jobs, payments, referrals, targets
from support import Project, csv_text, new_project
from templates import Templates

MORE = ("Status", "UUID")
TABLES = (
    "jobs", "payments", "calls", "elocals_leads", "proref_leads", "google_spend", "targets", "daily_metrics",
    "monthly_metrics", "measures", "measure_daily", "dimension_monthly", "journeys", "journey_metrics",
)  # fmt: skip


def job(
    number: int, kind: str = "COD Service", source: str = "Google", created: str = "Tue Nov 05 2024"
) -> tuple[object, ...]:
    return number, kind, source, created, "Done", f"U{number}"


def payment(key: str, number: object, amount: str, date: str = "2024-11-06T15:00:00.000Z") -> tuple[object, ...]:
    return number, date, amount, "cash", "", key


def worked(*rows: tuple[object, ...]) -> str:
    return jobs(*rows, more=MORE)


def paid(*rows: tuple[object, ...]) -> str:
    return payments(*rows, more=("Method", "Status", "Transaction ID"))


def small(project: Project) -> None:
    project.put("Import-1.csv", worked(job(1), job(2, "INS Service", "Rely"), job(3, "COD Repair", "")))
    project.put("payments_1.csv", paid(payment("p1", 1, "100.01"), payment("p2", 9, "50")))


def published_small(project: Project) -> None:
    """Publishes the small company."""
    small(project)
    project.sync()


@pytest.fixture
def synced(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """The small company as it was published, for a test that changes it."""
    with templates.of(published_small).copy(tmp_path) as project:
        yield project


def everything(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """All published rows, without what differs between runs."""
    return {t: sorted(project.rows(f"SELECT * FROM {t}"), key=str) for t in TABLES}


def test_a_first_sync_publishes_raw_rows_and_metrics(project: Project) -> None:
    small(project)
    result = project.sync()
    assert result.status == "published"
    assert result.published["jobs"] == 3
    assert project.rows(
        "SELECT month::text, source, segment, jobs, leads, units, repairs, revenue_gross, revenue40, cost "
        "FROM monthly_metrics ORDER BY source, segment"
    ) == [
        ("2024-11-01", "Google", "COD", 1, 1, 1, 1, "100.01", "40.004000", "0.00"),
        ("2024-11-01", "Rely", "INS", 1, 1, 1, 0, "0.00", "0.000000", "0.00"),
        ("2024-11-01", "Unattributed", "COD", 1, 0, 0, 1, "0.00", "0.000000", "0.00"),
        ("2024-11-01", "Unattributed", "OTHER", 0, 0, 0, 0, "50.00", "20.000000", "0.00"),
    ]
    assert [f.code for f in result.findings if f.severity != "info"] == ["payment-without-job"]


def test_a_second_sync_writes_nothing(project: Project) -> None:
    small(project)
    project.sync()
    before = project.rows("SELECT run_id, finished_at FROM sync_runs")
    files = {p: p.stat().st_mtime_ns for p in (project.root / "data" / "lake").rglob("*") if p.is_file()}
    assert project.sync().status == "unchanged"
    assert project.rows("SELECT run_id, finished_at FROM sync_runs") == before
    after = {p: p.stat().st_mtime_ns for p in (project.root / "data" / "lake").rglob("*") if p.is_file()}
    # Who held the lake last, and what was looked at: PostgreSQL's counts of written rows may come after the first sync.
    assert {p.name for p in after if after[p] != files.get(p)} <= {"lock", "unchanged.json"}


def test_only_rows_that_differ_are_written(synced: Project) -> None:
    synced.put("Import-2.csv", worked(job(2, "INS Repair", "Rely"), job(4, created="Mon Dec 02 2024")))
    result = synced.sync()
    assert result.published["jobs"] == 2
    assert result.published["payments"] == 0
    # Rely's day and month change; job 4 brings a new day and a new month.
    assert (result.published["daily_metrics"], result.published["monthly_metrics"]) == (2, 2)
    changes = synced.rows(
        "SELECT date::text, source, metric, old_value, new_value, cause FROM metric_changes ORDER BY 1, 3"
    )
    assert [c[:5] for c in changes] == [
        ("2024-11-05", "Rely", "leads", "1", "0"),
        ("2024-11-05", "Rely", "repairs", "0", "1"),
        ("2024-11-05", "Rely", "units", "1", "0"),
        (None, "Rely", "leads", "1", "0"),
        (None, "Rely", "repairs", "0", "1"),
        (None, "Rely", "units", "1", "0"),
    ]


@pytest.mark.deep
def test_changes_of_a_day_add_up_to_how_its_total_changed(project: Project) -> None:
    """A job that goes to a source and segment which that day did not have is a loss of one and a gain of the other."""
    small(project)
    project.sync()
    before = dict(project.rows("SELECT date, sum(repairs)::int FROM daily_metrics GROUP BY 1"))
    project.put("Import-2.csv", worked(job(2, "COD Repair", "Puls"), job(4, created="Mon Dec 02 2024")))
    project.sync()
    after = dict(project.rows("SELECT date, sum(repairs)::int FROM daily_metrics GROUP BY 1"))
    for of, dates in (("date", "date IS NOT NULL"), ("month", "date IS NULL")):
        noted = dict(project.rows(
            f"SELECT max({of}), sum(coalesce(new_value, 0) - coalesce(old_value, 0))::int FROM metric_changes "
            f"WHERE metric = 'repairs' AND {dates}"
        ))  # fmt: skip
        assert list(noted.values()) == [1], of
    assert {day: after[day] - n for day, n in before.items()} == {day: int(day.day == 5) for day in before}
    assert project.rows("SELECT count(*)::int FROM metric_changes WHERE month = '2024-12-01'") == [(0,)]  # its first


@pytest.mark.parametrize("lost", ["typed", "metrics", "rules", "state.json", "inbox.json"])
@pytest.mark.ordinary(1, deep=1)
def test_deleted_caches_come_back_the_same(synced: Project, lost: str) -> None:
    before = everything(synced)
    path = synced.root / "data" / "lake" / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert synced.sync().status == "unchanged"
    assert everything(synced) == before


@pytest.mark.deep
def test_a_deleted_database_comes_back_the_same(synced: Project) -> None:
    before = everything(synced)
    for table in (
        *reversed(TABLES),
        "metric_changes",
        "member_changes",
        "sync_runs",
        "published_parts",
        "feed_status",
        "business",
        "forecasts",
    ):
        run_sql(synced, f"DROP TABLE IF EXISTS {table} CASCADE")
    assert synced.sync().status == "published"
    assert everything(synced) == before


def run_sql(project: Project, sql: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(project.dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM payments",
        "DELETE FROM monthly_metrics WHERE source = 'Rely'",
        "INSERT INTO jobs (job_id, source, segment, is_unit, is_repair) VALUES ('x', 'y', 'COD', false, false)",
        "DELETE FROM published_parts",
        "UPDATE payments SET amount = 1 WHERE payment_id = 'p1'",
        "UPDATE daily_metrics SET cost = 5",
        "TRUNCATE calls, payments",
        "DROP VIEW monthly_vs_target",
        "DROP TABLE calls CASCADE",
        "DELETE FROM metric_changes; ",
    ],
)
@pytest.mark.ordinary(0, deep=2)
def test_a_half_filled_database_heals(project: Project, harm: str) -> None:
    small(project)
    project.sync()
    before = everything(project)
    run_sql(project, harm.rstrip("; "))
    project.sync()
    assert everything(project) == before
    assert project.rows("SELECT count(*) FROM monthly_vs_target")[0][0] > 0


@pytest.mark.deep
def test_full_mends_a_number_changed_by_hand(synced: Project) -> None:
    before = everything(synced)
    run_sql(synced, "UPDATE payments SET amount = 1 WHERE payment_id = 'p1'")
    run_sql(synced, "UPDATE daily_metrics SET cost = 5, date = date + 40 WHERE source = 'Rely'")
    assert synced.sync(full=True).status == "published"
    assert everything(synced) == before


def test_a_dry_run_writes_nothing(bare_project: Project) -> None:
    project = bare_project
    small(project)
    result = project.sync(dry_run=True)
    assert result.status == "dry-run"
    assert [m.repairs for m in result.months if m.source == "Google"] == [1]
    assert not (project.root / "data" / "lake").exists()
    assert project.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_an_empty_inbox_is_fine(project: Project) -> None:
    assert project.sync().status == "published"
    assert project.sync().status == "unchanged"


def test_a_missing_inbox_is_told(project: Project) -> None:
    project.inbox.rmdir()
    with pytest.raises(SettingsError, match="does not exist"):
        project.sync()


@pytest.mark.deep
def test_an_older_lake_does_not_take_rows_away(synced: Project, tmp_path: Path) -> None:
    other = new_project(tmp_path / "other", synced.dsn)
    other.put("Import-1.csv", worked(job(7)))
    with pytest.raises(PostgresError, match="does not have"):
        other.sync()
    assert synced.rows("SELECT count(*) FROM jobs") == [(3,)]
    other.sync(force=True)
    assert synced.rows("SELECT job_id FROM jobs") == [("7",)]


def test_the_lock_keeps_a_second_run_out(project: Project) -> None:
    lake = Lake(project.settings.lake_dir)
    with lake.locked(), pytest.raises(BusyError, match=r"pid \d+, since 20"):
        project.sync()


@pytest.mark.deep
def test_newest_wins_by_time_of_the_export_whatever_the_landing_order(project: Project) -> None:
    old, new = worked(job(1, source="Rely")), worked(job(1, source="NSA"))
    project.put("b.csv", new, minutes=9)
    project.sync()
    project.put("a.csv", old, minutes=5)
    result = project.sync()
    assert project.rows("SELECT source FROM jobs") == [("NSA",)]
    assert {f.file: (f.accepted, f.superseded) for f in result.files} == {"a.csv": (0, 1), "b.csv": (1, 0)}


def test_a_column_the_newest_export_lacks_keeps_the_older_value_and_a_blank_cell_blanks_it(project: Project) -> None:
    project.put("Import-1.csv", worked(job(1, source="Rely"), job(2, source="NSA")))
    project.put(
        "jobs_export.csv", csv_text(("Job #", "Job Type", "Status", "Job Date"), (1, "INS Repair", "—", "11/07/24"))
    )
    project.put("Import-2.csv", jobs((2, "COD Service", "", "Tue Nov 05 2024", "Done", "U2"), more=("Status", "UUID")))
    project.sync()
    assert project.rows(
        "SELECT job_id, type, source, status, job_date::text, created_at IS NULL FROM jobs ORDER BY 1"
    ) == [
        ("1", "INS Repair", "Rely", None, "2024-11-07", False),
        ("2", "COD Service", "Unattributed", "Done", None, False),
    ]


def test_a_bad_row_or_file_stops_nothing_and_every_row_is_accounted_for(project: Project) -> None:
    text = paid(payment("p1", 1, "100"), payment("p2", 1, "12.345"), payment("p3", 1, "5", "32/13/2024"))
    project.put("payments.csv", text + "1,2024-11-06\n" + paid(payment("p1", 1, "7")).split("\n", 1)[1])
    project.put("Import-1.csv", worked(job(1)))
    project.put("login.csv", "<!DOCTYPE html><html><body>Sign in</body></html>")
    project.put("other.csv", "a,b\n1,2\n")
    files = {f.file: f for f in project.sync().files}
    pay = files["payments.csv"]
    assert (pay.rows, pay.accepted, pay.rejected, pay.superseded, pay.totals) == (5, 1, 3, 1, 0)
    assert files["login.csv"].status == files["other.csv"].status == "refused"
    assert "web page" in files["login.csv"].reason
    assert project.rows("SELECT amount FROM payments") == [("7.00",)]


def test_rejected_rows_are_kept_with_line_column_value_and_reason(project: Project) -> None:
    project.put("payments.csv", paid(payment("p1", 1, "12.345")))
    project.sync()
    (path,) = (project.root / "data" / "lake" / "typed" / "payments").glob("*.rejected.parquet")
    assert pl.read_parquet(path, glob=False).drop(EXPORT).rows() == [
        (2, "Amount", "12.345", "Amount has more than two decimals")
    ]


@pytest.mark.slow
def test_a_new_rule_re_reads_old_exports(project: Project) -> None:
    project.put("Import-1.csv", jobs((*job(1), "MA"), more=(*MORE, "State")))
    project.sync()
    feeds = project.rules / "feeds.toml"
    feeds.write_text(feeds.read_text().replace(
        "city         = {", 'state        = { type = "text", from = ["State"], comment = "State" }\ncity         = {', 1
    ))  # fmt: skip
    assert project.sync().status == "published"
    assert project.rows("SELECT job_id, state FROM jobs") == [("1", "MA")]


def test_an_edited_price_changes_the_cost_and_says_why(project: Project) -> None:
    project.put("pro referral.csv", referrals(("a", "11/05/2024 10:00 AM", ""), ("b", "11/06/2024 10:00 AM", "Passed")))
    project.sync()
    assert project.rows("SELECT leads, cost FROM monthly_metrics") == [(1, "20.00")]
    sources = project.rules / "sources.toml"
    sources.write_text(sources.read_text().replace("per_lead = 20.00", "per_lead = 25.00"))
    project.sync()
    assert project.rows("SELECT leads, cost FROM monthly_metrics") == [(1, "25.00")]
    ((old, new, cause),) = project.rows("SELECT old_value, new_value, cause FROM metric_changes WHERE date IS NULL")
    assert (old, new) == ("20.00", "25.00")
    assert "rule" in cause


def test_files_of_the_lake_are_closed_to_others(templates: Templates) -> None:
    lake = templates.of(published_small).project.root / "data" / "lake"
    assert lake.stat().st_mode & 0o077 == 0
    assert [p for p in lake.rglob("*") if p.stat().st_mode & 0o077] == []


def test_the_run_is_recorded(project: Project) -> None:
    small(project)
    result = project.sync()
    ((run, files, read, rejected, status),) = project.rows(
        "SELECT run_id, files, rows_read, rows_rejected, status FROM sync_runs"
    )
    assert (run, files, read, rejected, status) == (result.run_id, 2, 5, 0, "ok")
    assert project.rows("SELECT timezone, currency FROM business") == [("America/New_York", "USD")]
    fresh = dict(project.rows("SELECT feed, last_date::text FROM data_freshness"))
    assert fresh["jobs"] == "2024-11-05"


@pytest.mark.deep
def test_memory_and_clock_are_not_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same data gives the same numbers on any day and in any time zone of the machine."""
    small(project)
    before = {m.source: m for m in sync(project.settings, dry_run=True).months}
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    import time

    time.tzset()
    assert {m.source: m for m in sync(project.settings, dry_run=True).months} == before
    monkeypatch.undo()
    time.tzset()
    assert dt.datetime.now(dt.UTC).tzinfo is not None


def months_of_jobs(project: Project) -> None:
    """A year of jobs, so that a few more are few."""
    rows = [job(n, created=f"2024-{1 + n % 12:02}-10T15:00:00.000Z") for n in range(1, 61)]
    amounts = [payment(f"p{n}", n, "100.01", f"2024-{1 + n % 12:02}-20T15:00:00.000Z") for n in range(1, 61)]
    project.put("Import-1.csv", worked(*rows))
    project.put("payments_1.csv", paid(*amounts))


@pytest.mark.deep
def test_a_sync_of_what_is_new_publishes_what_a_full_one_would(project: Project) -> None:
    months_of_jobs(project)
    assert project.sync().cross_check == "the two engines agree on every figure"
    project.put("payments_2.csv", paid(payment("late", 1, "7.00", "2024-12-01T15:00:00.000Z")))
    project.put("Import-2.csv", worked(job(2, "COD Repair", created="2024-03-10T15:00:00.000Z")))
    result = project.sync()
    assert result.cross_check == "the two engines agree on every figure of the 2 months with new rows"
    assert {t: n for t, n in result.published.items() if n} == {
        "jobs": 2, "payments": 1, "daily_metrics": 2, "monthly_metrics": 2,
    }  # fmt: skip
    changes = project.rows("SELECT DISTINCT month::text, cause FROM metric_changes ORDER BY 1, 2")
    assert changes == [
        ("2024-02-01", "new export payments_2.csv: 1 new row"),
        ("2024-03-01", "new export Import-2.csv: 1 changed row"),
    ]
    before = everything(project)
    again = project.sync(full=True)
    assert again.cross_check == "the two engines agree on every figure"
    assert not any(again.published.values())
    assert everything(project) == before


@pytest.mark.deep
def test_what_the_last_whole_look_found_is_told_with_its_day(project: Project) -> None:
    feeds = project.rules / "own.toml"
    feeds.write_text('[[checks]]\nname = "always"\nsql = "SELECT 1 AS one"\nmessage = "there is one"\n')
    months_of_jobs(project)
    (found,) = (f for f in project.sync().findings if f.code == "always")
    assert "as of" not in found.message
    project.put("payments_2.csv", paid(payment("late", 1, "7.00", "2024-12-01T15:00:00.000Z")))
    for status in ("published", "unchanged"):
        result = project.sync()
        assert result.status == status
        (found,) = (f for f in result.findings if f.code == "always")
        assert "there is one" in found.message
        assert "(as of 20" in found.message


@pytest.mark.deep
def test_a_second_look_that_needs_more_than_its_share_of_memory_gets_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[str | None]()
    look = cross_check.look_once

    def tried(*arguments: object) -> object:
        given.append(arguments[4])  # type: ignore[arg-type]
        if arguments[4] is not None:
            raise OutOfMemoryError("DuckDB could not recompute the metrics", "Allow more.")
        return look(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cross_check, "look_once", tried)
    small(project)
    assert project.sync().status == "published"
    *limits, last = given
    assert last is None
    sizes = [int(str(limit).removesuffix("MiB")) for limit in limits]
    assert sizes == [sizes[0] * 2**i for i in range(len(sizes))]


@pytest.mark.deep
def test_sums_beyond_32_bits_are_read_back_as_they_were_sent(project: Project) -> None:
    small(project)
    heads = ["Call ID", "Start Time", "Duration (seconds)", "Call Status", "Phone Number"]
    calls = [(f"c{n}", f"2024-11-0{n} 10:00:00", 999_999_999, "Answered Call", "6175550100") for n in range(1, 4)]
    project.put("callrail calls.csv", csv_text(heads, *calls))
    assert project.sync().published["calls"] == 3
    assert project.rows("SELECT sum(duration_s)::text FROM calls") == [("2999999997",)]


@pytest.mark.deep
def test_the_summary_of_a_sync_has_the_targets_of_each_month(project: Project) -> None:
    small(project)
    project.put("targets.csv", targets(("2024-11", 7, ""), ("2024-11", 3, "google"), more=("Source",)))
    found = {(line.month, line.source): line.target_repairs for line in project.sync().months}
    november = dt.date(2024, 11, 1)
    assert (found[november, "ALL"], found[november, "Google"], found[november, "Rely"]) == (
        Decimal(7),
        Decimal(3),
        None,
    )


@pytest.mark.deep
def test_what_the_engines_do_not_agree_on_is_rolled_back_however_late_it_is_known(
    synced: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> None:
        time.sleep(2)  # all rows were sent by then
        raise CheckError("the two engines disagree on 1 figure")

    before = everything(synced)
    synced.put("payments_2.csv", paid(payment("p3", 1, "70")))
    monkeypatch.setattr(publication, "agree", late)
    with pytest.raises(CheckError, match="disagree"):
        synced.sync()
    assert everything(synced) == before
    assert synced.rows("SELECT status FROM sync_runs ORDER BY started_at DESC LIMIT 1") == [("failed",)]
    monkeypatch.undo()
    assert synced.sync().published["payments"] == 1
    assert everything(synced) != before
