"""Cells as other programs spell them, from the export to the published figures."""

import json

import pytest

from command_line import rmetrics
from small_company import jobs
from support import Project, csv_text

pytestmark = pytest.mark.one_engine

JOBS = ("Job #", "Job Type", "Source", "Status", "Created", "Job Date", "Total")
PAYMENTS = ("Transaction ID", "Job #", "Date", "Amount", "Method", "Status")
PLAIN = [
    ("1001", "COD Service", "Google", "Done", "11/05/2024", "11/05/2024", "100.00"),
    ("1002", "COD Repair", "Google", "Done", "11/06/2024", "11/06/2024", "85.00"),
    ("1003", "COD Repair", "Google", "Done", "11/07/2024", "11/07/2024", "100.00"),
]
FIGURES = (
    "SELECT sum(leads)::bigint, sum(units)::bigint, sum(repairs)::bigint, sum(revenue_gross)::text FROM daily_metrics"
)


def figures(project: Project) -> tuple[object, ...]:
    return tuple(project.rows(FIGURES)[0])


def with_payments(project: Project, *refs: str) -> None:
    rows = [(f"p{n}", ref, "11/08/2024", "100.00", "card", "ok") for n, ref in enumerate(refs)]
    project.put("payments.csv", csv_text(PAYMENTS, *rows))


@pytest.mark.parametrize(
    "form",
    [
        '="{}"',
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("'{}", "\t{}", "{}.0", "\ufeff{}")),
        '="\'{}"',
    ],
)
@pytest.mark.ordinary(1)
def test_an_armoured_export_beside_the_plain_one_counts_each_job_once(project: Project, form: str) -> None:
    armoured = [(form.format(row[0]), *row[1:]) for row in PLAIN]
    project.put("jobs.csv", csv_text(JOBS, *armoured))
    with_payments(project, "1001", form.format("1002"))
    project.sync()
    assert figures(project) == (3, 1, 2, "200.00")
    project.put("jobs re-saved.csv", csv_text(JOBS, *PLAIN))
    project.sync()
    assert figures(project) == (3, 1, 2, "200.00")
    assert project.rows("SELECT string_agg(job_id, ' ' ORDER BY job_id) FROM jobs") == [("1001 1002 1003",)]


def test_totals_and_remarks_below_a_report_are_no_jobs(project: Project) -> None:
    below = [
        ("1003", "", "", "", "", "", "$285.00"),  # the number of rows is the number of a real job
        ("Report generated on 7/31/2026", "", "", "", "", "", ""),
        ("2 records", "", "", "", "", "", ""),
        ("Total jobs: 2", "", "", "", "", "", "285.00"),
        ("Grand total", "", "", "", "", "", "285.00"),
    ]
    project.put("jobs.csv", csv_text(JOBS, *PLAIN[:2], below[0], PLAIN[2], *below[1:]))
    with_payments(project, "1003")
    (_, file) = sorted(project.sync().files, key=lambda f: f.feed != "payments")
    assert (file.rows, file.accepted, file.rejected, file.totals) == (8, 3, 2, 3)
    assert figures(project) == (3, 1, 2, "100.00")
    assert project.rows("SELECT job_date::text FROM jobs WHERE job_id = '1003'") == [("2024-11-07",)]


@pytest.mark.parametrize(
    "row",
    [
        ("", "Total", "11/30/2024", "999.00", "", ""),
        ("Total payments", "1001", "11/30/2024", "999.00", "card", "ok"),
        pytest.param(("", "Grand total (2)", "11/30/2024", "999.00", "", ""), marks=pytest.mark.slow),
        pytest.param(("Totals: 2", "", "11/30/2024", "999.00", "", ""), marks=pytest.mark.slow),
        pytest.param(("Sum", "", "11/30/2024", "999.00", "", ""), marks=pytest.mark.slow),
        pytest.param(("p9", "Average", "11/30/2024", "999.00", "", ""), marks=pytest.mark.slow),
        ("Count: 2", "1001", "11/30/2024", "999.00", "", ""),
    ],
)
@pytest.mark.ordinary(0, deep=1)
def test_a_total_with_a_date_is_no_payment(project: Project, row: tuple[str, ...]) -> None:
    project.put("jobs.csv", csv_text(JOBS, *PLAIN))
    rows = [("p1", "1001", "11/08/2024", "100.00", "card", "ok"), row]
    project.put("payments.csv", csv_text(PAYMENTS, *rows))
    (file,) = (f for f in project.sync().files if f.feed == "payments")
    assert (file.accepted, file.rejected, file.totals) == (1, 0, 1)
    assert figures(project)[3] == "100.00"
    assert project.rows("SELECT count(*), sum(amount)::text FROM payments") == [(1, "100.00")]


@pytest.mark.parametrize("row", [("1003",), ("1003", "", "", "", "", "", ""), ("1003", "CO"), ("Totally 1003",)])
@pytest.mark.ordinary(0, deep=1)
def test_a_row_cut_off_after_its_number_is_rejected_where_it_can_be_seen(
    project: Project, row: tuple[str, ...]
) -> None:
    project.put("jobs.csv", csv_text(JOBS, *PLAIN[:2], row))
    (file,) = (f for f in project.sync().files if f.feed == "jobs")
    assert (file.accepted, file.rejected, file.totals) == (2, 1, 0)


