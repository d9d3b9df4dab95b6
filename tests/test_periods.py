"""Business days and months."""

import datetime as dt

import polars as pl
import pytest

from rmetrics.periods import days_of, local_date, local_noon, month_of, next_month, parse_month


def test_months() -> None:
    assert month_of(dt.date(2024, 2, 29)) == dt.date(2024, 2, 1)
    assert next_month(dt.date(2024, 12, 1)) == dt.date(2025, 1, 1)
    assert [days_of(dt.date(y, 2, 1)) for y in (2023, 2024)] == [28, 29]


@pytest.mark.parametrize("text", ["2024", "2024-00", "2024-13", "24-11", "2024-11-01", "November", ""])
def test_what_is_no_month(text: str) -> None:
    assert parse_month(text) is None


def test_a_stamp_after_eight_in_the_evening_is_still_today() -> None:
    stamps = pl.DataFrame(
        {"t": [dt.datetime(2024, 12, 1, 4, 59, tzinfo=dt.UTC), dt.datetime(2024, 12, 1, 5, tzinfo=dt.UTC)]}
    )
    days = stamps.select(local_date(pl.col("t"), "America/New_York")).to_series().to_list()
    assert days == [dt.date(2024, 11, 30), dt.date(2024, 12, 1)]


def test_noon_stays_on_its_day_through_both_clock_changes() -> None:
    days = pl.DataFrame({"d": [dt.date(2024, 3, 10), dt.date(2024, 7, 1), dt.date(2024, 11, 3), dt.date(2024, 12, 1)]})
    noons = days.select(local_noon(pl.col("d"), "America/New_York")).to_series().to_list()
    assert [n.hour for n in noons] == [16, 16, 17, 17]
    assert [n.date() for n in noons] == days["d"].to_list()
