"""Exact money: integer cents, and splitting an amount into parts that add up to it.

Typed columns hold ``Decimal(18, 2)`` dollars. Inside the metrics money is whole cents (``*_cents``, Int64) and revenue
after payout is whole millionths (``*_micros``, Int64: cents times a share of at most four decimals). Never a float.
"""

from decimal import Decimal

import polars as pl

DOLLARS = pl.Decimal(18, 2)
MICROS = pl.Decimal(18, 6)
_CENT = Decimal("0.01")
_MICRO = Decimal("0.000001")


def cents(amount: pl.Expr) -> pl.Expr:
    """Whole cents (Int64) of a ``Decimal(_, 2)`` column; null stays null."""
    return (amount * 100).cast(pl.Int64)


def dollars(whole_cents: pl.Expr) -> pl.Expr:
    """``Decimal(18, 2)`` from whole cents."""
    return (whole_cents.cast(pl.Decimal(38, 2)) * pl.lit(_CENT, dtype=pl.Decimal(38, 2))).cast(DOLLARS)


def from_micros(whole_micros: pl.Expr) -> pl.Expr:
    """``Decimal(18, 6)`` from whole millionths."""
    return (whole_micros.cast(pl.Decimal(38, 6)) * pl.lit(_MICRO, dtype=pl.Decimal(38, 6))).cast(MICROS)


def share_units(share: Decimal) -> int:
    """A share of at most four decimals in ten-thousandths: cents times this gives millionths of a dollar.

    >>> share_units(Decimal("0.40"))
    4000
    """
    return int(share * 10_000)


def largest_remainder(total: int, weights: list[int]) -> list[int]:
    """Splits ``total`` cents in proportion to ``weights`` so that the parts add up to it.

    Ties go to the earlier part. A negative total is split like its absolute value. Weights must not be negative, and at
    least one must be positive.

    >>> largest_remainder(100, [1, 1, 1])
    [34, 33, 33]
    >>> largest_remainder(-100, [1, 1, 1])
    [-34, -33, -33]
    """
    sign, amount, weight_sum = (-1 if total < 0 else 1), abs(total), sum(weights)
    parts = [amount * w // weight_sum for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % weight_sum), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return [sign * p for p in parts]
