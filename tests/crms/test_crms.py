"""Exports of foreign programs, with their own headers: what is read from each, by hand-worked figures.

The files are synthetic; docs/rules.md says which headers are documented, seen or assumed.
"""

import datetime as dt
import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rmetrics.errors import SettingsError
from rmetrics.findings import Severity
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.summary import SyncResult
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.usecases.check import check
from rmetrics.usecases.draft import draft_rules
from support import Project, computed_rows, new_project

EXPORTS = Path(__file__).parent / "exports"
CRM_JOBS = (
    "Job #,Job Type,Source,Status,Created,Job Date,Total\n"
    "1001,COD Service,Google,Done,10/30/2024,11/04/2024,85\n"
    "1002,COD Repair,Google,Done,11/05/2024,11/06/2024,1240.50\n"
)


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project that never publishes."""
    return new_project(tmp_path / "project", "postgresql://nowhere.invalid/none")


def put(project: Project, *names: str) -> SyncResult:
    for name in names:
        project.put(name, (EXPORTS / name).read_bytes())
    result = computed(project)
    assert all(f.rejected == 0 for f in result.files), result.files
    return result


def computed(project: Project) -> SyncResult:
    """A dry run, in which both engines must agree, and the same computed in the project's lake."""
    result = project.sync(dry_run=True)
    assert not [f for f in result.findings if f.severity is Severity.ERROR], result.findings
    lake, rules = Lake(project.settings.lake_dir), load_rules(project.rules)
    lake.prepare()
    land_inbox(project.inbox, lake, rules, silent)
    compute(lake, rules, silent)
    return result


def table(project: Project, name: str, *columns: str) -> list[tuple[Any, ...]]:
    frame = computed_rows(project).scan(name).select(columns).collect()
    return sorted(frame.rows(), key=repr)


def month(project: Project, name: str, *columns: str) -> dict[str, tuple[Any, ...]]:
    rows = table(project, name, "month", "source", "segment", *columns)
    return {f"{m:%Y-%m} {s} {g}": tuple(v) for m, s, g, *v in rows}


def money(*amounts: str) -> list[Decimal]:
    return [Decimal(a) for a in amounts]


# -- jobs


@pytest.mark.parametrize("name", ["housecall pro jobs.csv", "servicetitan jobs.csv", "jobber one-off jobs.csv"])
@pytest.mark.ordinary(1, deep=2)
def test_jobs_of_other_programs(offline: Project, name: str) -> None:
    (file,) = put(offline, name).files
    assert file.feed == "jobs"
    found = month(offline, "monthly_metrics", "jobs", "leads", "units", "repairs")
    assert found["2024-11 Google COD"] == ((1, 1, 0, 1) if name.startswith("housecall") else (2, 2, 1, 1))
    if name.startswith("housecall"):  # created in October
        assert found["2024-10 Google COD"] == (1, 1, 1, 0)
    jobs = table(offline, "jobs", "type", "source_raw", "zip", "total", "technician")
    assert ("COD Service", "Google", "02118", Decimal("85.00"), "Bob Stone") in jobs
    assert any(row[:4] == ("COD Repair", "Google", "02119", Decimal("1240.50")) for row in jobs)


@pytest.mark.deep
def test_a_total_row_of_servicetitan_moves_no_figure(offline: Project) -> None:
    put(offline, "servicetitan jobs.csv")
    with_total = month(offline, "monthly_metrics", "jobs", "leads", "units", "repairs")
    text = (EXPORTS / "servicetitan jobs.csv").read_text(encoding="utf-8")
    assert text.splitlines()[-1].startswith("3,")
    offline.put("servicetitan jobs 2.csv", "\n".join(text.splitlines()[:-1]) + "\n")
    computed(offline)
    assert month(offline, "monthly_metrics", "jobs", "leads", "units", "repairs") == with_total


@pytest.mark.deep
def test_housecall_payments_find_their_jobs_by_number_and_by_id(offline: Project) -> None:
    put(offline, "housecall pro jobs.csv", "housecall pro payments.csv")
    assert table(offline, "payments", "job_ref", "amount", "method") == [
        ("2001", Decimal("-20.00"), "Credit card"),
        ("2001", Decimal("85.00"), "Credit card"),
        ("job_a2", Decimal("1240.50"), "Check"),
    ]
    found = month(offline, "monthly_metrics", "revenue_gross")
    assert found["2024-10 Google COD"] == (Decimal("65.00"),)  # 85 and the refund of December, on the job's day
    assert found["2024-11 Google COD"] == (Decimal("1240.50"),)


