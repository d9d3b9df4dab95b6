"""What measures of journeys are called."""

import dataclasses

from rmetrics.metrics.journeys import COUNTED_AS
from rmetrics.rules import load_rules
from rmetrics.rules.dated import Dated
from rmetrics.rules.funnel import FUNNEL, RATIOS, as_called, as_recorded, funnel_names
from rmetrics.rules.measure_tables import Measure
from rmetrics.tables import journey_tables
from support import ROOT

RULES = load_rules(ROOT / "rules")


def test_every_additive_column_of_the_published_table_is_a_measure() -> None:
    held = {c.name for c in journey_tables()[1].columns} - {"month", "source", "time", "cost"}
    assert held == set(FUNNEL)
    assert {n for n, _ in COUNTED_AS} <= set(FUNNEL)
    assert {part for parts in RATIOS.values() for part in parts} - {"journeys.cost"} <= set(FUNNEL)


def test_a_name_that_means_another_measure_is_written_with_its_prefix() -> None:
    assert funnel_names(RULES)["booked"] == "booked"
    assert funnel_names(RULES)["journeys.revenue_gross"] == "revenue_gross"
    assert "revenue_gross" not in funnel_names(RULES)
    own = dataclasses.replace(RULES, measures={"booked": Dated(((None, Measure(of="jobs", count="true")),))})
    assert funnel_names(own)["journeys.booked"] == "booked"
    assert as_called("journeys.booked", own) == "journeys.booked"


def test_the_prefix_is_understood_of_every_measure() -> None:
    assert [as_called(n, RULES) for n in ("journeys.booked", "booked", "journeys.cost", "journeys.jobs", "jobs")] == [
        "booked", "booked", "cost", "journeys.jobs", "jobs",
    ]  # fmt: skip
    assert [as_recorded(n, RULES) for n in ("booked", "journeys.jobs", "jobs", "cost")] == [
        "journeys.booked", "journeys.jobs", "jobs", "cost",
    ]  # fmt: skip
