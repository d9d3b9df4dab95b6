"""Questions about the data's quality: each finds what it is after, and nothing where there is nothing."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from rmetrics.checks.quality import Answer, ExportFacts, ask
from rmetrics.findings import Severity

SOURCES = """
[sources.Shop]
segment = "COD"
leads = { feed = "shop_leads", where = "cost > 0" }
cost = { feed = "shop_leads", sum = "cost" }

[sources.Ads]
leads = "jobs"
cost = { feed = "ads", sum = "spend", spread = "days" }
"""
NOON = Callable[..., dt.datetime]


def answers(lab: Any, *exports: ExportFacts) -> dict[str, Answer]:
    return {a.question.code: a for a in ask(lab.connect(), lab.rules, exports)}


def export(feed: str, rank: int = 1, rows: int = 7, exported: dt.date = dt.date(2025, 1, 3)) -> ExportFacts:
    return ExportFacts(feed, rank, f"{feed} {rank}.csv", rows, exported)


@pytest.fixture
def company(lab: Any, noon: NOON) -> Any:
    """A company with nothing to find fault with."""
    lab.sources = SOURCES
    lab.jobs(("1", "COD Service", "Ads", noon("2024-11-05")), ("2", "COD Repair", "Ads", noon("2024-11-20")))
    lab.payments(("1", noon("2024-11-06"), Decimal(95)))
    lab.leads((noon("2024-11-05"), Decimal(20)), (noon("2024-11-19"), Decimal(30)))
    lab.ads((dt.date(2024, 11, 1), Decimal(100)))
    return lab


def test_nothing_is_found_where_nothing_is_wrong(company: Any) -> None:
    assert answers(company, export("jobs"), export("payments"), export("shop_leads"), export("ads")) == {}


def test_payments_without_job_and_refunds_above_payments(company: Any, noon: NOON) -> None:
    company.payments(("77", noon("2024-11-07"), Decimal(10)), ("2", noon("2024-11-21"), Decimal(-5)))
    found = answers(company)
    assert found["payment-without-job"].rows == 1
    assert found["payment-without-job"].examples[0]["job"] == "77"
    assert found["refunds-above-payments"].examples[0]["job_id"] == "2"


def test_undeclared_sources_and_undated_jobs(company: Any) -> None:
    company.jobs(
        ("3", "COD Service", "Adds", dt.datetime(2024, 11, 8, 17, tzinfo=dt.UTC)), ("4", "COD Service", "Ads", None)
    )
    found = answers(company)
    assert found["undeclared-source"].examples[0]["source"] == "Adds"
    assert found["job-without-date"].examples[0]["job_id"] == "4"


def test_months_without_spend_and_spend_without_leads(company: Any, noon: NOON) -> None:
    company.jobs(("5", "COD Service", "Ads", noon("2024-12-05")))
    company.ads((dt.date(2025, 1, 1), Decimal(50)))
    found = answers(company)
    assert found["month-without-spend"].examples[0]["month"] == dt.date(2024, 12, 1)
    assert found["spend-without-leads"].examples[0]["month"] == dt.date(2025, 1, 1)


def test_a_month_given_as_a_whole_and_by_day_is_named(company: Any) -> None:
    row = {"month": dt.date(2024, 11, 1), "day": dt.date(2024, 11, 2), "campaign": "c9", "spend": Decimal(7)}
    company.add("ads", [row])
    assert answers(company)["spend-counted-twice"].rows == 1


def test_a_feed_that_went_silent_is_named(company: Any, noon: NOON) -> None:
    company.jobs(("6", "COD Service", "Ads", noon("2024-12-04")))
    (answer,) = (a for c, a in answers(company).items() if c == "silent-feed")
    assert answer.examples[0]["last_row"] == dt.date(2024, 11, 19)


def test_a_feed_whose_newest_rows_do_not_count_is_not_silent(company: Any, noon: NOON) -> None:
    """What arrives is asked for, not what counts; the other feeds are as far as what counts in them."""
    company.feeds = company.feeds.replace('date = "lead_at"', 'date = "lead_at"\nwhere = "cost > 0"')
    company.leads((noon("2024-12-03"), Decimal(0)))
    company.jobs(("6", "COD Service", "Ads", noon("2024-12-04")))
    assert "silent-feed" not in answers(company)


def test_exports_that_look_cut_and_gaps_between_them(company: Any, noon: NOON) -> None:
    company.payments(("1", noon("2024-12-24"), Decimal(1)))
    found = answers(company, export("payments"), export("payments", rank=2, rows=5000))
    assert [e["file"] for e in found["export-looks-cut"].examples] == ["payments 2.csv"]
    assert found["gap-between-exports"].examples[0]["ends"] == dt.date(2024, 11, 6)


def test_dates_after_the_export_was_made(company: Any) -> None:
    found = answers(company, export("jobs", rank=0, exported=dt.date(2024, 11, 10)))
    assert [e["row"] for e in found["date-in-the-future"].examples] == ["2"]


@pytest.mark.parametrize(
    ("at", "found"),
    [("2024-11-11T10:59", False), ("2024-11-11T11:00", True)],  # the last minute of the 11th in Auckland, and the next
)
def test_a_date_in_the_future_is_one_of_the_office(company: Any, at: str, found: bool) -> None:
    """The export is of the 10th; its office may be a day ahead of UTC."""
    company.business = company.business.replace("America/New_York", "Pacific/Auckland")
    company.jobs(("9", "COD Repair", "Ads", dt.datetime.fromisoformat(f"{at}:00+00:00")))
    *_, last = company.typed["jobs"]
    late = answers(company, export("jobs", rank=last.rank, exported=dt.date(2024, 11, 10)))
    assert ("date-in-the-future" in late) is found


def test_the_same_row_under_two_keys(company: Any, noon: NOON) -> None:
    row = {"lead_at": noon("2024-11-21"), "cost": Decimal(9), "status": "x"}
    company.add("shop_leads", [{"lead_id": "a", **row}, {"lead_id": "b", **row}])
    (example,) = answers(company)["same-row-twice"].examples
    assert (example["one"], example["other"], example["rows"]) == ("a", "b", 2)


def test_a_row_with_an_id_and_again_without_one(company: Any, noon: NOON) -> None:
    company.feeds = company.feeds.replace('key = ["lead_id"]', 'key = ["lead_id"]\nidentity = ["cost", "status"]')
    day, made_up = noon("2024-11-21"), (f"{n:020x}-1" for n in range(9))
    alike = {"lead_at": day, "cost": Decimal(9), "status": "x"}
    unlike = {"lead_at": day, "cost": None, "status": None}  # of exports that lack the columns of the identity
    company.add(
        "shop_leads",
        [{"lead_id": i, **row} for row in (alike, unlike) for i in ("a" if row is alike else "b", next(made_up))],
    )
    (example,) = answers(company)["same-row-twice"].examples
    assert (example["one"], example["other"], example["rows"]) == ("00000000000000000000-1", "a", 2)


def test_rows_without_a_published_key(company: Any) -> None:
    company.feeds = company.feeds.replace('publish_by = ["month", "campaign"]', "")
    company.ads((dt.date(2024, 12, 1), Decimal(9)))
    answer = answers(company)["row-without-key"]
    assert (answer.rows, answer.examples[-1]["row"]) == (2, "2024-12-01//c0")


def test_own_checks_answer_with_their_rows(company: Any) -> None:
    company.sources += '\n[[checks]]\nname = "dear_lead"\nsql = "SELECT lead_id, cost FROM shop_leads WHERE cost > 25"\nseverity = "error"\nmessage = "too dear"\n'
    answer = answers(company)["dear_lead"]
    assert (answer.rows, answer.question.severity, answer.question.message) == (1, Severity.ERROR, "too dear")
    assert answer.examples == ({"lead_id": "1", "cost": Decimal("30.00")},)


@pytest.mark.parametrize(
    "sql", ["SELECT nothing FROM shop_leads", "DROP TABLE daily_metrics", "SELECT * FROM read_csv('/etc/passwd')"]
)
def test_an_own_check_that_cannot_run_says_so_and_stops_no_other(company: Any, noon: NOON, sql: str) -> None:
    company.payments(("77", noon("2024-11-07"), Decimal(10)))
    company.sources += f'\n[[checks]]\nname = "broken"\nsql = "{sql}"\nmessage = "never"\n'
    found = answers(company)
    assert found["broken"].broken
    assert found["payment-without-job"].rows == 1
