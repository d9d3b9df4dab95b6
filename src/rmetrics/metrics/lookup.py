"""Rows by the values that they hold, whether a handful of values is asked for or a million."""

from collections.abc import Sequence

import polars as pl

MANY = 50_000
"""From so many values on a join is quicker than a search in a list (measured), which does not use several cores."""


def holding(rows: pl.LazyFrame, columns: Sequence[str], values: pl.Series) -> pl.LazyFrame:
    """The rows that hold one of some values in one of some columns, each row once, in no particular order.

    Args:
        rows: any rows; where values are many, better only the columns that are needed.
        columns: of the type of the values.
        values: each at most once. A null is never found.
    """
    if len(values) < MANY:
        return rows.filter(pl.any_horizontal(pl.col(c).is_in(values.implode()) for c in columns))
    found, rest = list[pl.LazyFrame](), rows
    for column in columns:
        wanted = values.alias(column).to_frame().lazy()
        found.append(rest.join(wanted, on=column, how="semi"))
        rest = rest.join(wanted, on=column, how="anti")
    return pl.concat(found)


__all__ = ["MANY", "holding"]
