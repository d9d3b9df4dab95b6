"""Data of pages on declared measures and dimensions: own measures by month, and members' figures in one month."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from rmetrics.metrics.figures import Figure, FigureKind, figures_of
from rmetrics.pipeline.summary import MeasureLine
from rmetrics.rules.measure_tables import NONE
from rmetrics.rules.measure_words import dimension_in_words
from rmetrics.rules.measures import declared, is_additive, sums
from rmetrics.rules.model import Rules

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class MonthMembers:
    """The figures of a dimension's members in a month.

    Attributes:
        words: the dimension's breakdown in words.
        figures: the measures with a figure for any member except ``(none)``, and the ratios of these.
        titles: the display names of measures.
        members: the largest first, by the first figure.
        values: sums by member and measure.
        whole: sums of the whole company.
        non_additive: the measures whose members do not add up, as a row counts for each member that it names.
    """

    dimension: str
    title: str
    words: str
    figures: tuple[Figure, ...]
    titles: Mapping[str, str]
    members: tuple[str, ...]
    values: Mapping[tuple[str, str], Decimal]
    whole: Mapping[str, Decimal]
    non_additive: frozenset[str]

    def of(self, member: str, figure: Figure) -> Decimal | None:
        """Returns a member's figure; None if the divisor is 0."""
        return figure.value(*(self.values.get((member, part), _ZERO) for part in figure.parts))

    def in_all(self, figure: Figure) -> Decimal | None:
        """Returns the figure of the whole company; None if the divisor is 0."""
        return figure.value(*(self.whole.get(part, _ZERO) for part in figure.parts))


@dataclass(frozen=True, slots=True)
class OwnData:
    """Declared measures and dimensions.

    Attributes:
        lines: own measures of the months shown, oldest first.
        kinds: the display kind of each measure.
        tables: the members of each dimension in the page's month.
    """

    lines: tuple[MeasureLine, ...] = ()
    kinds: Mapping[str, FigureKind] = field(default_factory=dict)
    tables: tuple[MonthMembers, ...] = ()

    @property
    def any(self) -> bool:
        """Whether any own measure or dimension is declared."""
        return bool(self.lines or self.tables)

    @property
    def measures(self) -> dict[str, str]:
        """The own measures by name, with their titles."""
        return {line.measure: line.title for line in self.lines}


def own_data(
    lines: Sequence[MeasureLine], members: pl.DataFrame, monthly: pl.DataFrame, month: dt.date, rules: Rules
) -> OwnData:
    """Collects the data of pages on declared measures.

    Args:
        lines: own measures by month.
        members: ``dimension_monthly``.
        monthly: ``monthly_metrics``.
        month: the month of the members' figures.
        rules: the declarations.
    """
    kinds = {n: f.kind for n, f in figures_of(rules).items()}
    of_month = members.filter(pl.col("month") == month)
    shipped = monthly.filter(pl.col("month") == month)
    whole = {n: Decimal(str(shipped[n].sum() or 0)) for n in sums(rules, own=False)}
    whole |= {line.measure: line.value or _ZERO for line in lines if line.month == month}
    tables = tuple(_table(name, of_month, whole, rules) for name in rules.dimensions)
    return OwnData(tuple(lines), kinds, tables)


def _table(name: str, members: pl.DataFrame, whole: Mapping[str, Decimal], rules: Rules) -> MonthMembers:
    dimension, measures = rules.dimensions[name], declared(rules)
    mine = members.filter(pl.col("dimension") == name)
    values = {(m, n): Decimal(v) for m, n, v in mine.select("member", "measure", "value").iter_rows()}
    reached = {measure for member, measure in values if member != NONE}
    figures = figures_of(rules)
    shown = tuple(f for f in figures.values() if set(f.parts) <= reached and (f.additive or f.name in measures))
    first = shown[0].name if shown else ""
    names = sorted({m for m, _ in values}, key=lambda m: (-values.get((m, first), _ZERO), m))
    non_additive = frozenset(n for n, m in sums(rules).items() if not is_additive(dimension, m.latest))
    return MonthMembers(
        dimension=name,
        title=dimension.title or name.replace("_", " ").capitalize(),
        words=dimension_in_words(dimension),
        figures=shown,
        titles={n: m.title for n, m in measures.items()},
        members=tuple(names),
        values=values,
        whole=whole,
        non_additive=non_additive,
    )


__all__ = ["MonthMembers", "OwnData", "own_data"]
