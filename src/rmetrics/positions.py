"""Where a row stands: its export and its line, as columns and as one number."""

import polars as pl

FILE, LINE, PARTS, COUNTED, POSITION = "_file", "_line", "_parts", "counted", "_position"


LINES = 2**40  # more than an export has lines


def position() -> pl.Expr:
    """One number per row of a feed, from ``_file`` and ``_line``: the larger, the newer."""
    return (pl.col(FILE).cast(pl.Int64) * LINES + pl.col(LINE)).alias(POSITION)
