"""The position of a row: its export and line, as columns and as one number."""

import polars as pl

FILE, LINE, PARTS, COUNTED, POSITION = "_file", "_line", "_parts", "counted", "_position"


LINES = 2**40  # exceeds the number of lines of any export


def position() -> pl.Expr:
    """One number per row of a feed, from ``_file`` and ``_line``: larger is newer."""
    return (pl.col(FILE).cast(pl.Int64) * LINES + pl.col(LINE)).alias(POSITION)
