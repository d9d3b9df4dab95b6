"""The measures of a table of periods: sums of daily figures, and measures computed from those sums.

Ratios are computed last, from the sums of the period, and never averaged. They are None if the denominator is 0.

Source: the design, section 3.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from rmetrics.rules.funnel import FUNNEL, PREFIX
from rmetrics.rules.measure_tables import Unit
from rmetrics.rules.measures import declared, shown_format, unit_of
from rmetrics.rules.model import Rules

_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)  # quotients are rounded once, to six decimals
_SIX = Decimal("0.000001")


class FigureKind(StrEnum):
    """The kind of a measure's values."""

    COUNT = "count"
    MONEY = "money"  # cents
    EXACT = "exact"  # money with six decimals: revenue after the share
    RATIO = "ratio"  # six decimals, rounded
    NUMBER_RATIO = "number ratio"  # of two unrelated quantities, not a share: six decimals, rounded
    MONEY_RATIO = "money ratio"  # money per unit of something: six decimals, rounded


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure.

    Attributes:
        parts: the additive measures it consists of: itself, or those it is computed from.
        value: computes it from the sums of its parts, in their order.
    """

    name: str
    kind: FigureKind
    parts: tuple[str, ...]
    value: Callable[..., Decimal | None]

    @property
    def additive(self) -> bool:
        """Whether the figures of two periods may be added up."""
        return self.kind not in {FigureKind.RATIO, FigureKind.NUMBER_RATIO, FigureKind.MONEY_RATIO}


def additive(name: str, kind: FigureKind) -> Figure:
    """Returns a measure that is a sum of daily figures."""
    return Figure(name, kind, (name,), lambda total: total)


def ratio(name: str, top: str, bottom: str, kind: FigureKind = FigureKind.RATIO) -> Figure:
    """Returns a measure that is the quotient of two sums."""
    return Figure(name, kind, (top, bottom), quotient)


def quotient(top: Decimal, bottom: Decimal) -> Decimal | None:
    """Divides with six decimals, half up; None if the divisor is 0.

    >>> quotient(Decimal(2), Decimal(3)), quotient(Decimal(1), Decimal(0))
    (Decimal('0.666667'), None)
    """
    return _EXACT.divide(top, bottom).quantize(_SIX, ROUND_HALF_UP, _EXACT) if bottom else None


SHIPPED: Mapping[str, Figure] = {
    figure.name: figure
    for figure in (
        *(additive(name, FigureKind.COUNT) for name in ("jobs", "leads", "units", "repairs")),
        additive("revenue_gross", FigureKind.MONEY),
        additive("revenue40", FigureKind.EXACT),
        additive("cost", FigureKind.MONEY),
        Figure("profit", FigureKind.EXACT, ("revenue40", "cost"), lambda revenue, cost: revenue - cost),
        ratio("conv_l2u", "units", "leads"),
        ratio("conv_l2r", "repairs", "leads"),
        ratio("conv_u2r", "repairs", "units"),
        ratio("cpl", "cost", "leads", FigureKind.MONEY_RATIO),
        ratio("cost_per_repair", "cost", "repairs", FigureKind.MONEY_RATIO),
        ratio("avg_ticket", "revenue_gross", "repairs", FigureKind.MONEY_RATIO),
    )
}

_RATIOS: Mapping[str, FigureKind] = {"money": FigureKind.MONEY_RATIO, "percent": FigureKind.RATIO}


def figures_of(rules: Rules) -> dict[str, Figure]:
    """Returns every measure by name: the shipped ones, then the company's own."""
    found = dict(SHIPPED)
    for name, measure in declared(rules).items():
        if not measure.own:
            continue
        shown = shown_format(measure, rules)
        if measure.latest.ratio is not None:
            above, below = measure.latest.ratio
            found[name] = ratio(name, above, below, _RATIOS.get(shown, FigureKind.NUMBER_RATIO))
        else:
            is_count = unit_of(measure.latest, rules) is Unit.ONE
            found[name] = additive(name, FigureKind.COUNT if is_count else FigureKind.EXACT)
    return found


def recorded_kinds(rules: Rules) -> dict[str, FigureKind]:
    """Returns the kind of every measure, by the name under which changes of its figures are recorded."""
    funnel = {f"{PREFIX}{n}": FigureKind.EXACT if m.decimals else FigureKind.COUNT for n, m in FUNNEL.items()}
    return funnel | {name: figure.kind for name, figure in figures_of(rules).items()}


__all__ = ["SHIPPED", "Figure", "FigureKind", "additive", "figures_of", "quotient", "ratio", "recorded_kinds"]
