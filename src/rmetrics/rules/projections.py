"""Rules without the parts that some stage of the computation has no use for.

A stage is given the rules without them, so what it makes cannot depend on them; and of two versions of the rules that
are alike without them it makes the same. That is how an edited price leaves every row where it stands.
"""

import datetime as dt
from dataclasses import replace
from typing import Any

from rmetrics.rules.dated import Dated
from rmetrics.rules.model import Rules, Source
from rmetrics.rules.terms import Answers

_MEANING = (
    "business", "jobs", "revenue", "calls", "sources", "feeds", "feed_where", "journeys", "measures", "dimensions",
)  # fmt: skip


def without_prices(rules: Rules) -> Rules:
    """The rules without prices, fees, and vendors' terms: sources keep what they cost by the rows of a feed.

    A source whose versions differ in nothing else has one version.
    """
    return replace(rules, sources={name: _unpriced(dated) for name, dated in rules.sources.items()})


def without_own_measures(rules: Rules) -> Rules:
    """The rules without declared measures and dimensions; those that are shipped have no need to be declared."""
    return replace(rules, measures={}, dimensions={})


def alike(one: Rules, other: Rules) -> bool:
    """Whether both give every row and every figure the same meaning, order of declaration included."""
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
    """Ties are settled in the order of declaration, which two equal mappings need not share."""
    return list(part.items()) if isinstance(part, dict) else part


__all__ = ["alike", "without_own_measures", "without_prices"]
