"""Exports that are withdrawn, restored and delivered again."""

import datetime as dt
import os
import shutil

import pytest

import small_company
from rmetrics.errors import CheckError, SettingsError, withdrawal_hint
from rmetrics.usecases.explain import explain
from rmetrics.usecases.exports import landed_exports, restore, withdraw
from rmetrics.usecases.plan import plan
from small_company import payments
from support import Project, csv_text

pytestmark = pytest.mark.one_engine

PAID = payments((1, "11/05/2024", "100.00", "T1"), more=("Transaction #",))
MONTH = "SELECT sum(jobs)::int, sum(repairs)::int FROM monthly_metrics"


def jobs(*numbers: int, kind: str = "COD Repair") -> str:
    return small_company.jobs(*((n, kind) for n in numbers))


def test_a_withdrawn_export_counts_no_more_and_comes_back(project: Project) -> None:
    project.put("Import ours.csv", jobs(1, 2, 3, kind="COD Service"))
    project.put("Import theirs.csv", jobs(3, 4, 5))
    project.sync()
    assert project.rows(MONTH) == [(5, 3)]
    decision = withdraw(project.settings, "Import theirs.csv")
    assert decision.changed
    assert [(e.name, e.in_force) for e in landed_exports(project.settings)] == [
        ("Import ours.csv", True),
        ("Import theirs.csv", False),
    ]
    foreseen = {(c.metric, str(c.before), str(c.after)) for c in plan(project.settings).changes}
    assert foreseen >= {("jobs", "5", "3"), ("repairs", "3", "0")}
    assert project.rows(MONTH) == [(5, 3)]  # the plan writes nothing
    result = project.sync()
    assert project.rows(MONTH) == [(3, 0)]  # what the export had replaced is in force again
    (theirs,) = (f for f in result.files if f.file == "Import theirs.csv")
    assert theirs.status == "unchanged"
    assert "rmetrics exports restore" in theirs.reason
    assert project.rows("SELECT DISTINCT cause FROM metric_changes") == [("withdrawn export: Import theirs.csv",)]
    assert project.sync().status == "unchanged"
    shutil.rmtree(project.settings.lake_dir / "typed")
    shutil.rmtree(project.settings.lake_dir / "metrics")
    for record in project.settings.lake_dir.glob("*.json"):
        record.unlink()
    project.sync(full=True)
    assert project.rows(MONTH) == [(3, 0)]
    assert restore(project.settings, decision.export.sha256[:8]).changed
    project.sync()
    assert project.rows(MONTH) == [(5, 3)]
    causes = [c for (c,) in project.rows("SELECT DISTINCT cause FROM metric_changes")]
    assert any(c.startswith("restored export Import theirs.csv") for c in causes)


@pytest.mark.deep
def test_the_same_content_dropped_again_asks_before_it_counts(project: Project) -> None:
    project.put("Import ours.csv", jobs(1))
    project.put("Import theirs.csv", jobs(2))
    project.sync()
    withdraw(project.settings, "Import theirs.csv")
    project.put("Import theirs again.csv", jobs(2))
    result = project.sync()
    assert project.rows(MONTH) == [(1, 1)]
    assert [f.code for f in result.findings if f.code == "withdrawn-export"] == ["withdrawn-export"]


@pytest.mark.deep
def test_unknown_and_ambiguous_names_are_refused(project: Project) -> None:
    project.put("Import.csv", jobs(1))
    project.sync()
    project.put("Import.csv", jobs(1, 2))
    project.sync()
    with pytest.raises(SettingsError, match="matches 2 exports"):
        withdraw(project.settings, "Import.csv")
    with pytest.raises(SettingsError, match=r"did you mean 'Import\.csv'"):
        withdraw(project.settings, "Inport.csv")
    sha = landed_exports(project.settings)[0].sha256
    assert withdraw(project.settings, sha).changed
    assert not withdraw(project.settings, sha).changed


@pytest.mark.deep
def test_a_corrected_file_that_is_put_back_counts_as_the_newest(project: Project) -> None:
    project.put("Import.csv", jobs(1, 2))
    project.sync()
    project.put("Import.csv", jobs(1, 2, kind="COD Service"))
    project.sync()
    assert project.rows(MONTH) == [(2, 0)]
    project.put("Import.csv", jobs(1, 2))
    project.sync()
    assert project.rows(MONTH) == [(2, 2)]
    assert project.sync().status == "unchanged"


