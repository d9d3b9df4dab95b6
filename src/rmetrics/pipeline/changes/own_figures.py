"""Figures of declared measures, as computed and as published, and the differences in those of members."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.metrics.figures import quotient
from rmetrics.periods import month_of
from rmetrics.pipeline.changes.causes import Causes
from rmetrics.postgres.connection import Session
from rmetrics.postgres.ddl import has_all
from rmetrics.rules import Rules
from rmetrics.rules.measures import ratios
from rmetrics.tables import DIMENSION_MONTHLY, MEASURE_DAILY

Key = tuple[dt.date, str, str, str]
_TABLES = {
    MEASURE_DAILY: ("date", "source", "segment", "measure"),
    DIMENSION_MONTHLY: ("month", "dimension", "member", "measure"),
}


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A figure of a member that a sync would change.

    Attributes:
        before, after: exact; None if there is no such row before or after.
        cause: as for figures of sources.
    """

    month: dt.date
    dimension: str
    member: str
    metric: str
    before: Decimal | None
    after: Decimal | None
    cause: str


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """Figures of declared measures.

    Attributes:
        daily: own measures by day, source, segment and measure.
        members: all sums, by month, dimension, member and measure.
    """

    daily: Mapping[Key, Decimal] = field(default_factory=dict)
    members: Mapping[Key, Decimal] = field(default_factory=dict)

    @property
    def monthly(self) -> Mapping[Key, Decimal]:
        """Own measures by month, source, segment and measure."""
        found = dict[Key, Decimal]()
        for (day, source, segment, measure), value in self.daily.items():
            key = month_of(day), source, segment, measure
            found[key] = found.get(key, Decimal(0)) + value
        return found

    def differing(self, other: "OwnFigures") -> Iterator[tuple[dt.date, str]]:
        """Yields day and source of every daily figure that differs."""
        for key in {*self.daily, *other.daily}:
            if self.daily.get(key, 0) != other.daily.get(key, 0):
                yield key[:2]


def month_sums(
    monthly: Mapping[tuple[dt.date, str, str], Sequence[Decimal]], names: Sequence[str], own: OwnFigures
) -> dict[tuple[dt.date, str], Decimal]:
    """Returns each measure's sum over all sources by month: shipped ones, in the order of ``names``, and own ones."""
    found = dict[tuple[dt.date, str], Decimal]()
    shipped = (((month, n), v) for (month, _, _), values in monthly.items() for n, v in zip(names, values, strict=True))
    for key, value in (*shipped, *(((m, n), v) for (m, _, _, n), v in own.monthly.items())):
        found[key] = found.get(key, Decimal(0)) + value
    return found


class EditedRatio(NamedTuple):
    """A ratio of the whole company whose declaration and value changed; None: it has no value."""

    month: dt.date
    name: str
    before: Decimal | None
    after: Decimal | None


def edited_ratios(
    old: Rules, new: Rules, before: Mapping[tuple[dt.date, str], Decimal], after: Mapping[tuple[dt.date, str], Decimal]
) -> Iterator[EditedRatio]:
    """Yields each ratio whose declaration and value changed."""
    was, now = ({n: m.latest.ratio for n, m in ratios(rules).items()} for rules in (old, new))
    for name in sorted(n for n in {*was, *now} if was.get(n) != now.get(n)):
        for month in sorted({m for m, _ in (*before, *after)}):
            values = [
                None if parts is None else quotient(*(sums.get((month, part), Decimal(0)) for part in parts))
                for parts, sums in ((was.get(name), before), (now.get(name), after))
            ]
            if values[0] != values[1]:
                yield EditedRatio(month, name, values[0], values[1])


def computed_own(lake: Lake) -> OwnFigures:
    """Returns the figures in a lake; empty if its computation predates them."""
    return OwnFigures(*(_computed(lake, name, key) for name, key in _TABLES.items()))


def published_own(session: Session) -> OwnFigures:
    """Returns the figures in PostgreSQL."""
    return OwnFigures(*(_published(session, name, key) for name, key in _TABLES.items()))


def _computed(lake: Lake, name: str, key: Sequence[str]) -> Mapping[Key, Decimal]:
    if not load(lake).has(name):
        return {}
    rows = load(lake).scan(name).select(*key, "value").collect()
    return {(day, first, second, measure): Decimal(v) for day, first, second, measure, v in rows.iter_rows()}


def _published(session: Session, name: str, key: Sequence[str]) -> Mapping[Key, Decimal]:
    if not has_all(session, [name]):
        return {}
    rows = session.query(f"SELECT {', '.join(key)}, value::text FROM {name}")
    return {(day, first, second, measure): Decimal(v) for day, first, second, measure, v in rows}


def member_changes(
    before: Mapping[Key, Decimal], after: Mapping[Key, Decimal], causes: Causes
) -> tuple[MemberChange, ...]:
    """Returns every figure that differs, by month, dimension, member and measure; zero and no row are equal."""
    found = list[MemberChange]()
    known = dict[tuple[dt.date, str, str], str]()  # a month's hundreds of members have a handful of causes
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if (old or 0) == (new or 0):
            continue
        month, dimension, _, metric = key
        if (month, dimension, metric) not in known:
            known[month, dimension, metric] = causes.of_member(month, dimension, metric)
        found.append(MemberChange(*key, old, new, known[month, dimension, metric]))
    return tuple(found)


__all__ = [
    "MemberChange", "OwnFigures", "computed_own", "edited_ratios", "member_changes", "month_sums", "published_own",
]  # fmt: skip
