"""Explanations as frozen values: a figure, its rule, the steps and rows behind it, and its proof."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from rmetrics.explain.asked import MEASURES, Query
from rmetrics.explain.monthly import InMonth, differences_of
from rmetrics.explain.near_misses import NearMiss
from rmetrics.findings import Finding
from rmetrics.metrics.figures import Figure, quotient
from rmetrics.pipeline.asked import MonthRange


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the funnel: the number of rows that stop at it; the first has the rows read, the last the counted."""

    step: str
    rows: int


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A counted row: its place and its contribution.

    Attributes:
        file, line: of the export; None for a part of a spread amount.
        detail: other columns of the row, without customers' data.
    """

    key: str
    file: str | None
    line: int | None
    date: dt.date
    segment: str
    amount: Decimal
    detail: Mapping[str, object]


class ListedRows(Sequence[ListedRow]):
    """The rows behind a figure, built on first access: there may be many, and often only their count is needed."""

    def __init__(self, count: int, make: Callable[[], Iterator[ListedRow]]) -> None:
        self._count, self._make = count, make

    @cached_property
    def _rows(self) -> tuple[ListedRow, ...]:
        return tuple(self._make())

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ListedRows) and self._rows == other._rows

    def __hash__(self) -> int:
        return self._count


@dataclass(frozen=True, slots=True)
class Split:
    """An amount spread over days and segments.

    Attributes:
        total: the amount.
        days: the number of days.
        per_day: the amount of the last day; the first ``extra`` days get one cent more. None for several months, as
            each has its own amount.
        segments: the amount of each segment.
    """

    total: Decimal
    days: int
    per_day: Decimal | None
    extra: int
    segments: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Part:
    """The contribution of one version of a rule, or one part of a cost; ``by_month``: by month of the counted rows."""

    rule: str
    where: str
    since: dt.date | None
    feed: str | None
    value: Decimal
    steps: tuple[Step, ...]
    nearly: tuple[NearMiss, ...]
    rows: ListedRows
    split: Split | None
    by_month: Mapping[dt.date, Decimal]


@dataclass(frozen=True, slots=True)
class Explained:
    """One measure, explained and proved.

    Attributes:
        rule: in words, for all its parts.
        where: ``file:line`` of the (first) rule.
        value: as computed; counts have no decimals.
        listed: the sum of the listed rows.
        recomputed: the figure of the second engine.
        published: the figure in PostgreSQL; None if nothing is published.
        months: the same figures for each month, if several are requested.
        scale: the decimals of the figures.
        whole: for a member of a dimension, the figure of all members; None for others, and if members are not additive.
    """

    name: str
    rule: str
    where: str
    value: Decimal
    parts: tuple[Part, ...]
    listed: Decimal
    recomputed: Decimal
    published: Decimal | None
    months: tuple[InMonth, ...] = ()
    scale: int = 0
    whole: Decimal | None = None

    @property
    def share(self) -> Decimal | None:
        """A member's share of the whole, with six decimals; None if there is no whole."""
        return share_of(self.value, self.whole)

    @property
    def differences(self) -> tuple[Decimal, ...]:
        """The differences between each other figure and the value, in total and by month."""
        return (*differences_of(self), *(d for m in self.months for d in m.differences))


def share_of(value: Decimal, whole: Decimal | None) -> Decimal | None:
    """Returns a share of a whole, with six decimals; None if there is no whole."""
    return None if whole is None else quotient(value, whole)


@dataclass(frozen=True, slots=True)
class DerivedFigure:
    """A figure computed from explained ones: a ratio or a difference; ``value`` is None if the divisor is 0."""

    figure: Figure
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why is this figure what it is?".

    Attributes:
        figures_differing: the keys on which the engines or PostgreSQL differ.
        rows_differing: the rows that differ in PostgreSQL.
        problems: findings about the lake itself.
        run_id: the run that published; None if nothing is published.
        calls: the source's calls of the month, by step of the funnel.
        dimension, member: the member whose share of the company's figures is explained; None: the whole company.
        ratios: requested figures that are computed from the measures, in the order requested.
        verdict: whether rows, engines and PostgreSQL agree.
    """

    asked: Query
    metrics: Mapping[str, Explained]
    figures_differing: tuple[str, ...]
    rows_differing: tuple[str, ...]
    problems: tuple[Finding, ...]
    run_id: str | None
    calls: tuple[Step, ...] = ()
    dimension: str | None = None
    member: str | None = None
    ratios: tuple[DerivedFigure, ...] = ()

    @property
    def differing(self) -> tuple[str, ...]:
        """All differences between the engines and PostgreSQL."""
        return self.figures_differing + self.rows_differing

    @property
    def difference(self) -> Decimal:
        """The largest difference between the figures that must be equal."""
        return max((d for m in self.metrics.values() for d in m.differences), default=Decimal(0))

    @property
    def agrees(self) -> bool:
        """Whether all figures that must be equal are equal."""
        return not self.difference and not self.differing

    @property
    def verdict(self) -> str:
        """``match``, ``mismatch`` or ``unpublished``."""
        if self.problems or not self.agrees:
            return "mismatch"
        return "match" if self.run_id else "unpublished"

    @property
    def conclusion(self) -> str:
        """The verdict, or ``problems`` if all figures agree and only problems of the lake make it a mismatch."""
        return "problems" if self.problems and self.agrees else self.verdict


def with_ratios(found: Explanation, figures: Sequence[Figure]) -> Explanation:
    """Returns the explanation with figures computed from the explained measures added."""
    made = tuple(DerivedFigure(f, f.value(*(found.metrics[p].value for p in f.parts))) for f in figures)
    return dataclasses.replace(found, ratios=made)


@dataclass(frozen=True, slots=True)
class Question:
    """A person's question, with the figures or the list they have from elsewhere.

    Attributes:
        months: the months; by default the newest one with data.
        day, until: only this day; or the first and last day of a span.
        dimension, member: the member whose figures are requested; without a member, all members of the dimension.
    """

    source: str
    months: MonthRange
    segment: str | None = None
    day: dt.date | None = None
    metrics: tuple[str, ...] = MEASURES
    expect: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    against: Path | None = None
    key: str | None = None
    until: dt.date | None = None
    dimension: str | None = None
    member: str | None = None
