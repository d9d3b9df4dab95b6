"""Declared measures and dimensions in plain words."""

from rmetrics.rules.condition_words import condition_in_words
from rmetrics.rules.measure_tables import SOURCES, Dimension, Measure, Return


def measure_in_words(measure: Measure) -> str:
    """Returns a phrase for what a measure counts, sums or divides."""
    if measure.ratio is not None:
        above, below = measure.ratio
        return f"{above} divided by {below}"
    if measure.of == SOURCES:
        return f"the {measure.count or measure.sum} of each source, by its own rule"
    if measure.count is not None:
        return f"the number of rows of {measure.of}{_when(measure.count)}"
    share = ", times the company's share" if measure.share else ""
    summed = " ".join((measure.sum or "").split())
    return f"the sum of {summed} over {measure.of}{_when(measure.where) if measure.where else ''}{share}"


def _when(condition: str) -> str:
    return "" if condition == "true" else f" when {condition_in_words(condition)}"


def dimension_in_words(dimension: Dimension) -> str:
    """Returns a phrase for how a dimension breaks measures down."""
    by = dimension.column or " ".join((dimension.sql or "").split())
    words = f"by {by} of {dimension.of}"
    if dimension.split is not None:
        counts = "the first" if dimension.count_for == "first" else "each one, so counts do not add up"
        words += f", split at {dimension.split!r}: amounts in equal parts, counts for {counts}"
    return f"{words}; the {dimension.limit:,} largest members by name"


def return_in_words(rule: Return) -> str:
    """Which days a return counts."""
    days = "since the nearest earlier" if rule.look == "back" else "until the nearest later"
    condition = "" if rule.where is None else f" when {condition_in_words(rule.where)}"
    return f"days {days} job of the same {' and '.join(rule.same)}{condition}"


__all__ = ["dimension_in_words", "measure_in_words", "return_in_words"]
