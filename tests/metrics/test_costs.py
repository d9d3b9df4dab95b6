"""Costs, worked out by hand."""

import datetime as dt

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rmetrics.metrics.costs import fee_months, idle_months, split_by_leads, spread_days

ORDER = ("COD", "INS", "OTHER")
NOV = dt.date(2024, 11, 1)


def last(day: dt.date | None) -> pl.LazyFrame:
    return pl.LazyFrame({"last_day": [day]}, schema={"last_day": pl.Date})


def months(*amounts: tuple[dt.date, int]) -> pl.LazyFrame:
    return pl.LazyFrame(list(amounts), schema={"month": pl.Date, "cost_cents": pl.Int64}, orient="row")


def leads(*rows: tuple[dt.date, str, int]) -> pl.LazyFrame:
    return pl.LazyFrame(list(rows), schema={"date": pl.Date, "segment": pl.String, "leads": pl.Int64}, orient="row")


def spread(amount: int, month: dt.date = NOV, until: dt.date | None = dt.date(2025, 1, 31)) -> list[int]:
    return spread_days(months((month, amount)), last(until)).sort("date").collect()["cost_cents"].to_list()


def test_a_month_is_split_in_whole_cents_with_one_more_for_the_earliest_days() -> None:
    # 1,000.00 over 30 days: 100000 // 30 = 3333, 100000 % 30 = 10 days get 3334.
    assert spread(100_000) == [3334] * 10 + [3333] * 20


def test_a_credit_is_split_as_its_absolute_value() -> None:
    assert spread(-100_000) == [-3334] * 10 + [-3333] * 20


def test_less_than_a_cent_a_day_goes_to_the_first_days() -> None:
    assert spread(3) == [1, 1, 1] + [0] * 27


def test_a_leap_february_has_29_days() -> None:
    assert spread(2900, dt.date(2024, 2, 1)) == [100] * 29


def test_the_running_month_has_only_the_days_up_to_the_datas_last() -> None:
    assert spread(1000, NOV, dt.date(2024, 11, 3)) == [334, 333, 333]


def test_without_any_data_a_month_has_all_its_days() -> None:
    assert len(spread(1000, NOV, None)) == 30


def test_a_day_is_split_by_its_leads_and_ties_go_by_the_order_of_segments() -> None:
    days = pl.LazyFrame(
        [(NOV, 101), (dt.date(2024, 11, 2), 100)], schema={"date": pl.Date, "cost_cents": pl.Int64}, orient="row"
    )
    split = split_by_leads(days, leads((NOV, "INS", 1), (NOV, "COD", 1), (NOV, "OTHER", 2)), "INS", ORDER)
    assert split.sort("date", "segment").collect().rows() == [
        (NOV, "COD", 25),  # 25.25
        (NOV, "INS", 25),  # 25.25
        (NOV, "OTHER", 51),  # 50.50: the largest remainder takes the cent
        (dt.date(2024, 11, 2), "INS", 100),  # nobody called: the source's segment
    ]
    tied = split_by_leads(days.head(1), leads((NOV, "INS", 1), (NOV, "COD", 1)), "COD", ORDER)
    assert tied.sort("segment").collect().rows() == [(NOV, "COD", 51), (NOV, "INS", 50)]


def test_a_fee_is_due_from_the_first_lead_or_job_to_the_datas_last_month() -> None:
    first = leads((dt.date(2024, 11, 20), "COD", 1)).select("date")
    end = last(dt.date(2025, 1, 5))
    due = fee_months(first, first.clear(), end, idle_months(first, end), 50_000).collect()
    assert due.rows() == [(NOV, 50_000), (dt.date(2024, 12, 1), 50_000), (dt.date(2025, 1, 1), 50_000)]
    nothing = first.clear()
    assert fee_months(nothing, nothing, end, idle_months(nothing, end), 50_000).collect().height == 0


def test_a_year_without_a_lead_or_job_is_idle() -> None:
    days = [dt.date(2004, 10, 5), dt.date(2024, 1, 31), dt.date(2025, 1, 1), dt.date(2026, 2, 1)]
    active = pl.LazyFrame({"date": days})
    idle = idle_months(active, last(dt.date(2026, 3, 1))).collect()["month"].sort().to_list()
    assert idle[0] == dt.date(2004, 11, 1)
    assert idle[-13:] == [dt.date(2023, 12, 1), *(dt.date(2025, m, 1) for m in range(2, 13)), dt.date(2026, 1, 1)]
    assert len(idle) == 2 + 12 * 19 + 12  # 2004-11 and -12, 2005 to 2023, 2025-02 to 2026-01
    assert idle_months(active.clear(), last(None)).collect().height == 0


@given(
    st.integers(-(10**7), 10**7),
    st.dates(dt.date(2024, 1, 1), dt.date(2024, 12, 31)),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(ORDER), st.integers(1, 9)), max_size=12),
)
def test_whatever_is_split_adds_up(amount: int, until: dt.date, called: list[tuple[int, str, int]]) -> None:
    month = until.replace(day=1)
    days = spread_days(months((month, amount)), last(until))
    split = split_by_leads(
        days, leads(*((month + dt.timedelta(d), s, n) for d, s, n in called)), "COD", ORDER
    ).collect()
    assert split["cost_cents"].sum() == amount
    assert split["date"].max() <= until  # type: ignore[operator]
