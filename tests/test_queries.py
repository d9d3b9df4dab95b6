"""docs/queries.sql: every query runs as the reader role, gives checked results, and reads no more than it needs."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import make_schema_docs as maker
import polars as pl
import pytest

from expander import expanded
from published import Published, query, rows_read, run
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.usecases.schema import schema_apply
from support import Project

QUERIES = {name: sql for name, (_, sql) in maker.queries().items()}
NEW_YORK = ZoneInfo("America/New_York")
DECEMBER = dt.datetime(2024, 12, 1, tzinfo=NEW_YORK), dt.datetime(2025, 1, 1, tzinfo=NEW_YORK) - dt.timedelta(seconds=1)
VARIABLES = {"source": ["eLocals", "Google", "O'Brien"], "segment": ["COD", "INS", "OTHER"]}


def sql_of(name: str) -> str:
    """The query as it reaches PostgreSQL."""
    return expanded(QUERIES[name], *DECEMBER, VARIABLES)


def answer(where: Published, name: str) -> list[dict[str, Any]]:
    """The rows of a query as the reader gets them."""
    columns, rows = query(where.reader, sql_of(name))
    return [dict(zip([c for c, _ in columns], row, strict=True)) for row in rows]


def metrics(sample: Published, name: str) -> pl.DataFrame:
    """A computed table from the lake: another source than the database that is asked."""
    assert sample.project is not None
    return load(Lake(sample.project.settings.lake_dir)).scan(name).collect()


@pytest.mark.parametrize("name", QUERIES)
def test_it_runs_as_the_reader_with_rows_and_without(sample: Published, nothing: Published, name: str) -> None:
    """On the sample it answers; on an empty schema it is quiet or counts nothing, and never fails."""
    assert answer(sample, name)
    assert len(answer(nothing, name)) <= 1


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_no_query_looks_for_jobs_by_source(sample: Published) -> None:
    """Why there is no index jobs (source, metric_date): the plans find jobs by their number, or read no jobs at all."""
    read = 0
    for name in QUERIES:
        _, rows = query(sample.reader, f"EXPLAIN (FORMAT JSON) {sql_of(name)}")
        plan = rows[0][0]
        for node in nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]):
            if node.get("Relation Name") == "jobs":
                read += 1
                told = " ".join(str(node.get(k, "")) for k in ("Index Cond", "Filter", "Recheck Cond"))
                assert "source" not in told, (name, told)
    assert read, "the call funnel reads jobs"


@pytest.mark.deep
def test_an_index_of_your_own_stays(published: Project) -> None:
    """The documents say that whoever wants that index may make it: neither the schema nor a publish drops it."""
    run(published.dsn, "CREATE INDEX my_jobs ON jobs (source, metric_date)")
    schema_apply(published.settings)
    published.sync(full=True)
    assert query(published.dsn, "SELECT count(*)::int FROM pg_indexes WHERE indexname = 'my_jobs'")[1] == [(1,)]


def test_there_are_the_two_of_the_brief_and_eight_more() -> None:
    """Each has a comment that says what it answers."""
    assert {"month-to-month", "repairs-against-target"} <= set(QUERIES)
    assert len(QUERIES) >= 12
    assert all(comment for comment, _ in maker.queries().values())


def test_month_to_month(sample: Published) -> None:
    """Twelve months, equal to the computed metrics for each source, ratios from sums."""
    rows = answer(sample, "month-to-month")
    expected = (
        metrics(sample, "monthly_metrics")
        .filter(pl.col("month") >= dt.date(2024, 1, 1))
        .group_by("month", "source")
        .agg(pl.col("leads", "units", "repairs", "revenue40", "cost").sum())
    )
    want = {(r["month"], r["source"]): r for r in expected.iter_rows(named=True)}
    assert {(r["month"], r["source"]) for r in rows} == set(want)
    for row in rows:
        there = want[row["month"], row["source"]]
        assert {k: Decimal(row[k]) for k in ("leads", "units", "repairs", "revenue40", "cost")} == {
            k: Decimal(there[k]) for k in ("leads", "units", "repairs", "revenue40", "cost")
        }
        assert Decimal(row["profit"]) == there["revenue40"] - there["cost"]
        assert (row["cpl"] is None) == (there["leads"] == 0)
        if there["leads"]:
            assert Decimal(row["cpl"]) == round(there["cost"] / there["leads"] + Decimal("1e-12"), 2)


def test_repairs_against_target(sample: Published) -> None:
    """31 days of December: the line ends at the month's repairs, the pace at the target of 43."""
    rows = answer(sample, "repairs-against-target")
    december = metrics(sample, "daily_metrics").filter(pl.col("date") >= dt.date(2024, 12, 1))
    assert [r["date"] for r in rows] == [dt.date(2024, 12, n) for n in range(1, 32)]
    for row in rows:
        assert int(row["repairs_to_date"]) == december.filter(pl.col("date") <= row["date"])["repairs"].sum()
        assert Decimal(row["target_pace"]) == round(Decimal(43) * row["date"].day / 31, 2)
    view = query(
        sample.reader,
        "SELECT repairs_to_date, round(repairs_pace, 2) FROM daily_cumulative "
        "WHERE month = '2024-12-01' AND source = 'ALL' ORDER BY date",
    )[1]
    assert [(int(r["repairs_to_date"]), r["target_pace"]) for r in rows] == view


