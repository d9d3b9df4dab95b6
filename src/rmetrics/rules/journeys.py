"""How leads are matched with their jobs: ``[journeys]`` and ``[journeys.sources.NAME]``, each with dated changes."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator

from rmetrics.rules.dated import Dated
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.phones import is_number, read_phone
from rmetrics.rules.table import Table

MAX_WINDOW = 3650  # days
SHARED_WITHIN = 365  # days over which the jobs of a number are counted

Days = Annotated[int, NumberRange(Decimal(0), Decimal(MAX_WINDOW), decimals=0, unit="amount")]
Number = Annotated[int, NumberRange(Decimal(1), Decimal(1_000_000), decimals=0, unit="amount")]


def _one_spelling(numbers: tuple[str, ...]) -> tuple[str, ...]:
    """Normalises phone numbers to the spelling of typed cells.

    Raises:
        ValueError: one of them is no phone number. It is not quoted, as it may be a customer's.
    """
    read = tuple(read_phone(n) or "" for n in numbers)
    wrong = [str(i + 1) for i, n in enumerate(read) if not is_number(n)]
    if wrong:
        msg = f'must be phone numbers with their area codes, such as "+1 617 555 0100" (see number {", ".join(wrong)})'
        raise ValueError(msg)
    return tuple(dict.fromkeys(read))


Numbers = Annotated[tuple[str, ...], AfterValidator(_one_spelling)]


class Journeys(Table):
    """The rules of journeys common to all sources.

    ``window``: the most days between a touch and the creation of the job it led to; 0: the same business day.
    ``touch``: which of several touches in the window gets the job. ``own_numbers``: lines of the company, never a
    customer's. ``shared_numbers``: numbers shared by many customers, such as a property manager's; ``shared_when``: a
    number with more jobs than this within 365 days counts as shared.
    """

    window: Days = 0
    touch: Literal["first", "last"] = "first"
    own_numbers: Numbers = ()
    shared_numbers: Numbers = ()
    shared_when: Number = 12


class SourceJourneys(Table):
    """The exceptions of one source; without ``window`` the common one applies."""

    window: Days | None = None


@dataclass(frozen=True, slots=True)
class JourneyRules:
    """The rules of journeys.

    Attributes:
        common: the rules of all sources.
        sources: the exceptions, by source.
    """

    common: Dated[Journeys] = field(default_factory=lambda: Dated(((None, Journeys()),)))
    sources: Mapping[str, Dated[SourceJourneys]] = field(default_factory=dict)

    def windows(self, source: str) -> Dated[int]:
        """Returns the window of a source's touches, by the business day of the touch."""
        own = self.sources.get(source)
        starts: set[dt.date] = {s for d in (self.common, own) if d for s, _ in d.versions if s is not None}

        def at(day: dt.date) -> int:
            window = own.at(day).window if own else None
            return self.common.at(day).window if window is None else window

        versions: list[tuple[dt.date | None, int]] = [(None, at(dt.date.min))]
        versions += [(start, at(start)) for start in sorted(starts)]
        return Dated(tuple(versions))

    def longest(self) -> int:
        """Returns the longest window of any source at any time."""
        own = [v.window for d in self.sources.values() for _, v in d.versions if v.window is not None]
        return max([*(v.window for _, v in self.common.versions), *own])

    def always_own(self) -> list[str]:
        """Returns the numbers that are the company's own in every version of the rules."""
        versions = [v for _, v in self.common.versions]
        return [n for n in versions[0].own_numbers if all(n in v.own_numbers for v in versions)]

    def limits(self) -> Iterator[int]:
        """Yields every value that ``shared_when`` ever has, ascending."""
        yield from sorted({v.shared_when for _, v in self.common.versions})


__all__ = ["MAX_WINDOW", "SHARED_WITHIN", "JourneyRules", "Journeys", "SourceJourneys"]