def test_an_old_copy_under_another_name_changes_nothing(project: Project) -> None:
    project.put("Import a.csv", jobs(1, 2))
    project.put("Import b.csv", jobs(1, 2, kind="COD Service"))
    project.sync()
    project.put("Import a copy.csv", jobs(1, 2), minutes=-5)
    assert project.sync().status == "unchanged"
    assert project.rows(MONTH) == [(2, 0)]


@pytest.mark.deep
def test_a_file_replaced_by_one_of_its_size_and_time_is_read(project: Project) -> None:
    path = project.put("Import.csv", jobs(1, 2))
    project.sync()
    status = path.stat()
    other = path.with_name("other")
    other.write_text(jobs(1, 3))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_size == status.st_size
    project.sync()
    assert project.rows("SELECT string_agg(job_id, ',' ORDER BY job_id) FROM jobs") == [("1,2,3",)]


@pytest.mark.deep
def test_a_second_spend_sheet_adds_its_months(project: Project) -> None:
    project.put("Import.csv", jobs(1))
    project.put("google spend.csv", "Month,Spend\n2024-10,310.00\n")
    project.sync()
    project.put("google spend 2.csv", "Month,Spend\n2024-10,310.00\n2024-11,300.00\n")
    result = project.sync()
    assert project.rows("SELECT sum(spend)::text FROM google_spend") == [("610.00",)]
    assert not [f for f in result.findings if f.code == "explanation-failed"]


@pytest.mark.deep
def test_a_sum_that_no_table_holds_names_the_export_to_withdraw(project: Project) -> None:
    feeds = project.rules / "feeds.toml"
    text = feeds.read_text()
    amount = 'amount     = { type = "money", from = ["Amount", "Amount Paid", "Payment Amount"'
    assert text.count(amount) == 1
    feeds.write_text(text.replace(amount, amount.replace("{", "{ most = 9_999_999_999,")))
    day = "11/05/2024"
    project.put("Import.csv", jobs(1))
    project.put("Transactions ours.csv", PAID)
    rows = ((1, day, "9999999999.00", "T2"), (1, day, "9999999998.00", "T3"))
    project.put("Transactions of Bob's.csv", payments(*rows, more=("Transaction #",)))
    with pytest.raises(CheckError, match="which exceeds the range of the table") as raised:
        project.sync()
    assert "To continue without this export: rmetrics exports withdraw 'Transactions of Bob'" in raised.value.hint
    withdraw(project.settings, "Transactions of Bob's.csv")
    project.sync()
    assert project.rows("SELECT sum(revenue_gross)::text FROM monthly_metrics") == [("100.00",)]


def test_the_hint_names_one_export_or_none() -> None:
    assert withdrawal_hint([]) == withdrawal_hint({"a.csv", "b.csv"}) == ""
    assert withdrawal_hint(["May jobs.csv"]).endswith("rmetrics exports withdraw 'May jobs.csv'")


def nearly(project: Project, source: str, metric: str) -> list[tuple[int, str]]:
    found = explain(project.settings, source, dt.date(2024, 11, 1), metrics=(metric,))
    return [(n.rows, n.reason) for part in found.metrics[metric].parts for n in part.nearly]


@pytest.mark.deep
def test_explain_names_the_rows_of_a_withdrawn_export(project: Project) -> None:
    project.put("Import ours.csv", jobs(1))
    other = small_company.jobs(
        (2, "COD Repair", "google "),
        (3, "COD Repair", "Google", "Sat Nov 30 2024"),
        (4, "COD Repair", "Rely"),
        (5, "COD Repair", "Google", "Sun Dec 01 2024"),
    )
    project.put("Import theirs.csv", other)
    project.put("Transactions.csv", PAID)
    project.sync()
    assert not any("withdrawn" in reason for _, reason in nearly(project, "Google", "leads"))
    decision = withdraw(project.settings, "Import theirs.csv")
    project.sync()
    ((rows, reason),) = [n for n in nearly(project, "Google", "leads") if "withdrawn" in n[1]]
    assert rows == 2
    assert "Import theirs.csv" in reason
    assert f"rmetrics exports restore {decision.export.sha256[:12]}" in reason
    found = [n for n in nearly(project, "Rely", "repairs") if "withdrawn" in n[1]]
    assert [n for n, _ in found] == [1]
    restore(project.settings, "Import theirs.csv")
    project.sync()
    assert not any("withdrawn" in reason for _, reason in nearly(project, "Google", "leads"))


