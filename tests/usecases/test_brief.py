"""The brief of a real project: its figures are the published ones, what is stale is told, restatements have their cause."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import small_company
from published import Published
from rmetrics.brief.sections import Line
from rmetrics.usecases.brief import BriefResult, brief
from small_company import payments
from support import MIDNIGHT, Project, csv_text, fresh_database, new_project

pytestmark = pytest.mark.one_engine

PAYMENTS = ("Transaction ID", "Job #", "Date", "Amount", "Status")
DAY = dt.date(2024, 11, 6)
NOW = dt.datetime(2024, 11, 6, 12, 30, tzinfo=dt.UTC)  # 07:30 in New York


def minutes(at: dt.datetime) -> int:
    return round((at - MIDNIGHT).total_seconds() / 60)


def fill(project: Project, *, jobs_at: dt.datetime = NOW, payments_at: dt.datetime = NOW) -> None:
    """Two jobs of Google on the 5th, one of Rely on the 4th; a target of 30 repairs."""
    jobs = small_company.jobs((1, "COD Repair", "Google", "Tue Nov 05 2024", ""), (2, "COD Service", "Google", "Tue Nov 05 2024", ""), (3, "INS Service", "Rely", "Mon Nov 04 2024", ""), more=("Amount Paid",))  # fmt: skip
    paid = payments(
        (1, "11/05/2024", "250.25", "a", "Succeeded"),
        (3, "11/04/2024", "10", "b", "Succeeded"),
        more=("Transaction ID", "Status"),
    )
    project.put("jobs.csv", jobs, minutes=minutes(jobs_at))
    project.put("payments.csv", paid, minutes=minutes(payments_at))
    targets = small_company.targets(("2024-11", 30, "3000"), more=("Target Revenue40",))
    project.put("targets.csv", targets, minutes=minutes(NOW))
    project.sync()


@pytest.fixture(scope="module")
def filled(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project filled and published; only to be read."""
    with fresh_database(pg_uri) as uri:
        made = new_project(tmp_path_factory.mktemp("filled") / "project", uri)
        fill(made)
        yield made


def lines(result: BriefResult, section: str) -> list[Line]:
    return [said.line for s in result.brief.sections if s.section == section for said in s.lines]


def test_yesterday_and_the_month_by_hand(filled: Project) -> None:
    result = brief(filled.settings, DAY, now=NOW)
    assert not lines(result, "stale")
    whole, google = lines(result, "yesterday")
    assert {n: whole.values[n] for n in ("jobs", "leads", "units", "repairs")} == {
        "jobs": 2, "leads": 2, "units": 1, "repairs": 1,
    }  # fmt: skip
    assert (whole.values["revenue_gross"], whole.values["revenue40"]) == (Decimal("250.25"), Decimal("100.1"))
    assert google.values["source"] == "Google"
    month, repairs, revenue = lines(result, "month")
    assert (month.values["through"], month.values["revenue40"]) == (dt.date(2024, 11, 5), Decimal("104.1"))
    assert repairs.values == {
        "source": "ALL", "value": 1, "target": 30, "pace": 5, "of_pace": Decimal("0.2"),
        "forecast": None, "forecast_low": None, "forecast_high": None,  # a month of data is too little
    }  # fmt: skip
    assert (revenue.values["pace"], revenue.values["forecast"]) == (500, None)


@pytest.mark.parametrize(("late", "through"), [("payments", dt.date(2024, 11, 4)), ("jobs", dt.date(2024, 11, 4))])
@pytest.mark.ordinary(1, deep=1)
def test_an_export_from_before_the_day_was_over_hides_it(project: Project, late: str, through: dt.date) -> None:
    """23:59 on the 5th in New York: the last whole day is the 4th, and the month is told up to it."""
    early = dt.datetime(2024, 11, 6, 4, 59, tzinfo=dt.UTC)
    fill(project, jobs_at=early if late == "jobs" else NOW, payments_at=early if late == "payments" else NOW)
    result = brief(project.settings, DAY, now=NOW)
    assert [x.code for x in lines(result, "stale")] == ["stale.feed", "stale.hidden"]
    assert lines(result, "stale")[0].values["feed"] == late
    assert not lines(result, "yesterday")
    assert lines(result, "month")[0].values["through"] == through
    assert result.brief.subject.endswith("not up to date")


