"""The shipped examples of own measures on the sample: they count what they say, add up, and both engines agree."""

import shutil
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rmetrics.lake import Lake
from rmetrics.metrics.by_period import Span, ages_of, sums
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.verify.cross_check import cross_check
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.measures import SHIPPED
from shipped_examples import copy_examples
from support import ROOT

pytestmark = pytest.mark.deep

EXAMPLES = [
    "callbacks", "technicians", "cancellations", "margin", "gross_margin", "profit_by_segment", "receivables", "days_to_payment", "booked_leads",
]  # fmt: skip
PARTS = "Part ID,Job #,Date,Part Cost\n1,2525,12/31/2024,41.10\n2,2525,12/31/2024,8.90\n3,none,12/31/2024,5.00\n"


class Sample:
    """The sample, computed with the examples."""

    def __init__(self, folder: Path) -> None:
        inbox = folder / "inbox"
        shutil.copytree(ROOT / "data" / "sample", inbox, ignore=shutil.ignore_patterns("truth", "*.md"))
        (inbox / "parts.csv").write_text(PARTS)
        rules = folder / "rules"
        shutil.copytree(ROOT / "rules", rules, ignore=shutil.ignore_patterns("examples"))
        copy_examples(EXAMPLES, rules)
        self.rules: Rules = load_rules(rules)
        self.lake = Lake(folder / "lake")
        self.lake.prepare()
        land_inbox(inbox, self.lake, self.rules, silent)
        self.computed: Computed = compute(self.lake, self.rules, silent)
        self.rows = self.computed.rows

    def total(self, measure: str) -> Decimal:
        """A sum over all days."""
        daily = self.rows.scan("measure_daily").filter(pl.col("measure") == measure)
        return Decimal(daily.select(pl.col("value").sum()).collect().item())

    def facts(self, condition: pl.Expr) -> int:
        """How many dated jobs meet a condition."""
        dated = self.rows.scan(FACTS).filter(pl.col("metric_date").is_not_null() & condition)
        return int(dated.select(pl.len()).collect().item())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("own"))


def test_both_engines_agree_and_members_add_up(sample: Sample) -> None:
    found, _ = cross_check(sample.lake, sample.rules, sample.computed)
    assert found.mismatches == ()


def test_examples_count_what_they_say(sample: Sample) -> None:
    assert sample.total("cancellations") == sample.facts(pl.col("status") == "Canceled") > 0
    assert sample.total("completed") == sample.facts(pl.col("status") == "Done") > 0
    owed = pl.col("total") - pl.col("paid")
    facts = sample.rows.scan(FACTS).filter(pl.col("metric_date").is_not_null() & (owed > 0))
    assert sample.total("receivables") == facts.select(owed.sum()).collect().item() > 0
    assert sample.total("parts_cost") == Decimal("55.00")
    costed = sample.rows.scan(FACTS).filter(pl.col("metric_date").is_not_null() & pl.col("job_cost").is_not_null())
    paid, cost = costed.select(pl.col("paid").sum(), pl.col("job_cost").sum()).collect().row(0)
    assert cost > 0
    assert (sample.total("paid_for_costed_jobs"), sample.total("gross_profit")) == (paid, paid - cost)
    revenue = sample.rows.scan("daily_metrics").group_by("segment").agg(pl.col("revenue_gross").sum()).collect()
    by_segment = dict(revenue.iter_rows())
    assert (sample.total("cod_revenue"), sample.total("ins_revenue")) == (by_segment["COD"], by_segment["INS"])


