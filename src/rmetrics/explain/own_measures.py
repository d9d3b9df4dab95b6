"""The rows behind an own measure, and its figures by day, source and segment."""

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from rmetrics.explain.asked import Query
from rmetrics.explain.evidence import Evidence, Frames, stamp_of, with_outcomes
from rmetrics.metrics.measures import amount, placed_journeys, placed_rows
from rmetrics.metrics.touches import row_of_place
from rmetrics.positions import COUNTED, FILE, LINE, LINES, PARTS
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.measure_tables import Measure, Unit
from rmetrics.rules.measure_words import measure_in_words
from rmetrics.rules.measures import measure_row, sums, unit_of
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS

_DECIMALS = {Unit.ONE: 0, Unit.CENT: 2, Unit.MICRO: 6}


def own_scales(rules: Rules) -> dict[str, int]:
    """Returns the decimals of each own sum."""
    return {n: _DECIMALS[unit_of(m.latest, rules)] for n, m in sums(rules, own=True).items()}


def own_evidence(measure: str, asked: Query, frames: Frames, rules: Rules) -> Iterator[Evidence]:
    """Yields the evidence of an own measure: one part per version of its declaration in force in the months."""
    declared = sums(rules, own=True)[measure]
    for number, (start, until, version) in enumerate(declared.rule.spans()):
        if (start is not None and start >= asked.end) or (until is not None and until <= asked.month):
            continue
        key = f"measures.{measure}" if number == 0 else f"measures.{measure}.changes.{number - 1}"
        yield _part(version, asked, frames, rules, (start, until), rules.place(key))


def _part(
    version: Measure,
    asked: Query,
    frames: Frames,
    rules: Rules,
    span: tuple[dt.date | None, dt.date | None],
    place: str,
) -> Evidence:
    of = version.of or ""
    feed, row = rules.feeds.get(of), measure_row(rules, of)
    condition = version.count or version.where
    value = pl.lit(1, dtype=pl.Int64) if version.count else amount(version, row, rules, blank=True)
    fits = pl.lit(value=True) if condition is None else is_true(condition, row)
    found = _touches(frames, rules) if feed is None else every_row(of, frames, rules)
    rows = found.with_columns(
        pl.col("_was").alias(COUNTED),
        pl.col("_on").alias("_day"),
        pl.col("_from").alias("_source"),
        pl.col("_kind").alias("_segment"),
        fits.alias("_fits"),
        value.alias("_amount"),
    )
    return Evidence(
        rule=measure_in_words(version),
        where=place,
        since=span[0],
        feed=of if feed else None,
        rows=with_outcomes(
            rows.drop("_was", "_on", "_from", "_kind"), asked, span, key=feed.key_columns if feed else ("touch_id",)
        ),
        scale=_DECIMALS[unit_of(version, rules)],
        condition=condition,
        row=row,
        stamp=stamp_of(feed, feed.date) if feed else None,
    )


def _touches(frames: Frames, rules: Rules) -> pl.LazyFrame:
    """Returns every touch, with the export and line of its row."""
    row = row_of_place()
    return placed_journeys(frames.journeys, rules).with_columns(
        (row // LINES).cast(pl.UInt32).alias(FILE),
        (row % LINES).alias(LINE),
        pl.lit(1, dtype=pl.Int64).alias(PARTS),
        pl.lit(value=True).alias("_was"),
    )


def every_row(of: str, frames: Frames, rules: Rules) -> pl.LazyFrame:
    """Returns every row of a feed in the form of ``placed_rows``; ``_was`` has whether it counts."""
    every = frames.feeds[of].with_columns(pl.col(COUNTED).alias("_was"), pl.lit(value=True).alias(COUNTED))
    if of == JOBS:
        made = ("job_id", "metric_date", "source", "segment", "paid", "is_unit", "is_repair", *rules.returns)
        facts = frames.facts.select(made)
        own = [n for n in facts.collect_schema().names() if n != "job_id"]
        every = every.drop(own, strict=False).join(facts, on="job_id", how="left")
    return placed_rows(of, every, frames.facts, rules)


def with_own_columns(daily: pl.DataFrame, own: pl.DataFrame, rules: Rules, names: Sequence[str]) -> pl.DataFrame:
    """Joins a column for each own measure to daily figures, in the type of its decimals; null if there is no figure.

    Args:
        daily: date, source, segment and the seven measures.
        own: date, source, segment, measure and value (a decimal).
        rules: the rules with the measures.
        names: the measures to add.
    """
    key = ["date", "source", "segment"]
    scales = own_scales(rules)
    for name in names:
        kind = pl.Int64() if scales[name] == 0 else pl.Decimal(18, scales[name])
        mine = own.filter(pl.col("measure") == name).select(*key, pl.col("value").cast(kind).alias(name))
        daily = daily.join(mine, on=key, how="full", coalesce=True)
    return daily


__all__ = ["every_row", "own_evidence", "own_scales", "with_own_columns"]
