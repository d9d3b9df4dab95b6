"""A planted error in a copy of each metric function: the second engine must find every one of them."""

import importlib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

import small_company
from rmetrics.checks.compare import cross_check
from rmetrics.checks.compare_measures import OwnFigureFiles
from rmetrics.lake import Lake
from rmetrics.opening import open_project
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.workspace import opened
from rmetrics.rules import Rules
from small_company import payments, spend
from support import Project, csv_text, fresh_database, new_project

# Module of rmetrics.metrics, what stands there, what is planted instead.
MUTATIONS = [
    ("jobs", "pl.col(COUNTED) & pl.col(JOB_ID).is_not_null()", "pl.col(JOB_ID).is_not_null()"),
    ("jobs", 'pl.col("amount").sum().cast(DOLLARS).alias("paid")', 'pl.col("amount").max().cast(DOLLARS).alias("paid")'),
    ("jobs", 'in_force(rules.jobs, day, lambda j: is_true(j.unit, row)).alias("is_unit")', 'in_force(rules.jobs, day, lambda j: is_true(j.repair, row)).alias("is_unit")'),
    ("jobs", 'in_force(rules.jobs, day, lambda j: is_true(j.repair, row)).alias("is_repair")', 'in_force(rules.jobs, day, lambda j: ~is_true(j.unit, row)).alias("is_repair")'),
    ("jobs", "for segment in reversed(jobs.segments):", "for segment in reversed(jobs.segments[1:]):"),
    ("jobs", 'name.str.to_lowercase().str.replace_all(r"[\\s\\-]+", "")', "name"),
    ("jobs", 'pl.col("source_raw").str.to_lowercase().str.replace_all(r"\\s+", "")', 'pl.col("source_raw")'),
    ("jobs", "return pl.col(column).dt.convert_time_zone(zone).dt.date()", "return pl.col(column).dt.date()"),
    ("tallies", "amount(SHIPPED[n], row, rules).alias(n) for n", 'amount(SHIPPED["jobs"], row, rules).alias(n) for n'),
    ("tallies", 'agg(pl.col(n).sum() for n in SUMS["activity"])', 'agg(pl.col(n).max() for n in SUMS["activity"])'),
    ("leads", "rows = feeds[name].filter(pl.col(COUNTED))", "rows = feeds[name]"),
    ("leads", "rows = rows.filter(is_true(where, feed_row(rules.feeds[name], rules.business.timezone)))", "pass"),
    ("leads", "inside &= day >= pl.lit(start)", "inside &= day > pl.lit(start)"),
    ("leads", "inside &= day < pl.lit(end)", "inside &= day <= pl.lit(end)"),
    ("leads", "pl.lit(source.segment)", 'pl.lit("OTHER")'),
    ("leads", "pl.col(source.leads).alias", 'pl.col("jobs").alias'),
    ("costs", "int(price * 100)", "int(price * 101)"),
    ("costs", "parts.append(_priced(cost, per_day, of_source).filter(inside))", "parts.append(_priced(cost, per_day, of_source))"),
    ("costs", "parts.append(days.filter(inside))", "parts.append(days)"),
    ("costs", 'filter(between(pl.col("_day"), start, end))', "filter(pl.lit(value=True))"),
    ("costs", 'place < size % pl.col("days")', 'place >= pl.col("days") - size % pl.col("days")'),
    ("costs", 'pl.when(in_last).then(pl.col("last_day").dt.day())', 'pl.when(in_last).then(pl.col("month").dt.days_in_month())'),
    ("costs", 'pl.col("turn") <= pl.col("left")', 'pl.col("turn") < pl.col("left")'),
    ("costs", 'pl.struct(-pl.col("rest"), pl.col("rank"))', 'pl.struct(-pl.col("rest"), -pl.col("rank"))'),
    ("costs", 'pl.col("segment").fill_null(segment)', 'pl.col("segment").fill_null("OTHER")'),
    ("costs", "counting(feeds, rules, cost.feed, cost.where)", "counting(feeds, rules, cost.feed, None)"),
    ("revenue", "payments.filter(pl.col(COUNTED))", "payments"),
    ("revenue", 'pl.coalesce("_job_date", paid_on) if by_job', "paid_on if by_job"),
    ("revenue", "pl.lit(share_units(r.share), dtype=pl.Int64)", "pl.lit(4000, dtype=pl.Int64)"),
    ("revenue", 'pl.col("segment").fill_null(OTHER)', 'pl.col("segment").fill_null("COD")'),
    ("revenue", 'pl.col("source").fill_null(UNATTRIBUTED)', 'pl.col("source").fill_null("Google")'),
    ("tallies", 'pl.col("gross_cents").sum()', 'pl.col("gross_cents").abs().sum()'),
    ("tallies", "for name, rows in feeds.items():", "for name, rows in ():"),
    ("tallies", "rows.filter(pl.col(COUNTED)).select(pl.lit(name)", "rows.select(pl.lit(name)"),
    ("rollup", 'pl.col("date").dt.month_start().alias("month")', 'pl.col("date").dt.offset_by("1d").dt.month_start().alias("month")'),
    ("rollup", "pl.concat([jobs, leads, revenue, costs]", "pl.concat([jobs, leads, revenue, costs, costs]"),
    ("measures", "in_force(measure.rule, pl.col(_DAY), lambda m: amount(m, row, rules))", "amount(measure.latest, row, rules)"),
    ("measures", "units = pl.when(is_true(measure.where, row)).then(units)", "pass"),
    ("measures", "(place < total.abs() % count)", "(place >= count - total.abs() % count)"),
    ("measures", "total.sign() * (total.abs() // count + remainder)", "total // count + remainder"),
    ("measures", "pl.when(place == 0).then(total).otherwise(0)", "total"),
    ("measures", ".list.unique(maintain_order=True)", ""),
    ("measures", '.list.eval(pl.element().filter(pl.element() != ""))', ""),
    ("measures", ".list.eval(pl.element().str.strip_chars(WHITE_SPACE))", ""),
    ("measures", 'pl.col(n) * pl.col("_share") if n in shared', "pl.col(n) * 4000 if n in shared"),
    ("measures", 'rows.join(members, on=JOB_ID, how="left")', 'rows.join(members, on=JOB_ID, how="inner")'),
    ("measures", "inside & condition", "condition"),
    ("measures", "placed = rows.filter(pl.col(COUNTED))", "placed = rows"),
    ("measures", "in_force(dated, day, lambda s: pl.lit(s.segment))", 'pl.lit("OTHER")'),
    ("measures", "found[0] if len(found) == 1 else UNATTRIBUTED", "UNATTRIBUTED"),
    ("measures", "of_source & marked[version.leads]", "of_source"),
    ("measures", "cost.feed == feed and cost.sum is not None and cost.spread is None", "cost.feed == feed and cost.sum is not None"),
    ("measures", 'day, source = pl.col("touch_date"), pl.col("source")', 'day, source = pl.col("month"), pl.col("source")'),
    ("measures", "_segment_of(source, day, rules).alias(_SEGMENT)", 'pl.lit("INS").alias(_SEGMENT)'),
    ("dimensions", "descending=[True, False]", "descending=[False, False]"),
    ("dimensions", "otherwise(pl.lit(REST))", "otherwise(pl.lit(NONE))"),
    ("dimensions", ".head(dimension.limit)", ".head(dimension.limit + 1)"),
    ("dimensions", "m.latest.of == SOURCES or not reached(rules)[name, n]", "not reached(rules)[name, n]"),
    ("dimensions", "Unit.CENT: 10_000", "Unit.CENT: 1_000"),
    ("dimensions", "additive = {n: is_additive(dimension, m.latest)", "additive = {n: True"),
    ("newest", "value.sort_by(age).last()", "value.sort_by(age).first()"),
    ("newest", "value.filter(has).sort_by(*(a.filter(has) for a in age)).last()", "value.sort_by(age).last()"),
    ("newest", "date = date.dt.convert_time_zone(zone).dt.date()", "date = date.dt.date()"),
    ("newest", "result = pl.when(day >= pl.lit(start)).then(value(version)).otherwise(result)", "pass"),
]  # fmt: skip

OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"
[[measures.callbacks.changes]]
from = 2024-11-10
count = "type <> 'Warranty'"
[measures.every_job]
of = "jobs"
count = true
[measures.large]
of = "payments"
sum = "amount"
where = "amount > 50"
[measures.lead_cost]
of = "elocals_leads"
sum = "cost"
[measures.lost]
of = "journeys"
sum = "cost"
where = "NOT booked"
[[measures.lost.changes]]
from = 2024-11-15
sum = "cost - paid"
[dimensions.technician]
of = "jobs"
sql = "CASE job_id WHEN '1' THEN 'Ann, Bo , Cy' WHEN '5' THEN 'Bo,,Ann,Bo,Cy' WHEN '7' THEN 'Ann,Bo' WHEN '11' THEN 'Bo,Bo,Ann' WHEN '12' THEN 'Dee' WHEN '13' THEN ' Dee ' WHEN '14' THEN 'Zed' WHEN '3' THEN 'Ann' END"
split = ","
most = 3
[dimensions.everyone]
of = "jobs"
sql = "CASE job_id WHEN '1' THEN 'Ann, Bo' ELSE 'Cy' END"
split = ","
count_for = "each"
[dimensions.status]
of = "elocals_leads"
sql = "CASE WHEN cost > 30 THEN 'dear' WHEN cost > 0 THEN 'cheap' END"
[dimensions.campaign]
of = "google_spend"
column = "campaign"
"""

SOURCES = """
[sources.Meter]
segment = "COD"
leads = { feed = "elocals_leads", where = "cost > 0" }
cost = { feed = "elocals_leads", sum = "cost", where = "cost > 0" }
[[sources.Meter.changes]]
from = 2024-11-15
leads = { feed = "elocals_leads", where = "cost > 30" }
cost = { per_lead = 7.77 }