def test_an_export_without_types_and_dates_would_be_refused_not_emptied(project: Project) -> None:
    project.put("jobs.csv", jobs(("1", "COD Repair", "Google", "")))
    assert project.sync().files[0].accepted == 1


@pytest.mark.deep
def test_a_phone_in_the_amount_stops_nothing(project: Project) -> None:
    project.put("jobs.csv", csv_text(JOBS, *PLAIN))
    rows = [
        ("p1", "1001", "11/08/2024", "6175550111", "card", "ok"),
        ("p2", "1001", "11/08/2024", "6175550112", "", ""),
    ]
    project.put("payments.csv", csv_text(PAYMENTS, *rows, ("p3", "1002", "11/08/2024", "100.00", "card", "ok")))
    assert project.sync().status == "published"
    assert figures(project)[3] == "100.00"


@pytest.mark.deep
def test_another_currency_is_rejected_wherever_it_is_named(project: Project) -> None:
    project.put("jobs.csv", csv_text(JOBS, *PLAIN))
    rows = [
        ("p1", "1001", "11/08/2024", "100.00", "card", "ok", "usd"),
        ("p2", "1001", "11/08/2024", "200.00", "card", "ok", "CAD"),
        ("p3", "1001", "11/08/2024", "\u20ac30", "card", "ok", ""),
        ("p4", "1001", "11/08/2024", "CA$40", "card", "ok", "USD"),
    ]
    project.put("payments.csv", csv_text((*PAYMENTS, "Currency"), *rows))
    assert next(f for f in project.sync().files if f.feed == "payments").rejected == 3
    assert figures(project)[3] == "100.00"


@pytest.mark.deep
def test_changing_the_company_s_currency_reads_the_exports_again(project: Project) -> None:
    project.put("jobs.csv", csv_text(JOBS, *PLAIN))
    project.put("payments.csv", csv_text((*PAYMENTS, "Currency"), ("p", "1001", "11/08/2024", "9", "", "ok", "CAD")))
    project.sync()
    assert figures(project)[3] == "0.00"
    file = project.rules / "business.toml"
    text = file.read_text(encoding="utf-8")
    assert 'currency = "USD"' in text
    file.write_text(text.replace('currency = "USD"', 'currency = "CAD"'), encoding="utf-8")
    project.sync()
    assert figures(project)[3] == "9.00"


@pytest.mark.deep
def test_a_million_rows_would_not_be_needed_to_overflow_the_published_sum(project: Project) -> None:
    """With a limit raised in the rules two amounts may add up to more than the tables hold: refused in words."""
    file = project.rules / "feeds.toml"
    text = file.read_text(encoding="utf-8")
    was = 'amount     = { type = "money", '
    assert was in text
    file.write_text(text.replace(was, f"{was}most = 9999999999, ", 1), encoding="utf-8")
    project.put("jobs.csv", csv_text(JOBS, *PLAIN))
    rows = [("p1", "1001", "11/08/2024", "6175550111", "", "ok"), ("p2", "1001", "11/08/2024", "6175550112", "", "ok")]
    project.put("payments.csv", csv_text(PAYMENTS, *rows))
    done = rmetrics(project, "sync")
    assert "Traceback" not in done.stderr
    assert done.returncode in (3, 4)
    message = " ".join(done.stderr.split())
    assert "2024-11-01, source Google" in message
    assert "payments.csv line 2, amount 6,175,550,111.00" in message
    assert "payments.csv line 3, amount 6,175,550,112.00" in message
    assert "total" not in message
    assert "most" in message
    checked = rmetrics(project, "check", "--json")
    assert checked.returncode == 3
    found = json.loads(checked.stdout)["findings"]
    large = [f for f in found if f["code"] == "amount-too-large"]
    assert large
    assert "2024-11-01" in large[0]["message"]
    assert len({f["code"] for f in found}) > 1  # the rest of the check is there


@pytest.mark.both_engines
@pytest.mark.ordinary(0, deep=1)
def test_a_charge_and_its_credit_under_one_id_are_a_finding_that_proposes_to_add_them_up(project: Project) -> None:
    header = ("Unique ID", "Time", "Duration", "Cost", "Status", "Caller ID", "Service Zip Code")
    lead = ("2024-07-31 15:45:12 -0400", "02:29")
    rows = [
        ("1", *lead, "45.00", "", "7815550140", "01852"),
        ("1", *lead, "0.00", "", "7815550140", "01852"),
        ("2", *lead, "31.00", "", "7815550141", "01852"),
        ("2", *lead, "31.00", "", "7815550141", "01852"),  # the same line twice is no question of amounts
    ]
    project.put("leads cost Elocals.csv", csv_text(header, *rows))
    (found,) = (f for f in project.sync().findings if f.code == "one-key-other-amounts")
    assert found.rows == 1
    assert "leads cost Elocals.csv" in found.message
    assert "45.00" in found.message
    file = project.rules / "feeds.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("[feeds.elocals_leads]\n", '[feeds.elocals_leads]\nrepeats = "sum"\n'), encoding="utf-8"
    )
    assert not [f for f in project.sync().findings if f.code == "one-key-other-amounts"]
    assert project.rows("SELECT sum(cost)::text FROM elocals_leads") == [("107.00",)]
