"""Rows by the values they hold, for a handful of values or a million."""

from collections.abc import Sequence

import polars as pl

MANY = 50_000
"""From this many values on, a join is faster (measured) than ``is_in``, which does not use several cores."""
_RANGES = 16


def holding(rows: pl.LazyFrame, columns: Sequence[str], values: pl.Series) -> pl.LazyFrame:
    """Returns the rows that hold any of the values in any of the columns, each row once, in no particular order.

    Args:
        rows: any rows; for many values, preferably only the columns needed.
        columns: of the type of the values.
        values: in any order; repetitions do no harm. A null never matches.
    """
    if len(values) < MANY:
        return rows.filter(pl.any_horizontal(pl.col(c).is_in(values.implode()) for c in columns))
    found, rest = list[pl.LazyFrame](), rows
    for column in columns:
        wanted = values.alias(column).to_frame().lazy()
        found.append(rest.join(wanted, on=column, how="semi"))
        rest = rest.join(wanted, on=column, how="anti")
    return pl.concat(found)


def near(column: str, values: pl.Series) -> pl.Expr:
    """Tests whether an integer column is within one of a few ranges that contain all the values.

    The ranges leave out the widest gaps between the values, so readers can skip row groups by their statistics.

    Args:
        column: of integers, sorted or nearly so in its file.
        values: integers, in any order; repetitions do no harm.
    """
    placed = values.drop_nulls().unique().sort()
    if placed.is_empty():
        return pl.lit(value=False)
    gaps = placed.diff().arg_sort(descending=True, nulls_last=True).head(min(_RANGES, len(placed)) - 1).sort().to_list()
    starts, ends = [0, *gaps], [*gaps, len(placed)]
    return pl.any_horizontal(
        pl.col(column).is_between(placed[first], placed[end - 1]) for first, end in zip(starts, ends, strict=True)
    )


__all__ = ["MANY", "holding", "near"]