[sources.Ads]
aliases = ["Ads-Inc"]
segment = "INS"
leads = "units"
cost = { feed = "google_spend", sum = "spend", spread = "days", where = "spend > 0" }

[sources.Plain]
segment = "COD"
leads = "jobs"
cost = [{ per_unit = 3.33 }, { per_repair = 1.11 }]

[sources.Listed]
segment = "COD"
leads = "jobs"
cost = { monthly = 31.01 }
[[sources.Listed.changes]]
from = 2024-11-15
cost = { monthly = 60.02 }
"""


@dataclass
class Lab:
    """A synced company that makes use of every rule, to compute anew with a spoiled copy."""

    lake: Lake
    rules: Rules
    computed: Computed


@pytest.fixture(scope="module")
def lab(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("mutation") / "project", uri)
        (project.rules / "sources.toml").write_text(SOURCES)
        (project.rules / "own.toml").write_text(OWN)
        business = project.rules / "business.toml"
        business.write_text(
            business.read_text().replace("[[calls.sources]]", '[[revenue.changes]]\nfrom = 2024-11-15\nshare = 0.5\n\n[[jobs.changes]]\nfrom = 2024-12-01\nunit = "type = \'INS Service\'"\n\n[[calls.sources]]', 1)
        )  # fmt: skip
        feeds = project.rules / "feeds.toml"
        where = "[feeds.elocals_leads]\nwhere = \"status IS DISTINCT FROM 'Void'\""
        feeds.write_text(feeds.read_text().replace("[feeds.elocals_leads]", where, 1))
        exports(project)
        project.sync()
        with opened(open_project(project.settings)) as found:
            assert not found.problems
            yield Lab(found.lake, found.rules, found.computed)


def exports(project: Project) -> None:
    header = ("Job #", "Job Type", "Status", "Source", "Created", "UUID")
    project.put("Import-0.csv", small_company.jobs((1, "INS Repair", "Plain", "2024-11-01T12:00:00-05:00", "Done", "U1"), (2, "COD Service", "Ads", "2024-11-02T12:00:00-05:00", "Done", "U2"), more=("Status", "UUID")))  # fmt: skip
    jobs = [
        (1, "COD Service", "Done", "Ads", "2024-11-05T12:00:00-05:00", "U1"),
        (3, "INS Service", "Done", "ads-inc", "2024-11-05T12:00:00-05:00", "U3"),
        (4, "COD Service", "Done", "Plain", "2024-10-31T23:30:00-04:00", "U4"),
        (5, "COD Repair", "Done", "Plain", "2024-11-14T12:00:00-05:00", "U5"),
        (6, "INS Service", "Done", "Plain", "2024-11-15T12:00:00-05:00", "U6"),
        (7, "Warranty", "Done", "plain", "2024-11-15T12:00:00-05:00", "U7"),
        (8, "COD Service", "Done", "Other One", "2024-12-03T12:00:00-05:00", "U8"),
        (9, "COD Service", "Done", "", "2024-12-03T12:00:00-05:00", "U9"),
        (10, "INS Service", "Done", "Ads", "2024-12-03T12:00:00-05:00", "U10"),
        (11, "COD Service", "Done", "Ads", "2024-11-05T13:00:00-05:00", "U11"),
        (12, "COD Service", "Done", "Ads", "2024-11-20T14:00:00-05:00", "U12"),
        (13, "INS Service", "Done", "Ads", "2024-11-20T14:00:00-05:00", "U13"),
        (14, "Warranty", "Done", "Ads", "2024-11-07T14:00:00-05:00", "U14"),
        (15, "COD Service", "Done", "other  one", "2024-12-02T12:00:00-05:00", "U15"),
        (16, "COD Service", "Done", "Listed", "2024-11-04T12:00:00-05:00", "U16"),
    ]
    project.put("Import-1.csv", csv_text(header, *jobs))
    project.put(
        "Import-2.csv", csv_text(("Job #", "Job Type", "Created"), (2, "COD Service", "2024-11-03T12:00:00-05:00"))
    )
    project.put(
        "payments_1.csv",
        payments(
            (1, "2024-11-06T15:00:00Z", "60.00", "cash", "", "p1"),
            (1, "2024-12-06T15:00:00Z", "60.00", "cash", "", "p2"),
            (4, "2024-11-16T15:00:00Z", "500.00", "cash", "Failed", "p3"),
            (5, "2024-11-20T15:00:00Z", "-20.00", "cash", "", "p4"),
            (5, "2024-11-21T15:00:00Z", "80.00", "cash", "", "p5"),
            (99, "2024-11-22T15:00:00Z", "33.33", "cash", "", "p6"),
            (7, "2024-11-23T15:00:00Z", "90.01", "cash", "", "p7"),
            more=("Method", "Status", "Transaction ID"),
        ),
    )
    leads = [
        (1, "2024-11-14 10:00:00 -0500", "20.00", "", ""),
        (2, "2024-11-15 10:00:00 -0500", "20.00", "", ""),
        (3, "2024-11-15 11:00:00 -0500", "40.00", "", ""),
        (4, "2024-10-31 23:30:00 -0400", "21.00", "", ""),
        (5, "2024-11-13 10:00:00 -0500", "0.00", "", ""),
        (6, "2024-11-12 10:00:00 -0500", "15.00", "", ""),
        (7, "2024-11-12 10:00:00 -0500", "15.00", "Void", ""),
    ]
    project.put("leads cost Elocals 1.csv", small_company.leads(*leads, more=("Status", "Caller ID")))
    project.put(
        "leads cost Elocals 2.csv",
        small_company.leads((6, "2024-11-12 10:00:00 -0500", "0.00", "Credited", ""), more=("Status", "Caller ID")),
    )
    project.put(
        "google spend.csv",
        spend(("2024-11", "100.01", "a"), ("2024-11", "-5.00", "b"), ("2024-12", "50.00", "a"), more=("Campaign",)),
    )


def spoiled(name: str, old: str, new: str) -> types.ModuleType:
    """A copy of a module of metrics with one thing changed."""
    original = importlib.import_module(f"rmetrics.metrics.{name}")
    source = Path(str(original.__file__)).read_text(encoding="utf-8")
    assert source.count(old) >= 1, f"{name} no longer holds {old}: plant the error anew"
    copy = types.ModuleType(original.__name__)
    copy.__dict__["__file__"] = original.__file__
    exec(compile(source.replace(old, new), f"{name} (spoiled)", "exec"), copy.__dict__)  # noqa: S102 - our own source
    return copy


def differences(lab: Lab, folder: Path, name: str | None, old: str = "", new: str = "") -> int:
    """Computes everything with the metrics, one of them spoiled; returns on how many figures the engines differ."""
    modules = {
        n: importlib.import_module(f"rmetrics.metrics.{n}")
        for n in (
            "newest",
            "jobs",
            "leads",
            "costs",
            "revenue",
            "calls",
            "targets",
            "tallies",
            "measures",
            "dimensions",
            "rollup",
        )
    }
    if name is not None:
        modules[name] = spoiled(name, old, new)
        for other in modules.values():  # the others see the copy, too
            for key in set(vars(other)) & set(vars(modules[name])):
                original = vars(importlib.import_module(f"rmetrics.metrics.{name}")).get(key)
                if callable(original) and getattr(original, "__module__", "") == f"rmetrics.metrics.{name}":
                    PATCH.setattr(other, key, vars(modules[name])[key])
    scratch = folder / "results"
    scratch.mkdir()
    write_results(scratch, lab, modules)
    typed = typed_inputs(lab.lake, lab.computed.typed)
    found = cross_check(
        typed,
        scratch / "daily.parquet",
        scratch / "monthly.parquet",
        lab.rules,
        temp=folder / "duckdb",
        own=OwnFigureFiles(scratch / "own.parquet", scratch / "members.parquet"),
        journeys=scratch / "journeys.parquet",
    )
    return found.count


def write_results(scratch: Path, lab: Lab, modules: dict[str, types.ModuleType]) -> None:
    """The steps of ``pipeline.compute``, with these modules."""
    rules, newest, jobs = lab.rules, modules["newest"], modules["jobs"]
    feeds: dict[str, pl.LazyFrame] = {}
    for feed_name in ["jobs", *(n for n in rules.feeds if n != "jobs")]:
        feed = rules.feeds[feed_name]
        files = lab.computed.typed[feed_name]
        parts = [newest.TypedExport(lab.lake.scan_typed(f), f.columns, (rank,)) for f, rank in files]
        rows = newest.feed_rows(
            newest.newest_rows(parts, feed), feed, rules.feed_where[feed_name], rules.business.timezone
        )
        if feed.job is not None:
            rows = jobs.linked(rows, feeds["jobs"], feed.job)
        feeds[feed_name] = rows.collect().lazy()
    facts = jobs.job_facts(feeds["jobs"], feeds["payments"], rules).collect().lazy()
    daily = modules["rollup"].daily_metrics(facts, feeds, rules)
    daily.sink_parquet(scratch / "daily.parquet")
    stored = pl.scan_parquet(scratch / "daily.parquet", glob=False)
    monthly = modules["rollup"].monthly_metrics(stored, rules).collect().lazy()
    monthly.sink_parquet(scratch / "monthly.parquet")
    others = {n: f for n, f in feeds.items() if n != "jobs"}
    sums = modules["measures"].measure_sums(facts, others, facts, rules)
    add = modules["tallies"].added
    journeys = lab.computed.rows.scan("journeys").collect()
    journeys.write_parquet(scratch / "journeys.parquet")
    touches = modules["measures"].journey_sums(journeys.lazy(), rules)
    own, members = (
        add("measures", [sums.daily, touches]).collect().lazy(),
        add("members", [sums.members]).collect().lazy(),
    )
    made = modules["dimensions"]
    made.measure_daily(own, rules).sink_parquet(scratch / "own.parquet")
    made.dimension_monthly(members, monthly, own, rules).sink_parquet(scratch / "members.parquet")


PATCH = pytest.MonkeyPatch()


@pytest.fixture(autouse=True)
def _unpatched() -> Iterator[None]:
    yield
    PATCH.undo()


def test_without_an_error_the_engines_agree(lab: Lab, tmp_path: Path) -> None:
    assert differences(lab, tmp_path, None) == 0


def planted() -> Iterator[object]:
    """Yields the mutations: the first of each module is ordinary, the second deep, the others are for the long run."""
    seen: dict[str, int] = {}
    for name, old, new in MUTATIONS:
        seen[name] = seen.get(name, 0) + 1
        marks = {1: [], 2: [pytest.mark.deep]}.get(seen[name], [pytest.mark.slow])
        yield pytest.param(name, old, new, id=f"{name}:{old[:40]}", marks=marks)


@pytest.mark.parametrize(("name", "old", "new"), list(planted()))
def test_a_planted_error_is_found(lab: Lab, tmp_path: Path, name: str, old: str, new: str) -> None:
    assert differences(lab, tmp_path, name, old, new) > 0
