"""Months of a table: what belongs to them, in Polars and in SQL, and when they are hashed."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from jobs_and_payments import JOBS, PAYMENTS, content, jobs, payments
from rmetrics.contents import Content, Part, month_in_sql, month_of, within
from rmetrics.digests import part_digests
from rmetrics.periods import NO_PART
from rmetrics.tables import PgColumn, PgTable
from support import rows

JAN, FEB, MAR, MAY = (dt.date(2024, m, 1) for m in (1, 2, 3, 5))
DAYS = ("0001-01-01", "0001-01-31", "0001-02-01", "2023-12-31", "2024-01-01", "2024-01-31", "2024-02-29", "9999-12-31")


def test_months_that_follow_each_other_are_one_range() -> None:
    assert within(JOBS, "t", [MAR, JAN, FEB, MAY, JAN]) == (
        "(t.\"metric_date\" >= DATE '2024-01-01' AND t.\"metric_date\" < DATE '2024-04-01'"
        " OR t.\"metric_date\" >= DATE '2024-05-01' AND t.\"metric_date\" < DATE '2024-06-01')"
    )
    assert within(JOBS, "t", []) == "false"


def test_a_row_is_in_the_same_month_for_polars_and_for_both_ways_to_ask_postgres(database: str) -> None:
    frame = jobs(*((str(n), day, "0") for n, day in enumerate((*DAYS, None))))
    months = frame.select("job_id", month_of(JOBS).alias("m")).collect().rows()
    held = ", ".join(f"('{n}', DATE '{day}')" for n, day in enumerate(DAYS)) + f", ('{len(DAYS)}', NULL)"
    table = f"(VALUES {held}) AS t (job_id, metric_date)"
    assert sorted(rows(database, f"SELECT job_id, {month_in_sql(JOBS, 't')} FROM {table}")) == sorted(months)
    for month in {m for _, m in months}:
        found = rows(database, f"SELECT job_id FROM {table} WHERE {within(JOBS, 't', [month])}")
        assert sorted(n for (n,) in found) == sorted(n for n, m in months if m == month), month


def test_a_digest_knows_no_order_and_every_value() -> None:
    one = part_digests(content(JOBS, jobs(("1", "2024-01-05", "1"), ("2", "2024-01-06", "2"))), {})[0]
    assert one == part_digests(content(JOBS, jobs(("2", "2024-01-06", "2"), ("1", "2024-01-05", "1"))), {})[0]
    for other in (("2", "2024-01-06", "2.01"), ("3", "2024-01-06", "2"), ("2", "2024-01-07", "2")):
        assert one != part_digests(content(JOBS, jobs(("1", "2024-01-05", "1"), other)), {})[0]


def test_rows_that_come_from_where_they_came_from_are_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    jobs(("1", "2024-01-05", "1")).collect().write_parquet(path)
    stored = Content(JOBS, {JAN: Part(pl.scan_parquet(path), "a")})
    found, remembered = part_digests(stored, {})
    path.unlink()
    assert part_digests(stored, remembered) == (found, remembered)
    for unlike in (
        Content(JOBS, {JAN: Part(pl.scan_parquet(path), "b")}),
        Content(PAYMENTS, {JAN: Part(pl.scan_parquet(path), "a")}),
    ):
        with pytest.raises(FileNotFoundError):
            part_digests(unlike, remembered)


def test_a_row_of_another_month_is_refused() -> None:
    with pytest.raises(ValueError, match="rows of another month are among those of 2024-02-01"):
        part_digests(Content(JOBS, {FEB: Part(jobs(("1", "2024-01-31", "1")), "a")}), {})
    with pytest.raises(ValueError, match="another month"):
        part_digests(Content(PAYMENTS, {NO_PART: Part(payments(("1", "2024-01-31", "1", None)), "a")}), {})


def test_a_month_without_rows_is_no_month() -> None:
    found, remembered = part_digests(Content(JOBS, {JAN: Part(jobs(), "a")}), {})
    assert found == {}
    assert part_digests(Content(JOBS, {JAN: Part(pl.scan_parquet("missing"), "a")}), remembered)[0] == {}


def test_rows_that_are_added_up_are_added_up_within_their_month_or_all_together() -> None:
    columns = (PgColumn("campaign", "text", not_null=True), PgColumn("spend", "numeric(12,2)", not_null=True))
    table = PgTable("spend", ("campaign",), columns, part=None, sums=True)
    spent = pl.LazyFrame({"campaign": ["a", "a", "b"], "spend": [1, 2, None]})
    assert part_digests(Content(table, {NO_PART: Part(spent, "a")}), {})[0][NO_PART].rows == 1
    with pytest.raises(ValueError, match="it must be one part"):
        Content(table, {JAN: Part(spent, "a")})