def test_callbacks_are_warranty_jobs_and_visits_within_30_days_of_a_repair_of_the_appliance(sample: Sample) -> None:
    jobs = sample.rows.scan(FACTS).filter(pl.col("metric_date").is_not_null()).collect().to_dicts()
    repairs = ("COD Repair", "INS Repair")

    def apart(job: dict[str, Any], other: dict[str, Any]) -> int:
        """Days from a job to a later one of the same customer's same appliance; 0 where it is none."""
        same = all(job[c] is not None and job[c] == other[c] for c in ("client_phone", "appliance"))
        return max(0, (other["metric_date"] - job["metric_date"]).days) if same else 0

    back = [
        j for j in jobs
        if j["type"] == "Warranty"
        or (j["type"] not in repairs and any(o["is_repair"] and 0 < apart(o, j) <= 30 for o in jobs))
    ]  # fmt: skip
    failed = []
    for job in filter(lambda j: j["is_repair"], jobs):
        later = sorted((d, o["type"] in repairs) for o in jobs if (d := apart(job, o)))
        returned, own = ([d for d, of_repair in later if of_repair is kind] for kind in (False, True))
        if returned and returned[0] <= 30 and (not own or returned[0] < own[0]):
            failed.append(job)
    assert sample.total("callbacks") == len(back) > sample.facts(pl.col("type") == "Warranty") > 0
    assert sample.total("failed_repairs") == len(failed) > 0
    by_technician = sample.rows.scan("dimension_monthly").filter(
        (pl.col("dimension") == "technician") & (pl.col("measure") == "failed_repairs")
    )
    found = dict(by_technician.group_by("member").agg(pl.col("value").sum()).collect().iter_rows())
    assert found == Counter((j["technician"] or "(none)").split(",")[0].strip() for j in failed)


def test_receivables_by_age_and_segment_add_up_to_the_measure(sample: Sample) -> None:
    jobs = sample.rows.scan(FACTS).filter(pl.col("metric_date").is_not_null()).collect().to_dicts()
    last = max(j["metric_date"] for j in jobs)
    expected: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for job in jobs:
        age = (last - job["metric_date"]).days
        name = next(n for n, end in (("0-29", 30), ("30-59", 60), ("60-89", 90), ("90+", 10**6)) if age < end)
        if job["total"] is not None and job["total"] > job["paid"]:
            expected[f"{name} days", job["segment"]] += job["total"] - job["paid"]
    daily = sample.rows.scan("measure_daily").filter(pl.col("measure") == "receivables")
    ages = list(ages_of(Span(min(j["metric_date"] for j in jobs), last), last))
    found = sums(daily.rename({"value": "receivables"}), [a.span for a in ages], "segment", ["receivables"]).collect()
    assert {(ages[n].name, s): v for n, s, v in found.select("span", "member", "receivables").iter_rows()} == expected
    assert found["receivables"].sum() == sample.total("receivables")
    assert {name for name, _ in expected} == {"0-29 days", "30-59 days", "60-89 days", "90+ days"}


def test_parts_stand_where_their_job_does_and_without_one_with_nobody(sample: Sample) -> None:
    rows = sample.rows.scan("measure_daily").filter(pl.col("measure") == "parts_cost").collect()
    found = {
        (source, segment): value for source, segment, value in rows.select("source", "segment", "value").iter_rows()
    }
    assert found == {("Pro Referral", "COD"): Decimal("50.00"), ("Unattributed", "OTHER"): Decimal("5.00")}
    of = sample.rows.scan("dimension_monthly").filter(
        (pl.col("measure") == "parts_cost") & (pl.col("dimension") == "technician")
    )
    members = dict(of.select("member", "value").collect().iter_rows())
    assert members == {"Jory Nadler": Decimal("50.00"), "(none)": Decimal("5.00")}


def test_every_dimension_adds_up_to_the_month_for_every_measure(sample: Sample) -> None:
    monthly = sample.rows.scan("monthly_metrics").collect()
    members = sample.rows.scan("dimension_monthly").collect()
    daily = sample.rows.scan("measure_daily").collect()
    for dimension in ("technician", "zip", "weekday"):
        of = members.filter(pl.col("dimension") == dimension)
        for name in SHIPPED:
            assert of.filter(pl.col("measure") == name)["value"].sum() == monthly[name].sum(), (dimension, name)
        for name in daily["measure"].unique():
            own = daily.filter(pl.col("measure") == name)["value"].sum()
            assert of.filter(pl.col("measure") == name)["value"].sum() == own, (dimension, name)


def test_technicians_load_beside_the_shipped_rules(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("examples"))
    shutil.copy(ROOT / "rules" / "examples" / "technicians.toml", tmp_path / "rules")
    assert list(load_rules(tmp_path / "rules").dimensions) == ["technician"]
