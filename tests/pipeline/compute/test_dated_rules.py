"""Rules that change in the middle of November 2024, worked out by hand.

Every case goes through both engines.
"""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import small_company
from rmetrics.checks.compare import cross_check
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from support import Project, new_project

Figures = dict[tuple[str, str, str], tuple[str, ...]]


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project that never publishes."""
    return new_project(tmp_path / "project", "postgresql://nowhere.invalid/none")


def edit(project: Project, old: str, new: str) -> None:
    """Edits the one place of the rules that says so."""
    files = [p for p in project.rules.glob("*.toml") if old in p.read_text(encoding="utf-8")]
    assert len(files) == 1
    text = files[0].read_text(encoding="utf-8")
    assert text.count(old) == 1
    files[0].write_text(text.replace(old, new), encoding="utf-8")


def add(project: Project, file: str, text: str) -> None:
    path = project.rules / file
    path.write_text(path.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")


def figures(project: Project, *measures: str, daily: bool = False) -> Figures:
    """Figures by (month or day, source, segment), after both engines agreed on them."""
    lake, rules = Lake(project.settings.lake_dir), load_rules(project.rules)
    lake.prepare()
    land_inbox(project.inbox, lake, rules, silent)
    made = compute(lake, rules, silent)
    typed = typed_inputs(lake, made.typed)
    metrics = made.snapshot.path("daily_metrics"), made.snapshot.path("monthly_metrics")
    assert cross_check(typed, *metrics, rules, temp=project.root / "temp").mismatches == ()
    name, period = ("daily_metrics", "date") if daily else ("monthly_metrics", "month")
    told = pl.col(period).dt.to_string("%Y-%m-%d" if daily else "%Y-%m")
    rows = made.snapshot.scan(name).select(told, "source", "segment", *measures).collect()
    return {(d, s, g): tuple(str(v) for v in vs) for d, s, g, *vs in rows.iter_rows() if any(vs)}


def referrals(project: Project) -> None:
    project.put("proref.csv", small_company.referrals(
        ("a", "11/10/2024 09:00 AM"),
        ("b", "11/15/2024 11:59 PM"),   # the last minute of the old price
        ("c", "11/16/2024 12:00 AM"),   # the first of the new one
        ("d", "11/20/2024 09:00 AM", "Passed"),   # no lead, so it costs nothing
        ("e", "11/20/2024 09:00 AM", ""),         # a blank status is not Passed
    ))  # fmt: skip


def jobs(project: Project) -> None:
    project.put("Import-1.csv", small_company.jobs(
        (1, "COD Service", "Google", "11/15/2024"),
        (2, "COD Repair", "Google", "11/12/2024"),
        (3, "COD Service", "Google", "11/16/2024"),
        (4, "COD Repair", "Google", "11/17/2024")
    ))  # fmt: skip


def payments(project: Project) -> None:
    project.put("payments_1.csv", small_company.payments(
        (1, "2024-11-20T15:00:00Z", "100.00", "p1"),   # job of the 15th, paid on the 20th
        (1, "2024-12-05T15:00:00Z", "-20.00", "p2"),   # its refund, in December
        (3, "2024-11-16T15:00:00Z", "50.25", "p3"),    # job of the 16th
        (99, "2024-11-16T04:30:00Z", "10.00", "p4"),   # no such job; still the 15th in New York
        more=("Transaction ID",),
    ))  # fmt: skip


PRICE = '[[sources."Pro Referral".changes]]\nfrom = 2024-11-16\ncost = { per_lead = 25.00 }\n'
SHARE = "[[revenue.changes]]\nfrom = 2024-11-16\nshare = 0.42\n"


def test_price_per_lead_changes_in_the_middle_of_a_month(offline: Project) -> None:
    referrals(offline)
    add(offline, "sources.toml", PRICE)
    # 2 leads at 20.00 up to the 15th, 2 at 25.00 from the 16th: 40 + 50
    assert figures(offline, "leads", "cost") == {("2024-11", "Pro Referral", "COD"): ("4", "90.00")}
    assert figures(offline, "cost", daily=True) == {
        ("2024-11-10", "Pro Referral", "COD"): ("20.00",),
        ("2024-11-15", "Pro Referral", "COD"): ("20.00",),
        ("2024-11-16", "Pro Referral", "COD"): ("25.00",),
        ("2024-11-20", "Pro Referral", "COD"): ("25.00",),
    }


def test_share_changes_by_the_day_of_the_job(offline: Project) -> None:
    jobs(offline)
    payments(offline)
    add(offline, "business.toml", SHARE)
    # Job 1 is of the 15th: (100.00 - 20.00) * 0.40 = 32.00, whenever it was paid. Job 3: 50.25 * 0.42 = 21.105.
    # The payment without a job counts on its own day, the 15th in New York: 10.00 * 0.40.
    assert figures(offline, "revenue_gross", "revenue40") == {
        ("2024-11", "Google", "COD"): ("130.25", "53.105000"),
        ("2024-11", "Unattributed", "OTHER"): ("10.00", "4.000000"),
    }


def test_share_changes_by_the_day_of_the_payment(offline: Project) -> None:
    jobs(offline)
    payments(offline)
    edit(offline, 'date  = "job" ', 'date  = "payment" ')
    add(offline, "business.toml", SHARE)
    # November: 100.00 * 0.42 + 50.25 * 0.42 = 42.00 + 21.105. December: -20.00 * 0.42.
    assert figures(offline, "revenue_gross", "revenue40") == {
        ("2024-11", "Google", "COD"): ("150.25", "63.105000"),
        ("2024-11", "Unattributed", "OTHER"): ("10.00", "4.000000"),
        ("2024-12", "Google", "COD"): ("-20.00", "-8.400000"),
    }


def test_way_of_counting_leads_changes_in_the_middle_of_a_month(offline: Project) -> None:
    jobs(offline)
    add(offline, "sources.toml", '[[sources.Google.changes]]\nfrom = 2024-11-16\nleads = "units"\n')
    # Up to the 15th every job is a lead: 1 and 2. From the 16th only units are: 3, not the repair 4.
    assert figures(offline, "jobs", "leads") == {("2024-11", "Google", "COD"): ("4", "3")}


def test_source_goes_over_to_an_export_of_its_own(offline: Project) -> None:
    jobs(offline)
    referrals(offline)
    add(offline, "sources.toml", '[[sources.Google.changes]]\nfrom = 2024-11-16\nleads = { feed = "proref_leads" }\n')
    # Jobs 1 and 2 up to the 15th; then the three rows c, d and e: this rule has no condition.
    assert figures(offline, "leads")["2024-11", "Google", "COD"] == ("5",)


def test_segment_of_a_source_changes_in_the_middle_of_a_month(offline: Project) -> None:
    referrals(offline)
    add(offline, "sources.toml", '[[sources."Pro Referral".changes]]\nfrom = 2024-11-16\nsegment = "INS"\n')
    assert figures(offline, "leads", "cost") == {
        ("2024-11", "Pro Referral", "COD"): ("2", "40.00"),
        ("2024-11", "Pro Referral", "INS"): ("2", "40.00"),
    }


def test_segments_change_in_the_middle_of_a_month(offline: Project) -> None:
    jobs(offline)
    change = '[[jobs.changes]]\nfrom = 2024-11-16\n[[jobs.changes.segments]]\nname = "VISIT"\nwhere = "type LIKE \'%Service\'"\n'
    add(offline, "business.toml", change)
    # Jobs 1 and 2 are COD. From the 16th there is VISIT alone: job 3 is one, job 4 is none.
    assert figures(offline, "jobs") == {
        ("2024-11", "Google", "COD"): ("2",),
        ("2024-11", "Google", "VISIT"): ("1",),
        ("2024-11", "Google", "OTHER"): ("1",),
    }


def test_rows_that_count_change_in_the_middle_of_a_month(offline: Project) -> None:
    referrals(offline)
    edit(
        offline,
        "[feeds.proref_leads.columns]",
        '[[feeds.proref_leads.changes]]\nfrom = 2024-11-16\nwhere = "current_status IS NOT NULL"\n\n[feeds.proref_leads.columns]',
    )
    # From the 16th the row with a blank status does not count at all: a, b, c.
    assert figures(offline, "leads", "cost") == {("2024-11", "Pro Referral", "COD"): ("3", "60.00")}


def test_monthly_fee_changes_in_the_middle_of_a_month(offline: Project) -> None:
    jobs(offline)
    payments(offline)  # the last day of the data is in December, so November has all its 30 days
    add(offline, "sources.toml", "[[sources.Google.changes]]\nfrom = 2024-01-01\ncost = { monthly = 30.00 }\n"
        "[[sources.Google.changes]]\nfrom = 2024-11-16\ncost = { monthly = 60.00 }\n")  # fmt: skip
    # 15 days of 30.00 / 30 and 15 of 60.00 / 30; December is cut at the 5th: the whole fee on five days.
    costs = figures(offline, "cost")
    assert costs["2024-11", "Google", "COD"] == ("45.00",)
    assert costs["2024-12", "Google", "COD"] == ("60.00",)


def test_costs_of_several_forms_add_up(offline: Project) -> None:
    jobs(offline)
    payments(offline)
    edit(offline, 'cost    = { feed = "google_spend", sum = "spend", spread = "days" }',
         "cost = [{ per_lead = 5.00 }, { per_unit = 10.00 }, { per_repair = 7.00 }, { monthly = 31.00 }]")  # fmt: skip
    # Leads 4 * 5, units 1 and 3: 2 * 10, repairs 2 and 4 (job 1 was paid 80 in all): 2 * 7, and the fee.
    assert figures(offline, "cost")["2024-11", "Google", "COD"] == (str(Decimal(20) + 20 + 14 + 31) + ".00",)


def test_cost_ends_on_a_day(offline: Project) -> None:
    referrals(offline)
    add(offline, "sources.toml", '[[sources."Pro Referral".changes]]\nfrom = 2024-11-16\ncost = []\n')
    assert figures(offline, "leads", "cost") == {("2024-11", "Pro Referral", "COD"): ("4", "40.00")}


def test_jobs_that_do_not_count_are_nowhere(offline: Project) -> None:
    jobs(offline)
    payments(offline)
    edit(offline, 'without = ["Lead #"]\n', 'without = ["Lead #"]\nwhere = "type = \'COD Repair\'"\n')
    # The services are left out, so their payments are of no known job.
    assert figures(offline, "jobs", "revenue_gross") == {
        ("2024-11", "Google", "COD"): ("2", "0.00"),
        ("2024-11", "Unattributed", "OTHER"): ("0", "160.25"),
        ("2024-12", "Unattributed", "OTHER"): ("0", "-20.00"),
    }


def test_rows_without_a_day_follow_the_rules_of_today(offline: Project) -> None:
    offline.put("Import-1.csv", small_company.jobs((1, "COD Service", "Google", "", ""), more=("Job Date",)))
    payments(offline)
    change = '[[jobs.changes]]\nfrom = 2024-11-16\n[[jobs.changes.segments]]\nname = "VISIT"\nwhere = "type LIKE \'%Service\'"\n'
    add(offline, "business.toml", change)
    # The job has no day; its payments count on their own, in the segment the latest rules give the job.
    assert figures(offline, "revenue_gross")["2024-11", "Google", "VISIT"] == ("100.00",)
