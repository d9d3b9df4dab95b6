"""Exact money."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmetrics.money import cents, dollars, from_micros, largest_remainder, share_units


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),  # 33.33 each; the odd cent goes to the first
        (-100, [1, 1, 1], [-34, -33, -33]),  # split as its absolute value
        (1000, [2, 1], [667, 333]),  # 666.67 and 333.33: the larger remainder takes the cent
        (1, [1, 2], [0, 1]),
        (5, [0, 3], [0, 5]),
        (0, [1, 2], [0, 0]),
    ],
)
def test_a_split_by_largest_remainder(total: int, weights: list[int], parts: list[int]) -> None:
    assert largest_remainder(total, weights) == parts


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any))
def test_every_split_adds_up_and_no_part_is_off_by_a_cent(total: int, weights: list[int]) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


@given(st.integers(-(10**15), 10**15))
def test_cents_to_dollars_and_back_is_exact(value: int) -> None:
    frame = pl.DataFrame({"c": [value]}).with_columns(dollars(pl.col("c")).alias("d"))
    assert frame["d"][0] == Decimal(value) / 100
    assert frame.select(cents(pl.col("d"))).item() == value


def test_millionths_keep_six_decimals() -> None:
    frame = pl.DataFrame({"m": [1, 40_004_000, -7]})
    assert frame.select(from_micros(pl.col("m"))).to_series().to_list() == [
        Decimal("0.000001"),
        Decimal("40.004000"),
        Decimal("-0.000007"),
    ]


def test_a_share_is_whole_ten_thousandths() -> None:
    assert share_units(Decimal("0.4125")) == 4125
