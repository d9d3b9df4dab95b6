"""The published list of declared measures."""

import polars as pl

from rmetrics.rules.measure_words import measure_in_words
from rmetrics.rules.measures import declared, shown_format
from rmetrics.rules.model import Rules

SCHEMA = {
    "measure": pl.String(),
    "place": pl.Int32(),
    "title": pl.String(),
    "format": pl.String(),
    "own": pl.Boolean(),
    "numerator": pl.String(),
    "denominator": pl.String(),
    "rule": pl.String(),
}


def catalogue(rules: Rules) -> pl.DataFrame:
    """Returns one row per measure: the seven, then the company's own in the order declared."""
    rows = []
    for place, (name, measure) in enumerate(declared(rules).items(), start=1):
        above, below = measure.latest.ratio or (None, None)
        words = measure_in_words(measure.latest)
        rows.append((name, place, measure.title, shown_format(measure, rules), measure.own, above, below, words))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