def test_only_the_feeds_that_the_rules_name_are_waited_for(project: Project) -> None:
    fill(project, payments_at=dt.datetime(2024, 11, 6, 4, 59, tzinfo=dt.UTC))
    messages = project.rules / "messages.toml"
    messages.write_text(messages.read_text().replace("stale_days = 3", 'stale_days = 3\nfeeds = ["jobs"]'))
    assert lines(brief(project.settings, DAY, now=NOW), "yesterday")


def test_a_day_after_the_data_end_is_not_shown(filled: Project) -> None:
    result = brief(filled.settings, DAY + dt.timedelta(days=2), now=NOW + dt.timedelta(days=2))
    codes = [x.code for x in lines(result, "stale")]
    assert codes == ["stale.feed", "stale.feed", "stale.ends", "stale.hidden"]
    assert not lines(result, "yesterday")


def test_before_the_first_publish(project: Project, tmp_path: Path) -> None:
    result = brief(project.settings, now=NOW)
    assert [x.code for x in lines(result, "stale")] == ["stale.nothing"]
    embedded = project.settings.model_copy(update={"postgres_dsn": None, "data_dir": tmp_path / "none"})
    assert [x.code for x in lines(brief(embedded, now=NOW), "stale")] == ["stale.nothing"]
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("day", [dt.date(2024, 11, 2), dt.date(2024, 12, 1), dt.date(2024, 12, 20)])
def test_figures_are_the_published_ones(sample: Published, day: dt.date) -> None:
    """Against plain SQL over daily_metrics."""
    assert sample.project is not None
    before, first = day - dt.timedelta(days=1), (day - dt.timedelta(days=1)).replace(day=1)
    result = brief(sample.project.settings, day, now=NOW)
    for section, since in (("yesterday", before), ("month", first)):
        (leads, units, repairs, revenue, cost) = sample.project.rows(
            "SELECT sum(leads)::int, sum(units)::int, sum(repairs)::int, sum(revenue40), sum(cost) "
            f"FROM daily_metrics WHERE date BETWEEN '{since}' AND '{before}'"
        )[0]
        values = lines(result, section)[0].values
        assert [values[n] for n in ("leads", "units", "repairs")] == [leads, units, repairs]
        assert (values["revenue40"], values["cost"]) == (Decimal(revenue), Decimal(cost))
    whole, *sources = lines(result, "yesterday")
    for name in ("leads", "units", "repairs", "revenue_gross", "revenue40", "cost"):
        assert sum(s.values[name] for s in sources) == whole.values[name]


def test_restated_months_have_the_change_and_the_cause_of_their_history(sample: Published) -> None:
    """The sample is published twice: what the second run changed of months that were over, by plain SQL."""
    assert sample.project is not None
    found = {(r.month, r.metric): r for r in brief(sample.project.settings).brief.facts.restated}
    expected = sample.project.rows(
        "SELECT month, metric, sum(coalesce(new_value, 0) - coalesce(old_value, 0)) FROM metric_changes "
        "WHERE date IS NULL GROUP BY 1, 2"
    )
    changes = {(month, metric): Decimal(change) for month, metric, change in expected}
    assert found
    assert {k: r.change for k, r in found.items()} == changes
    assert all("export" in (r.cause or "") and r.days == 0 for r in found.values())


@pytest.mark.deep
def test_days_of_a_running_month_are_restated_only_if_they_were_over(project: Project) -> None:
    """A late payment of a job of the day before yesterday is one; today's growth is none."""
    today = dt.datetime.now(dt.UTC).astimezone(dt.timezone(dt.timedelta(hours=-12))).date()  # over nowhere later
    old = today - dt.timedelta(days=2)
    now = dt.datetime.now(dt.UTC)
    project.put(
        "jobs.csv",
        small_company.jobs((1, "COD Repair", "Google", f"{old:%a %b %d %Y}", ""), more=("Amount Paid",)),
        minutes=minutes(now),
    )
    paid = [("a", 1, f"{old:%m/%d/%Y}", "100", "Succeeded")]
    project.put("payments 1.csv", csv_text(PAYMENTS, *paid), minutes=minutes(now))
    project.sync()
    project.put("payments 2.csv", csv_text(PAYMENTS, *paid, ("b", 1, f"{old:%m/%d/%Y}", "50.50", "Succeeded")),
                minutes=minutes(now) + 1)  # fmt: skip
    project.sync()
    found = {x.values["metric"]: x for x in lines(brief(project.settings), "restated")}
    assert found["revenue_gross"].values["change"] == Decimal("50.50")
    assert found["revenue40"].values["change"] == Decimal("20.2")


