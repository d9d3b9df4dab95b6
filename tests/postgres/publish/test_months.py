"""Months of a table: what belongs to them, in Polars and in SQL, and when they are hashed."""

import datetime as dt

import polars as pl
import pytest

from jobs_and_payments import JOBS, content, jobs
from rmetrics.periods import NO_PART
from rmetrics.postgres.publish import DesiredTable
from rmetrics.postgres.publish.digests import Digest, digests, month_sums, sums_after
from rmetrics.postgres.publish.months import month_in_sql, month_of, within
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


def digest(table: PgTable, rows: pl.LazyFrame) -> dict[dt.date, Digest]:
    return digests(month_sums(table, rows), table)


def test_a_digest_knows_no_order_and_every_value() -> None:
    one = digest(JOBS, jobs(("1", "2024-01-05", "1"), ("2", "2024-01-06", "2")))
    assert one == digest(JOBS, jobs(("2", "2024-01-06", "2"), ("1", "2024-01-05", "1")))
    for other in (("2", "2024-01-06", "2.01"), ("3", "2024-01-06", "2"), ("2", "2024-01-07", "2")):
        assert one != digest(JOBS, jobs(("1", "2024-01-05", "1"), other))


def test_a_change_of_rows_is_a_change_of_sums() -> None:
    before = [("1", "2024-01-05", "1"), ("2", "2024-02-06", "2"), ("3", None, "3")]
    after = [("1", "2024-01-05", "1"), ("2", "2024-03-06", "2"), ("3", None, "4"), ("4", "2024-01-05", "1")]
    came, went = jobs(*after[1:]), jobs(*before[1:])
    changed = sums_after(month_sums(JOBS, jobs(*before)), month_sums(JOBS, came), month_sums(JOBS, went))
    assert digests(changed, JOBS) == digest(JOBS, jobs(*after))
    assert set(digests(changed, JOBS)) == {JAN, MAR, NO_PART}
    with pytest.raises(ValueError, match="more rows are gone than there were"):
        sums_after(month_sums(JOBS, jobs(*before)), month_sums(JOBS, jobs()), month_sums(JOBS, jobs(*before, *before)))


def test_a_month_without_rows_is_no_month() -> None:
    assert digest(JOBS, jobs()) == {}
    (rows,) = content(JOBS, jobs()).rows([])
    assert rows.collect().columns == list(JOBS.names)


def test_only_what_differs_is_given_where_the_database_is_as_it_was() -> None:
    first, second = jobs(("1", "2024-01-05", "1"), ("2", "2024-01-06", "2")), jobs(("1", "2024-01-05", "9"))
    before = content(JOBS, first)
    made = content(JOBS, second, before)
    (few,), whole = made.differing([JAN], before.digests)
    assert (few.select("job_id").collect().rows(), whole) == ([("1",)], False)
    for published in ({}, {JAN: Digest(2, "another")}):
        assert made.differing([JAN], published)[1]


def test_rows_that_are_added_up_are_added_up_within_their_month_or_all_together() -> None:
    columns = (PgColumn("campaign", "text", not_null=True), PgColumn("spend", "numeric(12,2)", not_null=True))
    table = PgTable("spend", ("campaign",), columns, part=None, sums=True)
    spent = pl.LazyFrame({"campaign": ["a", "a", "b"], "spend": [1, 2, None]})
    assert digest(table, spent)[NO_PART].rows == 1
    with pytest.raises(ValueError, match="it must have none"):
        DesiredTable(table, {JAN: Digest(1, "")}, lambda _: [spent])
