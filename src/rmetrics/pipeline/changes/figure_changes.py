"""Published figures of a month that a sync would change: those of own measures, and of redeclared ratios."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from rmetrics.pipeline.changes.causes import MEASURES, Causes
from rmetrics.pipeline.changes.own_figures import Key, OwnFigures, edited_ratios, month_sums
from rmetrics.rules import ALL

Figures = Mapping[tuple[dt.date, str, str], tuple[Decimal, ...]]
"""The seven measures by day or month, source and segment."""


@dataclass(frozen=True, slots=True)
class FigureChange:
    """One monthly figure that a sync would change.

    Attributes:
        before, after: exact; None if there is no such row before or after.
        cause: as it will be in ``metric_changes``.
    """

    month: dt.date
    source: str
    segment: str
    metric: str
    before: Decimal | None
    after: Decimal | None
    cause: str


def own_changes(before: Mapping[Key, Decimal], after: Mapping[Key, Decimal], causes: Causes) -> Iterator[FigureChange]:
    """Yields every monthly figure of an own measure that differs."""
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if (old or 0) != (new or 0):
            month, source, segment, measure = key
            yield FigureChange(month, source, segment, measure, old, new, causes.of(month, source, measure))


def ratio_changes(
    before: tuple[Figures, OwnFigures], after: tuple[Figures, OwnFigures], causes: Causes
) -> Iterator[FigureChange]:
    """Yields every month of a redeclared ratio of the whole company whose value differs, even if its sums do not."""
    if causes.old is None:
        return
    was, now = (month_sums(figures, MEASURES, own) for figures, own in (before, after))
    for ratio in edited_ratios(causes.old, causes.new, was, now):
        cause = causes.of(ratio.month, ALL, ratio.name)
        yield FigureChange(ratio.month, ALL, ALL, ratio.name, ratio.before, ratio.after, cause)


__all__ = ["FigureChange", "Figures", "own_changes", "ratio_changes"]