# -- payments


def test_stripe_is_read_in_utc_less_what_was_refunded(offline: Project) -> None:
    put(offline, "unified_payments.csv")
    assert table(offline, "payments", "payment_id", "paid_date", "amount", "method", "status", "counted") == [
        ("ch_1", dt.date(2024, 10, 31), Decimal("85.00"), "card", "Paid", True),  # 22:30 in New York
        ("ch_2", dt.date(2024, 11, 5), Decimal("1000.00"), "card", "Paid", True),
        ("ch_3", dt.date(2024, 11, 6), Decimal("0.00"), "card", "Refunded", True),
        ("ch_4", dt.date(2024, 11, 6), Decimal("500.00"), "card", "Failed", False),
        ("ch_5", dt.date(2024, 11, 6), Decimal("500.00"), "card", "failed", False),
    ]


@pytest.mark.deep
def test_stripe_and_a_crm_in_local_time_share_one_table(offline: Project) -> None:
    offline.put("Import-1.csv", CRM_JOBS)
    offline.put(
        "payments 1.csv",
        "Transaction ID,Job #,Date,Amount,Method,Status\nPAY-1,1001,10/31/2024 10:30 PM,15.00,cash,completed\n",
    )
    put(offline, "unified_payments.csv", "stripe charges 2019.csv")
    days = table(offline, "payments", "payment_id", "paid_date")
    assert ("PAY-1", dt.date(2024, 10, 31)) in days
    assert ("ch_1", dt.date(2024, 10, 31)) in days
    assert ("ch_8", dt.date(2024, 11, 2)) in days
    found = month(offline, "monthly_metrics", "revenue_gross")
    assert found["2024-10 Google COD"] == (Decimal("100.00"),)
    assert found["2024-11 Google COD"] == (Decimal("1000.00"),)
    assert found["2024-11 Unattributed OTHER"] == (Decimal("40.00"),)  # ch_8 names no job; ch_3 is 0


@pytest.mark.deep
def test_a_later_stripe_export_brings_the_refund(offline: Project) -> None:
    text = (EXPORTS / "unified_payments.csv").read_text(encoding="utf-8")
    offline.put("stripe 1.csv", text)
    computed(offline)
    offline.put(
        "stripe 2.csv", text.replace("ch_1,2024-11-01 02:30:00,85.00,0.00", "ch_1,2024-11-01 02:30:00,85.00,85.00")
    )
    computed(offline)
    assert ("ch_1", Decimal("0.00")) in table(offline, "payments", "payment_id", "amount")


@pytest.mark.deep
def test_the_balance_of_stripe_counts_charges_and_refunds_alone(offline: Project) -> None:
    put(offline, "stripe balance history.csv")
    counting = [row for row in table(offline, "payments", "payment_id", "amount", "counted") if row[2]]
    assert [row[:2] for row in counting] == [
        ("ch_1", Decimal("85.00")),
        ("ch_2", Decimal("1240.50")),
        ("re_1", Decimal("-240.50")),
    ]


def test_square_joins_date_and_time_and_keeps_a_refund_beside_its_sale(offline: Project) -> None:
    put(offline, "square transactions.csv")
    assert table(offline, "payments", "paid_date", "amount", "method", "counted") == [
        (dt.date(2024, 10, 31), Decimal("85.00"), "Point of Sale", True),
        (dt.date(2024, 11, 20), Decimal("-240.50"), "Invoices", True),
        (dt.date(2024, 11, 5), Decimal("1240.50"), "Invoices", True),
    ]


# -- calls, leads, spend


@pytest.mark.deep
def test_ringcentral_calls(offline: Project) -> None:
    put(offline, "ringcentral call log.csv")
    assert table(offline, "calls", "call_date", "direction", "answered", "duration_s") == [
        (dt.date(2024, 11, 4), "inbound", False, 21),  # a minute before midnight
        (dt.date(2024, 11, 4), "inbound", True, 205),
        (dt.date(2024, 11, 5), "inbound", False, 40),
        (dt.date(2024, 11, 5), "outbound", None, 3723),
    ]


@pytest.mark.deep
def test_openphone_calls_are_in_utc_and_seconds_may_have_a_comma(offline: Project) -> None:
    put(offline, "openphone calls.csv")
    assert table(offline, "calls", "call_id", "call_date", "direction", "answered", "duration_s") == [
        ("AC1", dt.date(2024, 11, 4), "inbound", True, 1265),
        ("AC2", dt.date(2024, 11, 5), "inbound", False, 0),
        ("AC3", dt.date(2024, 11, 5), "outbound", None, 61),
    ]


