"""Explanations as frozen values: a figure, its rule, the steps and rows behind it, and its proof."""

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from rmetrics.explain.asked import MEASURES, Asked
from rmetrics.explain.monthly import InMonth, differences_of
from rmetrics.explain.near_misses import NearMiss
from rmetrics.findings import Finding
from rmetrics.metrics.figures import Figure, quotient
from rmetrics.pipeline.asked import Months


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the funnel: how many rows stop here; the first is how many were read, the last how many count."""

    step: str
    rows: int


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row that counts: where it stands and what it adds.

    Attributes:
        file, line: of the export; None for a part of an amount that was spread.
        detail: what else the row says, customers' data left out.
    """

    key: str
    file: str | None
    line: int | None
    date: dt.date
    segment: str
    amount: Decimal
    detail: Mapping[str, object]


class ListedRows(Sequence[ListedRow]):
    """The rows behind a number, made when somebody asks for them: there may be many, and most are only counted."""

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
        days: how many days it is spread over.
        per_day: of the last day; ``extra`` days from the first on have one cent more. None for several months, each of
            which has an amount of its own.
        segments: what each segment gets.
    """

    total: Decimal
    days: int
    per_day: Decimal | None
    extra: int
    segments: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Part:
    """What one version of a rule, or one part of a cost, gives; ``by_month`` by the month of the rows that count."""

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
        rule: in words; of all its parts.
        where: ``file:line`` of the (first) rule.
        value: as computed; counts have no decimals.
        listed: what the rows listed add up to.
        recomputed: what the other engine says.
        published: what PostgreSQL holds; None where it holds nothing.
        months: the same for each month, where several are asked for.
        scale: how many decimals the figures have.
        whole: for a member of a dimension, what all members have; None for others, and where members do not add up.
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
        """A member's part of the whole, with six decimals; None where there is no whole."""
        return share_of(self.value, self.whole)

    @property
    def differences(self) -> tuple[Decimal, ...]:
        """How far each of the other figures is from the value, in all and in each month."""
        return (*differences_of(self), *(d for m in self.months for d in m.differences))


def share_of(value: Decimal, whole: Decimal | None) -> Decimal | None:
    """A part of a whole, with six decimals; None where there is nothing to have a part of."""
    return None if whole is None else quotient(value, whole)


@dataclass(frozen=True, slots=True)
class Made:
    """A figure that is computed from explained ones: a ratio, or a difference; ``value`` None: nothing to divide by."""

    figure: Figure
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why is this number what it is?".

    Attributes:
        figures_differing: the keys on which the engines or PostgreSQL differ.
        rows_differing: the rows that PostgreSQL holds otherwise.
        problems: what is wrong with the lake itself.
        run_id: the run that published; None where nothing is published.
        calls: the source's calls of the month, by step of the funnel.
        dimension, member: whose part of the figures of the whole company is explained; None: all of it.
        ratios: what was asked for and is computed from the measures, in the order asked for.
        verdict: whether rows, engines and PostgreSQL agree.
    """

    asked: Asked
    metrics: Mapping[str, Explained]
    figures_differing: tuple[str, ...]
    rows_differing: tuple[str, ...]
    problems: tuple[Finding, ...]
    run_id: str | None
    calls: tuple[Step, ...] = ()
    dimension: str | None = None
    member: str | None = None
    ratios: tuple[Made, ...] = ()

    @property
    def differing(self) -> tuple[str, ...]:
        """Everything on which the engines or PostgreSQL differ."""
        return self.figures_differing + self.rows_differing

    @property
    def difference(self) -> Decimal:
        """The largest difference between any two of the figures that must be equal."""
        return max((d for m in self.metrics.values() for d in m.differences), default=Decimal(0))

    @property
    def verdict(self) -> str:
        """``match``, ``mismatch`` or ``unpublished``."""
        if self.difference or self.differing or self.problems:
            return "mismatch"
        return "match" if self.run_id else "unpublished"


def with_ratios(found: Explanation, figures: Sequence[Figure]) -> Explanation:
    """The same, with what is computed from the measures explained."""
    made = tuple(Made(f, f.value(*(found.metrics[p].value for p in f.parts))) for f in figures)
    return dataclasses.replace(found, ratios=made)


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks, with the numbers or the list they have from elsewhere.

    Attributes:
        months: which; the newest with data where none is named.
        day, until: only this day; or the first day and the last of a span.
        dimension, member: whose part of the figures; without a member, all members of the dimension.
    """

    source: str
    months: Months
    segment: str | None = None
    day: dt.date | None = None
    metrics: tuple[str, ...] = MEASURES
    expect: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    against: Path | None = None
    key: str | None = None
    until: dt.date | None = None
    dimension: str | None = None
    member: str | None = None
