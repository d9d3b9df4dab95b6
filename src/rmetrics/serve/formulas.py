"""Derived figures: each a formula over measures and targets, computed last and never averaged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rmetrics.html_report import cells
from rmetrics.html_report.data import PageData
from rmetrics.month_line import MonthLine
from rmetrics.rules import Rules
from rmetrics.rules.funnel import COST, PREFIX, RATIOS, funnel_names


@dataclass(frozen=True, slots=True)
class Formula:
    """A figure derived from others.

    Attributes:
        title: its name on the pages.
        words: how it is computed, in words.
        parts: the measures and targets it uses, in order.
        value: computes it from an object with its parts as attributes (a page's ``MonthLine``); None if undefined.
        shown: formats it as text.
    """

    title: str
    words: str
    parts: tuple[str, ...]
    value: Callable[[Any, PageData], Decimal | None]
    shown: Callable[[Decimal], str]


def _ratio(title: str, top: str, bottom: str, shown: Callable[[Decimal], str]) -> Formula:
    def value(line: Any, _page: PageData) -> Decimal | None:
        below = getattr(line, bottom)
        return Decimal(getattr(line, top)) / below if below else None

    return Formula(title, f"{top} divided by {bottom}; blank if {bottom} is 0", (top, bottom), value, shown)


def _projected(title: str, measure: str) -> Formula:
    def value(line: MonthLine, page: PageData) -> Decimal | None:
        return page.month_end(line, measure)

    words = (
        f"an estimate: {measure} up to the last full day, plus the level of the last six weeks for each remaining day, "
        "by the pattern of weekdays and holidays; blank for fewer than eight weeks of data, for a segment and for a day"
    )
    return Formula(title, words, (measure,), value, cells.whole_number)


def _pace(title: str, measure: str) -> Formula:
    def value(line: MonthLine, page: PageData) -> Decimal | None:
        passed, days = page.passed, len(page.days)
        target = getattr(line, f"target_{measure}")
        return Decimal(getattr(line, measure)) / (target * passed / days) if target and passed else None

    words = f"{measure} so far, divided by the pace: the share of the target for the days with data"
    return Formula(title, words, (measure, f"target_{measure}"), value, cells.share)


def _two(value: Decimal) -> str:
    return cells.shown_amount(value, 2)


FORMULAS: Mapping[str, Formula] = {
    "conv_l2u": _ratio("Leads to units", "units", "leads", cells.share),
    "conv_u2r": _ratio("Units to repairs", "repairs", "units", cells.share),
    "conv_l2r": _ratio("Leads to repairs", "repairs", "leads", cells.share),
    "cpl": _ratio("Cost per lead", "cost", "leads", _two),
    "cost_per_repair": _ratio("Cost per repair", "cost", "repairs", _two),
    "avg_ticket": _ratio("Average ticket", "revenue_gross", "repairs", _two),
    "profit": Formula("Profit", "revenue40 minus cost", ("revenue40", "cost"), lambda line, *_: line.profit, _two),
    "attained_repairs": _ratio("Repairs against target", "repairs", "target_repairs", cells.share),
    "attained_revenue40": _ratio("Revenue40 against target", "revenue40", "target_revenue40", cells.share),
    "pace_repairs": _pace("Repairs against the target's pace", "repairs"),
    "pace_revenue40": _pace("Revenue40 against the target's pace", "revenue40"),
    "projected_repairs": _projected("Repairs at month end", "repairs"),
    "projected_revenue40": _projected("Revenue40 at month end", "revenue40"),
}


RATIO_TITLES: Mapping[str, str] = {
    "cost_per_booked": "Cost per booked touch",
    "cost_per_repair": "Cost per repaired touch",
    "roas": "Return on ad spend",
}
"""Titles of the ratios of journeys, by column."""


def funnel_formulas(rules: Rules) -> dict[str, Formula]:
    """Returns the ratios of journeys by published name; their parts carry the names that the rules give them."""
    names = {column: name for name, column in funnel_names(rules).items()} | {COST: "cost"}
    return {
        f"{PREFIX}{name}": _ratio(RATIO_TITLES[name], names[top], names[bottom], _two)
        for name, (top, bottom) in RATIOS.items()
    }


TARGETS: Mapping[str, tuple[str, int]] = {
    "target_repairs": ("Target for repairs", 0),
    "target_revenue40": ("Target for revenue40", 2),
    "target_conv_l2r": ("Target for leads to repairs", 4),
    "target_cpl_max": ("Ceiling for cost per lead", 2),
}
"""Title and number of decimals of each target, by column."""