def test_the_line_of_repairs_ends_with_the_data(years: Published) -> None:
    """The data ends on the 20th: no repairs are claimed after it, and the pace goes on."""
    rows = answer(years, "repairs-against-target")
    assert [r["repairs_to_date"] is None for r in rows] == [n > 20 for n in range(1, 32)]
    assert rows[-1]["target_pace"] == "900.00"
    assert int(rows[19]["repairs_to_date"]) == 20 * 27


def test_cpl_against_ceiling(sample: Published) -> None:
    """December 2024 as the exports have it: eLocals costs too much."""
    assert [(r["source"], r["leads"], r["cost"], r["cpl"], r["ceiling"], r["over_ceiling"]) for r in answer(sample, "cpl-against-ceiling")] == [
        ("Google", 10, "1377.00", "137.70", "150.00", False),
        ("eLocals", 63, "2426.50", "38.52", "32.00", True),
        ("Pro Referral", 33, "660.00", "20.00", "20.00", False),
    ]  # fmt: skip


def test_conversion_by_source(sample: Published) -> None:
    """Three months of sums divided; no leads, no conversion."""
    rows = answer(sample, "conversion-by-source")
    last = metrics(sample, "monthly_metrics").filter(pl.col("month") >= dt.date(2024, 10, 1))
    want = {
        r["source"]: r
        for r in last.group_by("source").agg(pl.col("leads", "units", "repairs").sum()).iter_rows(named=True)
    }
    assert {r["source"] for r in rows} == set(want)
    for row in rows:
        there = want[row["source"]]
        assert [int(row[k]) for k in ("leads", "units", "repairs")] == [there[k] for k in ("leads", "units", "repairs")]
        for name, top, bottom in (
            ("conv_l2u", "units", "leads"),
            ("conv_u2r", "repairs", "units"),
            ("conv_l2r", "repairs", "leads"),
        ):
            ratio = None if not there[bottom] else round(Decimal(there[top]) / there[bottom] + Decimal("1e-12"), 4)
            assert (row[name] is None) == (ratio is None)
            assert ratio is None or Decimal(row[name]) == ratio


def test_profit_by_source(sample: Published) -> None:
    """The year's revenue40 less cost, best first, adding up to the year."""
    rows = answer(sample, "profit-by-source")
    year = metrics(sample, "monthly_metrics").filter(pl.col("month") >= dt.date(2024, 1, 1))
    profits = [Decimal(r["profit"]) for r in rows]
    assert profits == sorted(profits, reverse=True)
    assert sum(profits) == Decimal(str(year["revenue40"].sum())) - Decimal(str(year["cost"].sum()))
    assert {r["source"] for r in rows if r["earned_per_dollar"] is None} >= {"Rely", "NSA", "Liberty", "Retention"}


def test_month_to_date_compares_the_same_days(years: Published) -> None:
    """20 days of December against the first 20 of November, not all 30."""
    rows = answer(years, "month-to-date")
    assert {(int(r["leads"]), int(r["leads_last_month"])) for r in rows} == {(20 * 12, 20 * 12)}
    assert {(Decimal(r["revenue40"]), Decimal(r["revenue40_last_month"])) for r in rows} == {
        (Decimal(6000), Decimal(6000))
    }


def test_targets_attained(sample: Published) -> None:
    """ALL first, then the sources furthest from their target."""
    rows = answer(sample, "targets-attained")
    assert [(r["source"], r["repairs"], r["target_repairs"], r["repairs_attained"]) for r in rows] == [
        ("ALL", 49, "43.00", "1.140"),
        ("Pro Referral", 6, "7.00", "0.857"),
        ("Rely", 9, "10.00", "0.900"),
        ("eLocals", 14, "15.00", "0.933"),
        ("Google", 4, "4.00", "1.000"),
    ]


