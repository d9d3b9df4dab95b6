"""The measures of journeys: what each counts or sums over touches, and its title.

A measure has the name of its column in ``journey_metrics``: ``booked``. If another measure has that name, as with
``revenue_gross``, the funnel's is ``journeys.revenue_gross``. The prefixed name is accepted for all of them, and is the
one recorded in ``metric_changes``.

Source: the design, section 7.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rmetrics.rules.measures import declared
from rmetrics.rules.model import Rules

PREFIX = "journeys."
COST = f"{PREFIX}cost"
"""The total cost of a source in a month: the measure ``cost`` under its name in ``journey_metrics``."""


@dataclass(frozen=True, slots=True)
class FunnelMeasure:
    """A measure of journeys.

    Attributes:
        title: its display name.
        words: which touches it counts, or what it sums over them.
        decimals: of its figures; 0 for counts.
        by_jobs: whether it depends on the jobs of a touch, and therefore on the window.
    """

    title: str
    words: str
    decimals: int = 0
    by_jobs: bool = True


FUNNEL: Mapping[str, FunnelMeasure] = {
    "touches": FunnelMeasure("Touches", "every touch", by_jobs=False),
    "answered": FunnelMeasure(
        "Answered",
        "touches answered: the call itself, or a call from the same number and source within ten minutes",
        by_jobs=False,
    ),
    "booked": FunnelMeasure("Booked", "touches that led to a job"),
    "visited": FunnelMeasure("Visited", "touches with a job that is a unit"),
    "repaired": FunnelMeasure("Repaired", "touches with a job that is a repair"),
    "paid": FunnelMeasure("Paid", "touches whose jobs were paid more than 0 in all"),
    "jobs": FunnelMeasure("Jobs of touches", "the jobs that touches led to"),
    "touch_cost": FunnelMeasure("Cost of touches", "the cost of the touches themselves", decimals=2, by_jobs=False),
    "revenue_gross": FunnelMeasure("Paid by jobs of touches", "all payments for the jobs of touches", decimals=2),
    "revenue40": FunnelMeasure(
        "Revenue after payout of jobs of touches", "the company's share of these payments", decimals=6
    ),
    "no_job": FunnelMeasure("No job", "touches without a job whose number has no job or one of another touch"),
    "no_number": FunnelMeasure("No number", "touches without a job and without a customer's number"),
    "shared": FunnelMeasure("Shared number", "touches without a job whose number many customers share"),
    "outside_window": FunnelMeasure("Outside the window", "touches without a job whose number has jobs outside it"),
    "by_link": FunnelMeasure("By link", "touches whose job is named by the CRM"),
    "returning_customers": FunnelMeasure("Returning customers", "touches whose number had a job before that day"),
    "booked_returning": FunnelMeasure("Booked returning customers", "touches with a job whose number had one before"),
}  # fmt: skip
"""The additive columns of ``journey_metrics`` except ``cost``, which is a separate measure."""

RATIOS: Mapping[str, tuple[str, str]] = {
    "cost_per_booked": (COST, "booked"),
    "cost_per_repair": (COST, "repaired"),
    "roas": ("revenue_gross", COST),
}
"""The ratios of ``journey_metrics``: the columns of numerator and denominator."""


def funnel_names(rules: Rules) -> dict[str, str]:
    """Returns the name of each measure of journeys, in order, with its column."""
    own_names = declared(rules)
    return {f"{PREFIX}{column}" if column in own_names else column: column for column in FUNNEL}


def as_called(name: str, rules: Rules) -> str:
    """Removes the prefix from the name of a measure where it is optional; returns any other name unchanged."""
    if name == COST:
        return "cost"
    names = funnel_names(rules)
    column = name.removeprefix(PREFIX)
    return column if name.startswith(PREFIX) and column in names else name


def as_recorded(name: str, rules: Rules) -> str:
    """Returns the name under which ``metric_changes`` records a measure."""
    column = funnel_names(rules).get(as_called(name, rules))
    return name if column is None else f"{PREFIX}{column}"


__all__ = ["COST", "FUNNEL", "PREFIX", "RATIOS", "FunnelMeasure", "as_called", "as_recorded", "funnel_names"]
