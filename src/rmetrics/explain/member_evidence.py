"""The rows behind a member's share of a measure, each with the member's part of its amount.

Rows of other members get an outcome of their own (``RowOutcome.OTHER_MEMBER``), so the counted rows add up to the
member's figure, and those of all members, ``(none)`` and ``(other)`` to the whole.

Source: the design, section 8.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from rmetrics.explain.asked import Query, RowOutcome
from rmetrics.explain.evidence import Evidence, Frames, evidence
from rmetrics.explain.own_measures import every_row, own_evidence
from rmetrics.metrics.measures import member_column, names_in
from rmetrics.metrics.newest import in_force
from rmetrics.money import cents, share_units
from rmetrics.positions import FILE, LINE
from rmetrics.rules.measure_tables import NONE, REST, SOURCES, Dimension, Measure, Unit
from rmetrics.rules.measures import applies, is_additive, sums, unit_of
from rmetrics.rules.model import Rules

_NAMES = "_names"
_UNDATED = [o.value for o in (RowOutcome.NO_DATE, RowOutcome.OTHER_MONTH, RowOutcome.OTHER_TIME)]


@dataclass(frozen=True, slots=True)
class MemberQuery:
    """The member whose share of a measure is requested.

    Attributes:
        dimension: its name.
        member: as published; ``(none)`` and ``(other)`` are members.
        kept: the members that are published by name.
    """

    dimension: str
    member: str
    kept: frozenset[str]


def member_evidence(measure: str, asked: Query, of: MemberQuery, frames: Frames, rules: Rules) -> Iterator[Evidence]:
    """Yields the evidence of a member's share of a measure, in the parts of the measure's own evidence.

    Args:
        measure: a sum, shipped or own.
        asked: months of the whole company.
        of: the member.
        frames: the frames of the lake.
        rules: all rules.
    """
    declared = sums(rules)[measure]
    dimension = rules.dimensions[of.dimension]
    parts = own_evidence if declared.own else evidence
    for part in parts(measure, asked, frames, rules):
        if _has_members(part, declared.latest, dimension, rules):
            yield _of_member(part, declared.latest, of, frames, rules)
        elif of.member == NONE:  # fees, monthly amounts, rows of feeds without jobs
            yield part


def _has_members(part: Evidence, measure: Measure, dimension: Dimension, rules: Rules) -> bool:
    if part.feed is None:
        return False
    if measure.of != SOURCES:
        return applies(dimension, part.feed, rules)
    return part.feed == dimension.of and not part.priced and part.split is None


def _of_member(part: Evidence, measure: Measure, of: MemberQuery, frames: Frames, rules: Rules) -> Evidence:
    dimension = rules.dimensions[of.dimension]
    text = member_column(of.dimension)
    rows = part.rows
    if text not in rows.collect_schema().names():
        placed = every_row(part.feed or "", frames, rules).select(FILE, LINE, text)
        rows = rows.join(placed, on=[FILE, LINE], how="left")
    known = [*of.kept, NONE]
    is_member = pl.element() == of.member if of.member != REST else ~pl.element().is_in(known)
    rows = rows.with_columns(names_in(pl.col(text), dimension.split).list.eval(is_member).alias(_NAMES))
    mine = pl.col(_NAMES).list.any()
    first = is_additive(dimension, measure) and measure.count is not None
    undated = pl.col("_outcome").is_in(_UNDATED)
    outcome = (
        pl.when(undated)
        .then("_outcome")
        .when(~mine)
        .then(pl.lit(RowOutcome.OTHER_MEMBER.value))
        .when((pl.col("_outcome") == RowOutcome.COUNTED.value) & pl.lit(first) & ~pl.col(_NAMES).list.first())
        .then(pl.lit(RowOutcome.NAMED_AFTER.value))
        .otherwise("_outcome")
    )
    rows = rows.with_columns(
        _part(measure, first=first, rules=rules).alias("_amount"), outcome.alias("_outcome"), mine.alias("_mine")
    )
    return dataclasses.replace(part, rows=rows.drop(_NAMES), near=pl.col("_mine"))


def _part(measure: Measure, *, first: bool, rules: Rules) -> pl.Expr:
    """Returns the member's part of a row's amount; the company's share is applied to cents after they are split."""
    hits, full_amount = pl.col(_NAMES), pl.col("_amount")
    if first:
        return full_amount
    if measure.count is not None:
        return full_amount * hits.list.sum().cast(pl.Int64)
    shared = unit_of(measure, rules) is Unit.MICRO
    amount = cents(pl.col("amount")) if shared else full_amount
    count = hits.list.len().cast(pl.Int64)
    # The remaining cents go to the members named first, one each. Floor division would round a refund away from zero,
    # so it is applied to the absolute amount.
    more = hits.list.head(amount.abs() % count).list.sum().cast(pl.Int64)
    parted = amount.sign() * ((amount.abs() // count) * hits.list.sum().cast(pl.Int64) + more)
    if not shared:
        return parted
    return parted * in_force(rules.revenue, pl.col("_day"), lambda r: pl.lit(share_units(r.share), dtype=pl.Int64))


__all__ = ["MemberQuery", "member_evidence"]