def test_what_needs_a_person_is_counted_as_elsewhere(sample: Published) -> None:
    assert sample.project is not None
    found = {x.code: x for x in lines(brief(sample.project.settings), "person")}
    (rejected,) = sample.project.rows("SELECT rows_rejected FROM sync_runs ORDER BY started_at DESC LIMIT 1")
    assert found["person.rejected"].values["rows"] == rejected[0]
    (undeclared,) = sample.project.rows("SELECT rows FROM run_findings WHERE latest AND code = 'undeclared-source'")
    assert found["person.undeclared"].values["rows"] == undeclared[0]


@pytest.mark.deep
def test_a_failed_run_is_told(project: Project) -> None:
    fill(project)
    (landed,) = (project.root / "data" / "lake" / "raw" / "jobs").glob("*.parquet")
    (project.inbox / "jobs.csv").unlink()
    landed.unlink()
    with pytest.raises(Exception, match="the lake is damaged"):
        project.sync()
    assert "person.failed" in [x.code for x in lines(brief(project.settings), "person")]


def test_html_is_written_whole(filled: Project, tmp_path: Path) -> None:
    page = tmp_path / "brief.html"
    result = brief(filled.settings, DAY, now=NOW, page=page)
    assert result.page == page
    text = page.read_text(encoding="utf-8")
    assert "250.25" in text
    assert text.endswith("</html>\n")


def test_a_look_at_the_brief_writes_nothing(filled: Project) -> None:
    before = sorted(p.name for p in (filled.root / "data").iterdir())
    brief(filled.settings, DAY, now=NOW)
    assert sorted(p.name for p in (filled.root / "data").iterdir()) == before


def test_json_keeps_amounts_exact(filled: Project) -> None:
    from rmetrics.output.brief import brief_document
    from rmetrics.output.reporter import plain

    document = json.loads(json.dumps(plain(brief_document(brief(filled.settings, DAY, now=NOW)))))
    assert (document["day"], document["yesterday"], document["stale"]) == ("2024-11-06", "2024-11-05", False)
    (section,) = (s for s in document["sections"] if s["section"] == "yesterday")
    assert section["lines"][0]["values"]["revenue40"] == "100.100000"
    assert section["lines"][0]["command"] == "rmetrics explain --source ALL --month 2024-11"


@pytest.mark.deep
def test_calls_that_nobody_returned_and_leads_to_dispute_are_told(project: Project) -> None:
    """A call missed on the 5th, one on the 20th of October, which is too long ago; a lead of five seconds on the 5th."""
    calls = small_company.calls(
        ("a", "11/05/2024 9:00 AM", "GoogleAds", "6175550101", "", "", ""),
        ("b", "10/20/2024 9:00 AM", "GoogleAds", "6175550102", "", "", ""),
        ("c", "11/05/2024 9:00 AM", "GoogleAds", "6175550103", "", "Nadia", ""),
    )
    leads = small_company.leads(
        ("L1", "2024-11-05 12:00:00 -0500", "30.00", "00:05", "", "6175550104"),
        ("L2", "2024-10-05 12:00:00 -0400", "30.00", "00:05", "", "6175550105"),
        more=("Duration", "Status", "Caller ID"),
    )
    project.put("export_export.csv", calls, minutes=minutes(NOW))
    project.put("leads cost Elocals.csv", leads, minutes=minutes(NOW))
    fill(project)
    found = {line.code: dict(line.values) for line in lines(brief(project.settings, DAY, now=NOW), "person")}
    assert found["person.missed"] == {"calls": 1, "since": dt.date(2024, 10, 30)}
    assert "person.missed-existing" not in found
    dispute = found["person.dispute"]
    assert (dispute["source"], dispute["leads"], dispute["hours"], dispute["amount"]) == (
        "eLocals", 1, 76, Decimal("30.00"),  # noon of the 5th and 96 hours, seen at 07:30 of the 6th
    )  # fmt: skip
    assert "5550101" not in json.dumps(found, default=str)
    project.settings.lake_dir.joinpath("state.json").unlink()
    assert "person.dispute" not in {line.code for line in lines(brief(project.settings, DAY, now=NOW), "person")}
