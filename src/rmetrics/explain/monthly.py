"""A measure in each of several months: figures must be equal in every month, not only in total."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import polars as pl

from rmetrics.explain.asked import Query
from rmetrics.periods import next_month

_ZERO = Decimal(0)


class Figures(Protocol):
    """A measure as computed, as the sum of its rows, by the second engine, and as published (None: not published)."""

    @property
    def value(self) -> Decimal: ...  # noqa: D102
    @property
    def listed(self) -> Decimal: ...  # noqa: D102
    @property
    def recomputed(self) -> Decimal: ...  # noqa: D102
    @property
    def published(self) -> Decimal | None: ...  # noqa: D102


def differences_of(of: Figures) -> tuple[Decimal, ...]:
    """Returns the differences between each other figure and the value."""
    others = [of.listed, of.recomputed, *([] if of.published is None else [of.published])]
    return tuple(abs(other - of.value) for other in others)


@dataclass(frozen=True, slots=True)
class InMonth:
    """A measure in one of several months; see ``Figures``."""

    month: dt.date
    value: Decimal
    listed: Decimal
    recomputed: Decimal
    published: Decimal | None

    @property
    def differences(self) -> tuple[Decimal, ...]:
        """The differences between each other figure and the value."""
        return differences_of(self)


def amounts_by_month(counted: pl.DataFrame, scale: int) -> dict[dt.date, Decimal]:
    """Sums counted rows of evidence by the month of their day.

    Args:
        counted: evidence (``_day``, ``_amount``), counted rows only.
        scale: the decimals of ``_amount``.
    """
    sums = counted.group_by(pl.col("_day").dt.month_start().alias("month")).agg(pl.col("_amount").sum())
    return {month: Decimal(int(amount)).scaleb(-scale) for month, amount in sums.sort("month").iter_rows()}


def by_month(
    measure: str,
    asked: Query,
    listed: Sequence[Mapping[dt.date, Decimal]],
    computed: pl.DataFrame,
    recomputed: pl.DataFrame,
    in_database: pl.DataFrame | None,
) -> tuple[InMonth, ...]:
    """Returns a measure for every requested month, including those without a figure; empty for a single month.

    Args:
        measure: a column of the frames.
        asked: the months.
        listed: the sums of the listed rows, for each part of the measure.
        computed: rows by date.
        recomputed: the same from the second engine.
        in_database: the same as published; None if nothing is published.
    """
    if not asked.several:
        return ()
    ours, theirs = _monthly(computed, measure), _monthly(recomputed, measure)
    published = None if in_database is None else _monthly(in_database, measure)
    months = [asked.month]
    while next_month(months[-1]) < asked.end:
        months.append(next_month(months[-1]))
    return tuple(
        InMonth(
            month=m,
            value=ours.get(m, _ZERO),
            listed=sum((part.get(m, _ZERO) for part in listed), _ZERO),
            recomputed=theirs.get(m, _ZERO),
            published=None if published is None else published.get(m, _ZERO),
        )
        for m in months
    )


def _monthly(rows: pl.DataFrame, measure: str) -> dict[dt.date, Decimal]:
    sums = rows.group_by(pl.col("date").dt.month_start().alias("month")).agg(pl.col(measure).sum())
    return {month: Decimal(str(value)) for month, value in sums.iter_rows()}
