"""Projections of the rules: rules without the parts that a stage of the computation does not use.

A stage only receives its projection, so its result cannot depend on anything else, and is the same for two versions of
the rules with equal projections. Therefore an edited price recomputes no rows.
"""

import datetime as dt
from dataclasses import replace
from typing import Any

from rmetrics.rules.dated import Dated
from rmetrics.rules.dispute_terms import Answers
from rmetrics.rules.model import Rules, Source

_MEANING = (
    "business", "jobs", "revenue", "calls", "sources", "feeds", "feed_where", "journeys", "measures", "dimensions",
    "returns",
)  # fmt: skip


def without_prices(rules: Rules) -> Rules:
    """Returns the rules without prices, fees and vendors' terms; sources keep the costs that come from a feed's rows.

    Versions of a source that differ in nothing else are merged into one.
    """
    return replace(rules, sources={name: _unpriced(dated) for name, dated in rules.sources.items()})


def without_own_measures(rules: Rules) -> Rules:
    """Returns the rules without declared measures, dimensions and returns; the shipped ones need no declaration."""
    return replace(rules, measures={}, dimensions={}, returns={})


def without_prices_and_own_measures(rules: Rules) -> Rules:
    """Returns what is left of the rules by both of the above: what decides the meaning of every row."""
    return without_own_measures(without_prices(rules))


def same_meaning(one: Rules, other: Rules) -> bool:
    """Whether both rules give the same meaning to every row and figure, including the order of declaration."""
    return all(_ordered(getattr(one, part)) == _ordered(getattr(other, part)) for part in _MEANING)


def _unpriced(dated: Dated[Source]) -> Dated[Source]:
    found: list[tuple[dt.date | None, Source]] = []
    for start, source in dated.versions:
        costs = tuple(c for c in source.cost if c.feed is not None)
        bare = source.model_copy(update={"cost": costs, "disputes": (), "answers": Answers()})
        if not found or found[-1][1] != bare:
            found.append((start, bare))
    return Dated(tuple(found))


def _ordered(part: Any) -> Any:
    """Returns a mapping as a list of items: order breaks ties, and equal mappings may differ in order."""
    return list(part.items()) if isinstance(part, dict) else part


__all__ = ["same_meaning", "without_own_measures", "without_prices", "without_prices_and_own_measures"]
