"""The forecast of a company whose month runs: published, shown by the brief and the page, and the same every time."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

import small_company
from command_line import rmetrics
from published import run as run_sql
from rmetrics.brief.sections import Line
from rmetrics.findings import Severity
from rmetrics.opening import open_project
from rmetrics.pipeline.forecasts import month_estimates
from rmetrics.pipeline.workspace import opened
from rmetrics.usecases.brief import brief
from rmetrics.usecases.check import check
from rmetrics.usecases.report import page_data
from support import MIDNIGHT, Project, csv_text, fresh_database, new_project

PAYMENTS = ("Transaction ID", "Job #", "Date", "Amount", "Status")
FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 9, 10)
MORNING = dt.datetime(2024, 9, 11, 12, 30, tzinfo=dt.UTC)  # 08:30 in New York, on the day after the last one
DAY = dt.timedelta(days=1)


def fill(project: Project, last: dt.date, at: dt.datetime, first: dt.date = FIRST) -> None:
    """A repair of Google on every weekday, paid 100.01; a target of 20 repairs and 1,000 for September."""
    days = [first + DAY * n for n in range((last - first).days + 1)]
    worked = [day for day in days if day.weekday() < 5]
    jobs = [(n, "COD Repair", "Google", f"{day:%a %b %d %Y}", "") for n, day in enumerate(worked, 1)]
    paid = [(f"p{n}", n, f"{day:%m/%d/%Y}", "100.01", "Succeeded") for n, day in enumerate(worked, 1)]
    minutes = round((at - MIDNIGHT).total_seconds() / 60)
    project.put("jobs.csv", small_company.jobs(*jobs, more=("Amount Paid",)), minutes=minutes)
    project.put("payments.csv", csv_text(PAYMENTS, *paid), minutes=minutes)
    targets = small_company.targets(("2024-09", 20, "1000"), more=("Target Revenue40",))
    project.put("targets.csv", targets, minutes=minutes)
    project.sync()


@pytest.fixture(scope="module")
def running(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A company in the middle of September, published; only to be read."""
    with fresh_database(pg_uri) as uri:
        made = new_project(tmp_path_factory.mktemp("running") / "project", uri)
        fill(made, LAST, MORNING)
        yield made


def test_it_is_published_with_its_range(running: Project) -> None:
    """7 working days are over and 14 are left; a straight line by calendar days says 21 too, by 30 / 10."""
    ((as_of, reached, estimate, low, high, past, target),) = running.rows(
        "SELECT as_of::text, reached, estimate, low, high, past_months, target FROM month_forecast "
        "WHERE source = 'ALL' AND measure = 'repairs'"
    )
    assert (as_of, int(Decimal(reached)), past, int(Decimal(target))) == ("2024-09-10", 7, 6, 20)
    assert Decimal(20) < Decimal(estimate) < Decimal(22)
    assert Decimal(low) <= Decimal(estimate) <= Decimal(high)
    (steps,) = zip(*running.rows(
        "SELECT repairs_forecast FROM daily_cumulative WHERE source = 'ALL' AND month = '2024-09-01' "
        "AND repairs_forecast IS NOT NULL ORDER BY date"
    ), strict=True)  # fmt: skip
    assert len(steps) == 21, "from the last whole day on to the 30th"
    assert Decimal(steps[0]) == 7
    assert Decimal(steps[-1]) == Decimal(estimate)


def test_what_is_published_is_what_the_lake_says(running: Project) -> None:
    with opened(open_project(running.settings)) as lake:
        made = month_estimates(lake.computed, lake.rules)
        page = page_data(lake)
    held = {
        (source, measure): [Decimal(v) for v in values]
        for source, measure, *values in running.rows("SELECT source, measure, estimate, low, high FROM month_forecast")
    }
    assert held == {(e.source, e.measure): [e.value, e.low, e.high] for e in made}
    assert {e.source for e in made} == {"ALL", "Google"}
    assert page.estimates == made


def test_the_brief_tells_it_and_says_that_it_is_an_estimate(running: Project) -> None:
    result = brief(running.settings, MORNING.date(), now=MORNING)
    lines: list[Line] = [s.line for of in result.brief.sections if of.section == "month" for s in of.lines]
    repairs = next(line for line in lines if line.code == "month.repairs.all")
    ((estimate,),) = running.rows("SELECT estimate FROM month_forecast WHERE source = 'ALL' AND measure = 'repairs'")
    assert repairs.values["forecast"] == round(Decimal(estimate))
    told = rmetrics(running, "brief", "--date", "2024-09-11").stdout
    assert "the month is estimated to end at 21" in told
    assert "at this rate" not in told


@pytest.mark.deep
def test_the_page_shows_it(running: Project) -> None:
    done = rmetrics(running, "report", "--json")
    assert done.returncode == 0, done.stderr
    text = (running.root / json.loads(done.stdout)["page"]).read_text(encoding="utf-8")
    assert "4 of 5 months end between" in text
    assert "The forecast is an estimate" in text


@pytest.mark.deep
def test_a_day_that_was_not_over_is_no_part_of_what_is_known(project: Project) -> None:
    """Exported at 10:00 on the 10th: the forecast is made from the 9th, and the month has at least what is there."""
    fill(project, LAST, dt.datetime(2024, 9, 10, 14, 0, tzinfo=dt.UTC))
    ((as_of, reached, estimate),) = project.rows(
        "SELECT as_of::text, reached, estimate FROM month_forecast WHERE source = 'ALL' AND measure = 'repairs'"
    )
    assert (as_of, int(Decimal(reached))) == ("2024-09-09", 7)
    assert Decimal(estimate) >= 7
    ((at_start,),) = project.rows(
        "SELECT value FROM forecasts WHERE date = '2024-09-09' AND source = 'ALL' AND measure = 'repairs'"
    )
    assert Decimal(at_start) == 6


@pytest.mark.deep
def test_with_seven_weeks_there_is_none(project: Project) -> None:
    fill(project, LAST, MORNING, first=LAST - DAY * 48)
    assert project.rows("SELECT * FROM forecasts") == []
    fill(project, LAST, MORNING + DAY, first=LAST - DAY * 70)
    assert {m for (m,) in project.rows("SELECT DISTINCT measure FROM forecasts")} >= {"repairs", "revenue40"}


def test_check_sees_an_estimate_that_somebody_changed(running: Project) -> None:
    """One cent on one of the days ahead; all other estimates are found right."""
    where = "WHERE source = 'Google' AND measure = 'revenue_gross' AND date = '2024-09-20'"
    run_sql(running.dsn, f"UPDATE forecasts SET value = value + 0.01 {where}")
    try:
        done = check(running.settings)
        (found,) = [f for f in done.findings if f.code == "forecast-differs"]
        assert (done.ok, found.severity, found.rows) == (False, Severity.ERROR, 1)
        assert str(found.examples[0]["estimate"]).startswith("Google revenue_gross 2024-09-20: PostgreSQL has")
    finally:
        run_sql(running.dsn, f"UPDATE forecasts SET value = value - 0.01 {where}")
