"""Decides whether to suggest a header for a missing column: its cells must match the column, not only its name.

A wrong suggestion does harm if followed: with a key read from a column that repeats, rows replace each other.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from rmetrics.ingest.cells import clean
from rmetrics.ingest.parse import parse_column
from rmetrics.ingest.recognise import likely_header
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.rules.feeds import Column, Feed

Sample = Mapping[str, Sequence[str]]  # the first cells under each header
_MIN_KEY_ROWS = 2  # rows; a single one never repeats
_READ = 0.9  # share of the filled cells that must be readable; the rest may be total lines
_READING = ParseContext("UTC", dt.date(2100, 1, 1))


def likely_column(name: str, feed: Feed, free: Sequence[str], sample: Sample | None, *, sure: bool = False) -> str:
    """The header that a column was most likely renamed to, if the cells under it match the column; otherwise "".

    Args:
        name: the column; a name that combines several (``one_of``) is unknown and gives "".
        feed: its feed.
        free: headers that no column is read from.
        sample: the first cells under each header; None if unknown: then no key is suggested.
        sure: only accept headers that differ by little more than a typo.
    """
    column = feed.mapped.get(name)
    if column is None:
        return ""
    if sample is None:
        return "" if feed.key == (name,) else likely_header(column.from_, free, sure=sure)
    # Names first: parsing the cells costs far more than comparing two names.
    similar = [h for h in free if likely_header(column.from_, [h], sure=sure)]
    fitting = [h for h in similar if can_be(name, column, feed, sample.get(h, ()))]
    return likely_header(column.from_, fitting, sure=sure)


def can_be(name: str, column: Column, feed: Feed, cells: Sequence[str]) -> bool:
    """Whether cells can belong to a column: they parse as its type and, for a single-column key, never repeat."""
    values = clean(pl.Series(cells, dtype=pl.String)).drop_nulls()
    if feed.key == (name,):
        numbered = values.str.contains("[0-9]").all()
        return len(values) >= _MIN_KEY_ROWS and values.n_unique() == len(values) and bool(numbered)
    if not len(values):
        return not column.required
    read = parse_column(values, column, _READING)
    return read.null_count() <= (1 - _READ) * len(values)


__all__ = ["Sample", "can_be", "likely_column"]