@pytest.mark.deep
def test_millionths_of_the_ads_api_are_exact_or_refused(offline: Project) -> None:
    offline.put("google ads api.csv", (EXPORTS / "google ads api.csv").read_bytes())
    (file,) = computed(offline).files
    assert (file.feed, file.accepted, file.rejected) == ("google_spend", 2, 1)
    assert sum(row[0] for row in table(offline, "google_spend", "spend")) == Decimal("18.00")


def with_example(project: Project, name: str) -> None:
    shutil.copy(Path(__file__).parents[2] / "rules" / "examples" / name, project.rules / name)


EXAMPLES = [
    ("lsa_leads.toml", ["lsa leads.csv"], "2024-11 Google LSA COD", (2, "0.00")),
    ("lsa_leads.toml", ["lsa leads.csv", "lsa leads with id.csv"], "2024-11 Google LSA COD", (3, "0.00")),
    ("angi_leads.toml", ["angi charges.csv"], "2024-11 Angi COD", (1, "35.20")),
    ("thumbtack_leads.toml", ["thumbtack charges.csv"], "2024-11 Thumbtack COD", (1, "85.00")),
    ("meta_spend.toml", ["Campaigns Nov 2024 (meta).csv"], "2024-11 Meta COD", (0, "20.00")),
    ("bing_spend.toml", ["bing campaign performance.csv"], "2024-11 Bing COD", (0, "18.00")),
]


@pytest.mark.deep
def test_all_examples_count_side_by_side(offline: Project) -> None:
    """With all their exports at once, of which none is taken for another's."""
    for rules, *_ in EXAMPLES:
        with_example(offline, rules)
    put(offline, *dict.fromkeys(n for _, names, _, _ in EXAMPLES for n in names))
    found = month(offline, "monthly_metrics", "leads", "cost")
    for key, figures in {key: figures for _, _, key, figures in EXAMPLES}.items():
        assert found[key] == (figures[0], Decimal(figures[1])), key


@pytest.mark.slow
@pytest.mark.parametrize(("rules", "names", "key", "figures"), EXAMPLES, ids=lambda v: str(v)[:24])
def test_each_example_counts_by_itself(
    offline: Project, rules: str, names: Sequence[str], key: str, figures: tuple[int, str]
) -> None:
    with_example(offline, rules)
    put(offline, *names)
    found = month(offline, "monthly_metrics", "leads", "cost")
    assert found[key] == (figures[0], Decimal(figures[1]))


@pytest.mark.deep
def test_an_example_that_nobody_copied_changes_nothing(offline: Project) -> None:
    offline.put("Import-1.csv", CRM_JOBS)
    for _, names, _, _ in EXAMPLES:
        for name in names:
            offline.put(name, (EXPORTS / name).read_bytes())
    result = computed(offline)
    assert {f.status for f in result.files if f.feed != "jobs"} == {"refused"}
    assert month(offline, "monthly_metrics", "cost") == {
        "2024-10 Google COD": (Decimal("0.00"),),
        "2024-11 Google COD": (Decimal("0.00"),),
    }


# -- rules new


KNOWN = [
    ("housecall pro jobs.csv", "jobs (Housecall Pro jobs)"),
    ("housecall pro payments.csv", "payments (Housecall Pro payments)"),
    ("servicetitan jobs.csv", "jobs (ServiceTitan jobs)"),
    ("jobber one-off jobs.csv", "jobs (Jobber jobs)"),
    ("unified_payments.csv", "payments (Stripe payments)"),
    ("stripe charges 2019.csv", "payments (Stripe payments)"),
    ("stripe balance history.csv", "payments (Stripe balance)"),
    ("square transactions.csv", "payments (Square transactions)"),
    ("ringcentral call log.csv", "calls (RingCentral call log)"),
    ("openphone calls.csv", "calls (OpenPhone calls)"),
    ("google ads api.csv", "google_spend (Google Ads API)"),
]


@pytest.mark.parametrize(("name", "what"), KNOWN)
@pytest.mark.ordinary(4)
def test_rules_new_says_what_is_read_already(offline: Project, name: str, what: str) -> None:
    path = offline.put(name, (EXPORTS / name).read_bytes())
    with pytest.raises(SettingsError) as caught:
        draft_rules(offline.settings, "Acme", path)
    assert f"is already read as {what}" in caught.value.message


