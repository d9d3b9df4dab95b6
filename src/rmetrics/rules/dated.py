"""Rules that change at given dates."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

DATED_KEYS: Mapping[str, frozenset[str] | None] = {
    "business": frozenset(),
    "jobs": frozenset({"unit", "repair", "segments"}),
    "revenue": frozenset({"share"}),
    "calls": None,
    "journeys": None,
    "sources": frozenset({"leads", "cost", "segment", "disputes", "answers"}),
    "feeds": frozenset({"where"}),
    "measures": frozenset({"count", "sum", "where"}),
    "dimensions": frozenset(),
    "returns": frozenset(),
}
"""The keys that may change at a date, by group of tables; None: every key.

A time zone, a feed's columns and a source's spellings apply to all of history.
"""


class InForce(NamedTuple, Generic[T]):
    """A version of a dated rule and when it applies.

    Attributes:
        start: the first day; None: always.
        until: the first day on which it no longer applies; None: never.
    """

    start: dt.date | None
    until: dt.date | None
    value: T


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """A rule and its changes: ``versions`` are (in force from, value); the first starts at None, which means always."""

    versions: tuple[tuple[dt.date | None, T], ...]

    def spans(self) -> Iterator[InForce[T]]:
        """Yields the versions with their half-open ranges, which cover all time."""
        starts = [start for start, _ in self.versions]
        for (start, value), until in zip(self.versions, [*starts[1:], None], strict=True):
            yield InForce(start, until, value)

    def at(self, day: dt.date | None) -> T:
        """Returns the value in force on ``day``; for None, the latest."""
        return next(v for start, v in reversed(self.versions) if start is None or day is None or start <= day)

    @property
    def latest(self) -> T:
        """The last version: the value after all changes."""
        return self.versions[-1][1]