@pytest.mark.slow
def test_content_of_the_same_size_and_time_replaces_what_had_its_name(project: Project) -> None:
    """As unzip, cp -p and rsync -t leave it: the order of equal times must not be that of hashes."""

    def job_in(city: str) -> str:
        return csv_text(("Job #", "Job Type", "Created", "City"), (1, "Warranty", "2024-11-04", city))

    cities = ("Lynn", "Rome", "Bern", "Oslo", "Lima", "Kiev", "Lynn", "Bern", "Lynn")
    for city in cities:
        project.put("Import.csv", job_in(city), minutes=5)
        if city in {"Rome", "Bern", "Oslo", "Kiev"}:  # also where the memory of the inbox is lost
            (project.root / "data" / "lake" / "inbox.json").unlink()
        project.sync()
        assert project.rows("SELECT city FROM jobs") == [(city,)]
    project.put("Import newer.csv", job_in("Nice"), minutes=6)
    project.sync()
    assert project.rows("SELECT city FROM jobs") == [("Nice",)]
    project.put("Import.csv", job_in("Rome"), minutes=5)
    project.sync()
    assert project.rows("SELECT city FROM jobs") == [("Nice",)]  # a newer file counts before it


@pytest.mark.deep
def test_a_withdrawn_export_is_a_cause_beside_new_ones(project: Project) -> None:
    project.put("Import.csv", jobs(1))
    project.put("google spend.csv", csv_text(("Date", "Campaign", "Cost"), ("2024-11-05", "A", "1150.99")))
    project.sync()
    withdraw(project.settings, "google spend.csv")
    project.put("Transactions.csv", PAID)
    project.sync()
    causes = dict(project.rows("SELECT DISTINCT metric, cause FROM metric_changes WHERE source = 'Google'"))
    assert causes["cost"].endswith("withdrawn export: google spend.csv")
    assert "withdrawn" not in causes["revenue_gross"]


@pytest.mark.slow
def test_known_content_that_takes_a_file_s_place_under_its_time_is_the_newest(project: Project) -> None:
    def job_in(city: str) -> str:
        return csv_text(("Job #", "Job Type", "Created", "City"), (1, "Warranty", "2024-11-04", city))

    for first, second in (("Lynn", "Rome"), ("Oslo", "Bern")):
        project.put("Import A.csv", job_in(first), minutes=3)
        project.put("Import N.csv", job_in(second), minutes=5)
        project.sync()
        assert project.rows("SELECT city FROM jobs") == [(second,)]
        project.put("Import N.csv", job_in(first), minutes=5)
        project.sync()
        assert project.rows("SELECT city FROM jobs") == [(first,)]


@pytest.mark.parametrize("name", ["Import A.csv", "Import A again.csv"])
@pytest.mark.ordinary(0, deep=1)
def test_a_newer_delivery_of_known_content_is_the_newest(project: Project, name: str) -> None:
    project.put("Import A.csv", jobs(1, kind="COD Service"), minutes=1)
    project.sync()
    project.put("Import B.csv", jobs(1, kind="COD Repair"), minutes=2)
    project.sync()
    assert project.rows("SELECT type FROM jobs") == [("COD Repair",)]
    project.put(name, jobs(1, kind="COD Service"), minutes=3)
    project.sync()
    assert project.rows("SELECT type FROM jobs") == [("COD Service",)]
    assert project.sync().status == "unchanged"
    project.sync(full=True)
    assert project.rows("SELECT type FROM jobs") == [("COD Service",)]


@pytest.mark.deep
def test_an_inbox_that_comes_back_with_new_times_keeps_its_order(project: Project) -> None:
    project.put("Import B.csv", jobs(1, kind="COD Service"), minutes=1)
    project.put("Import A.csv", jobs(1, kind="COD Repair"), minutes=2)
    project.sync()
    project.put("Import A.csv", jobs(1, kind="COD Repair"), minutes=8)
    project.put("Import B.csv", jobs(1, kind="COD Service"), minutes=9)
    project.sync()
    assert project.rows("SELECT type FROM jobs") == [("COD Repair",)]
