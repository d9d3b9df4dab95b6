"""Rules that change at given dates."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

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


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """A rule and its changes: ``versions`` are (in force from, value); the first starts at None, which means always."""

    versions: tuple[tuple[dt.date | None, T], ...]

    def spans(self) -> Iterator[tuple[dt.date | None, dt.date | None, T]]:
        """Yields (from, until, value) with half-open ranges that cover all time."""
        starts = [start for start, _ in self.versions]
        for (start, value), end in zip(self.versions, [*starts[1:], None], strict=True):
            yield start, end, value

    def at(self, day: dt.date | None) -> T:
        """Returns the value in force on ``day``; for None, the latest."""
        return next(v for start, v in reversed(self.versions) if start is None or day is None or start <= day)

    @property
    def latest(self) -> T:
        """The last version: the value after all changes."""
        return self.versions[-1][1]
