"""Leads, revenue and all measures together, worked out by hand."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rmetrics.metrics.rollup import monthly_metrics
from rmetrics.metrics.tallies import days, last_day, revenue
from rmetrics.rules import Rules, load_rules
from support import ROOT

Load = Callable[[str], Rules]
Schema = dict[str, Any]
SUMS = ["date", "source", "segment", "gross_cents", "revenue40_micros"]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The shipped rules with more TOML."""

    def loaded(extra: str) -> Rules:
        for path in (ROOT / "rules").glob("*.toml"):
            (tmp_path / path.name).write_text(path.read_text())
        business = tmp_path / "business.toml"
        before = business.read_text()
        assert "[[calls.sources]]" in before
        business.write_text(before.replace("[[calls.sources]]", f"{extra}\n[[calls.sources]]", 1))
        return load_rules(tmp_path)

    return loaded


def payments(*rows: tuple[str | None, str, dt.date | None]) -> pl.LazyFrame:
    schema: Schema = {"job_id": pl.String, "amount": pl.Decimal(18, 2), "paid_date": pl.Date, "counted": pl.Boolean}
    return pl.LazyFrame([(j, Decimal(a), d, True) for j, a, d in rows], schema=schema, orient="row")


def facts(*rows: tuple[str, dt.date | None]) -> pl.LazyFrame:
    schema = {"job_id": pl.String, "source": pl.String, "segment": pl.String, "metric_date": pl.Date}
    return pl.LazyFrame([(j, "Google", "COD", d) for j, d in rows], schema=schema, orient="row")


def day(number: int, month: int = 11) -> dt.date:
    return dt.date(2024, month, number)


def test_revenue_counts_with_its_job_and_an_orphan_on_its_own_day(load: Load) -> None:
    paid = payments(("1", "10.01", day(9, 12)), (None, "5", day(7)), ("2", "3", day(8)))
    rows = revenue(paid, facts(("1", day(2)), ("2", None)), load("")).select(SUMS).sort("date").collect()
    assert rows.rows() == [
        (day(2), "Google", "COD", 1001, 4_004_000),
        (day(7), "Unattributed", "OTHER", 500, 2_000_000),
        (day(8), "Google", "COD", 300, 1_200_000),  # its job has no day
    ]


def test_a_share_that_changes_in_mid_month_splits_the_month(load: Load) -> None:
    rules = load("[[revenue.changes]]\nfrom = 2024-11-15\nshare = 0.4250\n")
    paid = payments(("1", "100", day(1, 12)), ("2", "100", day(1, 12)))
    rows = revenue(paid, facts(("1", day(14)), ("2", day(15))), rules).sort("date").collect()
    assert rows["revenue40_micros"].to_list() == [40_000_000, 42_500_000]


def test_revenue_by_payment_day(load: Load, tmp_path: Path) -> None:
    load("")
    business = tmp_path / "business.toml"
    business.write_text(business.read_text().replace('date  = "job" ', 'date  = "payment" '))
    rules = load_rules(tmp_path)
    rows = revenue(payments(("1", "10", day(9, 12))), facts(("1", day(2))), rules).collect()
    assert rows["date"].to_list() == [day(9, 12)]


def test_the_datas_last_day_leaves_out_spend_targets_and_rows_that_do_not_count(load: Load) -> None:
    rules = load("")

    def dated(column: str, *rows: tuple[dt.date, bool]) -> pl.LazyFrame:
        lines = pl.lit(1, dtype=pl.Int64).alias("_parts")
        return pl.LazyFrame(rows, schema={column: pl.Date, "counted": pl.Boolean}, orient="row").with_columns(lines)

    feeds = {
        "payments": dated("paid_date", (day(20), True), (day(28), False)),
        "google_spend": dated("month", (day(1, 12), True)),
        "targets": dated("month", (day(1, 12), True)),
    }
    assert last_day(days(feeds, rules), rules).collect().item() == day(20)
    assert last_day(days({}, rules), rules).collect().item() is None


def test_a_month_is_the_sum_of_its_days(load: Load) -> None:
    rules = load("")
    measures = ("jobs", "leads", "units", "repairs")
    rows = [
        (day(1), "Google", "COD", 1, 1, 1, 0, Decimal("10.01"), Decimal("4.004000"), Decimal("3.33")),
        (day(30), "Google", "COD", 2, 2, 0, 1, Decimal("-10.01"), Decimal("-4.004000"), Decimal("3.34")),
        (day(1, 12), "Google", "COD", 0, 0, 0, 0, Decimal("0.01"), Decimal("0.004000"), Decimal(0)),
    ]
    schema: Schema = {
        "date": pl.Date, "source": pl.String, "segment": pl.String, **dict.fromkeys(measures, pl.Int64),
        "revenue_gross": pl.Decimal(18, 2), "revenue40": pl.Decimal(18, 6), "cost": pl.Decimal(18, 2),
    }  # fmt: skip
    months = monthly_metrics(pl.LazyFrame(rows, schema=schema, orient="row"), rules).collect()
    noon = [dt.datetime(2024, m, 1, h, tzinfo=dt.UTC) for m, h in ((11, 16), (12, 17))]
    assert months.drop("time").rows() == [
        (day(1), "Google", "COD", 3, 3, 1, 1, Decimal("0.00"), Decimal("0.000000"), Decimal("6.67")),
        (day(1, 12), "Google", "COD", 0, 0, 0, 0, Decimal("0.01"), Decimal("0.004000"), Decimal("0.00")),
    ]
    assert [t.astimezone(dt.UTC) for t in months["time"].to_list()] == noon
