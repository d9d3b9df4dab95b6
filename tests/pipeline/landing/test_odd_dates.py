"""Dates that no row can have: mistyped years, and how far a monthly fee is drawn."""

import datetime as dt
import os
from decimal import Decimal

import pytest

from small_company import targets
from support import Project, csv_text

pytestmark = pytest.mark.one_engine

JOBS = ("Job #", "Job Type", "Source", "Status", "Created", "Job Date", "Total")
FEE = '\n[sources.Flyer]\nleads = "jobs"\ncost = { monthly = 100.00 }\n'
TODAY = dt.datetime.now(dt.UTC).date()


def job(number: int, day: str, source: str = "Flyer") -> tuple[str, ...]:
    return (str(number), "COD Repair", source, "Done", day, day, "100.00")


@pytest.fixture
def company(project: Project) -> Project:
    """A company with a channel that costs 100.00 a month."""
    file = project.rules / "sources.toml"
    file.write_text(file.read_text(encoding="utf-8") + FEE, encoding="utf-8")
    return project


def fees(project: Project) -> list[tuple[str, Decimal]]:
    return [
        (str(m), Decimal(c))
        for m, c in project.rows(
            "SELECT month::text, sum(cost) FROM monthly_metrics WHERE source = 'Flyer' AND cost <> 0 GROUP BY 1 ORDER BY 1"
        )
    ]


def test_a_year_typed_far_ahead_is_rejected_and_draws_no_fee(company: Project) -> None:
    company.put("jobs.csv", csv_text(JOBS, job(1, "2024-10-05"), job(2, "2024-11-20"), job(3, "2094-10-07")))
    result = company.sync()
    (file,) = result.files
    assert (file.accepted, file.rejected) == (2, 1)
    assert [m for m, _ in fees(company)] == ["2024-10-01", "2024-11-01"]
    assert [c for _, c in fees(company)] == [Decimal("100.00")] * 2


def test_a_visit_planned_within_a_year_is_kept_and_no_fee_is_drawn_ahead(company: Project) -> None:
    """The data's last day is not later than the newest export."""
    planned = TODAY + dt.timedelta(days=200)
    company.put("jobs.csv", csv_text(JOBS, job(1, f"{TODAY - dt.timedelta(days=40)}"), job(2, f"{planned}")))
    assert company.sync().files[0].accepted == 2
    months = [m for m, _ in fees(company)]
    assert months[-1] <= f"{TODAY.replace(day=1)}"
    assert sum(c for _, c in fees(company)) == 100 * len(months)
    (leads,) = company.rows("SELECT sum(leads)::int FROM monthly_metrics WHERE source = 'Flyer'")
    assert leads == (2,)


@pytest.mark.deep
@pytest.mark.both_engines
def test_a_lonely_first_month_is_an_error_and_draws_no_fee_between(company: Project) -> None:
    company.put("jobs.csv", csv_text(JOBS, job(1, "2004-10-05"), job(2, "2024-10-20"), job(3, "2024-12-02")))
    result = company.sync()
    assert result.status == "published"
    (found,) = (f for f in result.findings if f.code == "lonely-first-month")
    assert found.severity == "error"
    assert "2004-10-01" in found.message
    assert [m for m, _ in fees(company)] == ["2004-10-01", "2024-10-01", "2024-11-01", "2024-12-01"]


@pytest.mark.parametrize(("second", "months"), [("2024-12-05", 12), ("2024-11-05", 13 - 2)])
@pytest.mark.ordinary(0, deep=1)
def test_less_than_a_year_between_two_months_is_paid(company: Project, second: str, months: int) -> None:
    """Eleven empty months are paid: 2023-12 to 2024-12. Here the fee runs on through ten and eleven of them."""
    company.put("jobs.csv", csv_text(JOBS, job(1, "2024-01-20"), job(2, second)))
    company.sync()
    assert len(fees(company)) == months


def test_the_last_day_follows_the_newest_export(company: Project) -> None:
    """An export without rows of the channel moves the last day of visits that are planned."""
    planned = TODAY + dt.timedelta(days=20)
    company.put("jobs.csv", csv_text(JOBS, job(1, f"{TODAY - dt.timedelta(days=1)}"), job(2, f"{planned}")))
    company.sync()
    days = "SELECT count(*)::int FROM daily_metrics WHERE source = 'Flyer' AND cost <> 0 AND date > current_date + 1"
    assert company.rows(days) == [(0,)]
    company.put("jobs 2.csv", csv_text(JOBS, job(9, f"{TODAY}", "Google")))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=10)
    os.utime(company.inbox / "jobs 2.csv", (later.timestamp(), later.timestamp()))
    company.sync()
    assert company.rows("SELECT max(date) FROM daily_metrics WHERE cost <> 0")[0][0] >= TODAY + dt.timedelta(days=9)


@pytest.mark.deep
def test_targets_may_lie_years_ahead(company: Project) -> None:
    company.put("jobs.csv", csv_text(JOBS, job(1, "2024-10-05")))
    company.put("targets.csv", targets(("2031-01", "40", "ALL"), more=("Source",)))
    assert {f.feed: f.rejected for f in company.sync().files} == {"jobs": 0, "targets": 0}
