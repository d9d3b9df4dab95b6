"""Keys that link rows of different exports to one customer: phone numbers, each with its extension.

Typing has normalised the cells (``ingest.phones``): ten digits, or ``+`` and digits, then ``x`` and the extension;
several numbers are joined by a semicolon. Each number is a key; any other text is not.
"""

import polars as pl

from rmetrics.metrics.lookup import holding

KEY = "phone_key"
_NUMBER = r"^(?:[2-9][0-9]{9}|\+[0-9]{7,15})(?:x[0-9]{1,20})?$"


def keyed(rows: pl.LazyFrame, column: str, name: str = KEY) -> pl.LazyFrame:
    """Returns the rows once for each number in a column.

    Args:
        rows: any rows.
        column: typed as ``phone``.
        name: of the new column.

    Returns:
        The columns of the rows and the key; a cell with two numbers makes two rows, one without a number makes none.
    """
    cell = pl.col(column)
    # Few cells hold several numbers: only those are split, which is costly.
    plain = rows.filter(cell.str.contains(_NUMBER)).with_columns(cell.alias(name))
    several = (
        rows.filter(cell.str.contains(";", literal=True))
        .with_columns(cell.str.split(";").list.unique(maintain_order=True).alias(name))
        .explode(name)
        .filter(pl.col(name).str.contains(_NUMBER))
    )
    return pl.concat([plain, several])


def rows_with_phones(rows: pl.LazyFrame, column: str, keys: pl.Series) -> pl.LazyFrame:
    """Returns the rows whose cell holds any of the numbers, each row once.

    Whole cells are compared first; only the few cells with several numbers are split.

    Args:
        rows: any rows.
        column: typed as ``phone``.
        keys: numbers in the form of ``keyed``.
    """
    cell, listed = pl.col(column), keys.implode()
    several = cell.str.split(";").list.eval(pl.element().is_in(listed)).list.any()
    return pl.concat([
        holding(rows, [column], keys),
        rows.filter(cell.str.contains(";", literal=True)).filter(several),
    ])  # fmt: skip


def first_key(column: str) -> pl.Expr:
    """First number of a cell; null if it holds none."""
    return pl.col(column).str.extract(r"(?:^|;)((?:[2-9][0-9]{9}|\+[0-9]{7,15})(?:x[0-9]{1,20})?)(?:;|$)", 1)


__all__ = ["KEY", "first_key", "keyed", "rows_with_phones"]