def test_projection(years: Published) -> None:
    """20 of 31 days gave 540 repairs: the month is estimated to end at 837, as the publish wrote it."""
    repairs, revenue = answer(years, "projection")
    assert (int(repairs["reached"]), Decimal(repairs["estimate"])) == (540, Decimal(837))
    assert [Decimal(repairs[n]) for n in ("low", "high")] == [Decimal(800), Decimal(874)]
    assert (revenue["measure"], Decimal(revenue["estimate"])) == ("revenue40", Decimal(83700))


def test_weeks(years: Published) -> None:
    """13 weeks from Monday on; the one in which the data end is not whole."""
    rows = answer(years, "weeks")
    assert len(rows) == 13
    assert all(str(r["week"]) and r["week"].weekday() == 0 for r in rows)
    assert [r["whole"] for r in rows] == [True] * 12 + [False]


def test_stalest_data_is_on_top(sample: Published) -> None:
    """One row per feed, oldest first."""
    ages = [r["age_days"] for r in answer(sample, "stalest-data")]
    assert len(ages) == 7
    assert ages == sorted(ages, reverse=True)


def test_call_funnel(sample: Published) -> None:
    """Each step is part of the one before, and the steps equal the raw calls."""
    rows = answer(sample, "call-funnel")
    for row in rows:
        assert int(row["answered"]) + int(row["missed"]) == int(row["inbound"])
        assert int(row["jobs"]) <= int(row["with_job"])
        assert int(row["repairs"]) <= int(row["jobs"])
    total = query(sample.owner, "SELECT count(*) FILTER (WHERE direction = 'inbound') FROM calls")[1]
    assert sum(int(r["inbound"]) for r in rows) == total[0][0]


def test_changed_since_yesterday(sample: Published) -> None:
    """The exports that came with the second run changed figures, and each row says so."""
    rows = answer(sample, "changed-since-yesterday")
    kept = query(sample.owner, "SELECT count(*) FROM metric_changes")[1][0][0]
    assert len(rows) == kept > 0
    assert all(r["old_value"] != r["new_value"] for r in rows)
    assert all("export" in r["cause"] for r in rows)


def test_segment_mix_adds_up_to_one(sample: Published) -> None:
    """The parts of each month's revenue are parts of a whole."""
    parts: dict[dt.date, Decimal] = {}
    for row in answer(sample, "segment-mix"):
        parts[row["month"]] = parts.get(row["month"], Decimal(0)) + Decimal(row["part_of_revenue"])
    assert len(parts) == 12
    assert all(abs(total - 1) <= Decimal("0.0002") for total in parts.values())


def test_the_grafana_forms_keep_to_the_range(sample: Published) -> None:
    """December alone: one month, and 31 days at local noon."""
    assert {r["month"] for r in answer(sample, "month-to-month-in-grafana")} == {"2024-12"}
    days = [r["time"].astimezone(NEW_YORK) for r in answer(sample, "repairs-against-target-in-grafana")]
    assert [(d.day, d.hour) for d in days] == [(n, 12) for n in range(1, 32)]


# Of 49,032 days and 1,620 months: two months of days are 1,650 rows; the monthly view adds up all months, once.
NEEDED = {"daily_metrics": 1_800, "monthly_metrics": 1_700, "targets": 650}
VIEWED = {"repairs-against-target-in-grafana", "weeks"}  # their views run over all days


@pytest.mark.parametrize("name", [n for n in QUERIES if n not in VIEWED])
def test_it_reads_no_more_than_it_needs_of_five_years(years: Published, name: str) -> None:
    """An index leads to the months asked for: the days of other months are not read."""
    for table, read in rows_read(years.reader, sql_of(name)).items():
        assert read <= NEEDED.get(table, 100), f"{name} reads {read} rows of {table}"


def test_the_reader_sees_nothing_raw(sample: Published) -> None:
    """Raw tables and what a run recorded in detail are closed; so is writing."""
    for closed in (
        "jobs",
        "payments",
        "calls",
        "elocals_leads",
        "proref_leads",
        "google_spend",
        "business",
        "published_parts",
    ):
        with pytest.raises(Exception, match="permission denied"):
            query(sample.reader, f"SELECT * FROM {closed}")
    with pytest.raises(Exception, match="permission denied"):
        query(sample.reader, "SELECT detail FROM sync_runs")
    with pytest.raises(Exception, match=r"permission denied|read-only"):
        run(sample.reader, "SET default_transaction_read_only = off", "DELETE FROM targets")
    with pytest.raises(Exception, match="permission denied"):
        run(sample.reader, "SET default_transaction_read_only = off", "CREATE TEMPORARY TABLE t (a int)")