@pytest.mark.parametrize(("rules", "names", "_", "__"), EXAMPLES, ids=lambda v: str(v)[:24])
@pytest.mark.ordinary(2)
def test_rules_new_names_the_example_to_copy(
    offline: Project, rules: str, names: Sequence[str], _: str, __: tuple[int, str]
) -> None:
    path = offline.put(names[-1], (EXPORTS / names[-1]).read_bytes())
    before = sorted(offline.rules.iterdir())
    with pytest.raises(SettingsError) as caught:
        draft_rules(offline.settings, "Acme", path)
    assert f"examples/{rules}" in caught.value.hint
    assert sorted(offline.rules.iterdir()) == before


def test_an_example_that_somebody_broke_hides_no_other(offline: Project) -> None:
    broken, rules, names = EXAMPLES[0][0], EXAMPLES[-1][0], EXAMPLES[-1][1]
    (offline.rules / "examples" / broken).write_text("[feeds.jobs\n")
    path = offline.put(names[-1], (EXPORTS / names[-1]).read_bytes())
    with pytest.raises(SettingsError) as caught:
        draft_rules(offline.settings, "Acme", path)
    assert f"examples/{rules}" in caught.value.hint


def test_every_export_here_is_tested() -> None:
    told = {name for name, _ in KNOWN} | {n for _, names, _, _ in EXAMPLES for n in names}
    assert told == {p.name for p in EXPORTS.iterdir()}


# -- the same money from two programs

CRM_HEAD = "Transaction ID,Job #,Date,Amount,Method,Status\n"
STRIPE_HEAD = "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Status,job_number (metadata)\n"


def twice(project: Project) -> list[tuple[object, ...]]:
    """The pairs that ``check`` finds: how many, and the first of them."""
    found = [f for f in check(project.settings, offline=True).findings if f.code == "paid-twice"]
    assert all(f.severity is Severity.WARNING for f in found)
    return [(f.rows, [(e["job"], e["payment"], str(e["total"])) for e in f.examples]) for f in found]


@pytest.mark.deep
def test_the_same_money_from_a_crm_and_from_stripe_is_a_warning(offline: Project) -> None:
    offline.put("Import-1.csv", CRM_JOBS)
    offline.put(
        "payments 1.csv",
        CRM_HEAD
        + "P1,1001,10/31/2024 10:30 PM,85.00,card,completed\n"  # ch_1, the same evening
        + "P2,1002,11/05/2024 03:00 PM,1000.00,card,completed\n"  # ch_2, the next morning
        + "P3,1002,11/05/2024 03:00 PM,1000.00,card,completed\n"  # a second one, which has no partner
        + "P4,1001,11/10/2024 03:00 PM,40.00,card,completed\n"  # ch_3 is two days later
        + "P5,1001,11/20/2024 03:00 PM,50.00,card,failed\n"  # ch_4 counts, this one does not
        + "P6,9999,11/21/2024 03:00 PM,60.00,card,completed\n",  # ch_5: of no job in the data
    )
    computed(offline)
    assert twice(offline) == [], "one form of export has no pairs"
    offline.put(
        "stripe.csv",
        STRIPE_HEAD
        + "ch_1,2024-11-01 02:35:00,85.00,0.00,usd,true,Paid,1001\n"
        + "ch_2,2024-11-06 15:00:00,1000.00,0.00,usd,true,Paid,1002\n"
        + "ch_3,2024-11-12 20:00:00,40.00,0.00,usd,true,Paid,1001\n"
        + "ch_4,2024-11-20 20:00:00,50.00,0.00,usd,true,Paid,1001\n"
        + "ch_5,2024-11-21 20:00:00,60.00,0.00,usd,true,Paid,9999\n"
        + "ch_6,2024-11-25 20:00:00,70.00,0.00,usd,true,Paid,1001\n",
    )
    result = computed(offline)
    expected = [("1001", "ch_1", "1085.00"), ("1002", "ch_2", "1085.00")]
    assert twice(offline) == [(2, expected)]
    assert [f.rows for f in result.findings if f.code == "paid-twice"] == [2]


@pytest.mark.deep
def test_two_equal_payments_of_one_program_are_no_pair(offline: Project) -> None:
    offline.put("Import-1.csv", CRM_JOBS)
    for name in ("payments 1.csv", "payments 2.csv"):
        number = name[9]
        offline.put(name, f"{CRM_HEAD}P{number},1001,11/05/2024 03:00 PM,85.00,card,completed\n")
    computed(offline)
    assert twice(offline) == []
