"""The published figures of declared measures, per day and per month and member, computed from tallies.

Source: the design, section 8.
"""

import polars as pl

from rmetrics.metrics.measures import ROWS
from rmetrics.periods import local_noon
from rmetrics.rules.measure_tables import NONE, REST, SOURCES, Dimension, Unit
from rmetrics.rules.measures import is_additive, reached, sums, unit_of
from rmetrics.rules.model import Rules

VALUE = pl.Decimal(38, 6)
_MILLIONTHS = {Unit.ONE: 1_000_000, Unit.CENT: 10_000, Unit.MICRO: 1}


def measure_daily(tally: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns own measures per business day, source and segment.

    Args:
        tally: ``measures.MeasureSums.daily``, added up.
        rules: the measures and the business time zone.

    Returns:
        One row per (date, source, segment, measure) whose value is not 0, sorted: time (local noon), value.
    """
    return tally.select(
        "date",
        "source",
        "segment",
        "measure",
        local_noon(pl.col("date"), rules.business.timezone).alias("time"),
        _value(rules).alias("value"),
    ).sort("date", "source", "segment", "measure")


def _value(rules: Rules) -> pl.Expr:
    """Exact value of a tally's whole numbers, by the unit of the measure."""
    units = {n: _MILLIONTHS[unit_of(m.latest, rules)] for n, m in sums(rules).items()}
    factor = pl.col("measure").replace_strict(list(units), list(units.values()), default=1, return_dtype=pl.Int64)
    wide = pl.Decimal(38, 0)
    # Multiplied as decimals: the millionths of a large sum of seconds would overflow 64 bits.
    millionths = pl.col("amount").cast(wide) * factor.cast(wide)
    return (millionths.cast(VALUE) * pl.lit("0.000001").cast(VALUE)).cast(VALUE)


def totals(monthly: pl.LazyFrame, tally: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns each measure's total per month over all sources and segments, which its members must add up to.

    Args:
        monthly: ``rollup.monthly_metrics``.
        tally: ``measures.MeasureSums.daily``, added up.
        rules: the measures.

    Returns:
        One row per (month, measure): value.
    """
    shipped = list(sums(rules, own=False))
    wide = monthly.select("month", *(pl.col(n).cast(VALUE) for n in shipped))
    theirs = wide.unpivot(on=shipped, index="month", variable_name="measure", value_name="value")
    own = tally.select(pl.col("date").dt.month_start().alias("month"), "measure", _value(rules).alias("value"))
    return pl.concat([theirs, own]).group_by("month", "measure").agg(pl.col("value").sum().cast(VALUE))


def dimension_monthly(members: pl.LazyFrame, monthly: pl.LazyFrame, tally: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns all sums per month and member of each dimension.

    Args:
        members: ``measures.MeasureSums.members``, added up.
        monthly: ``rollup.monthly_metrics``.
        tally: ``measures.MeasureSums.daily``, added up.
        rules: the measures and dimensions.

    Returns:
        One row per (month, dimension, member, measure) whose value is not 0, sorted: time (local noon of the first),
        value, additive. The members with the most rows of the dimension over all months keep their names; the others
        are ``(other)``. Amounts without a row in the dimension's feed are ``(none)``.
    """
    schema = {
        "month": pl.Date(),
        "dimension": pl.String(),
        "member": pl.String(),
        "measure": pl.String(),
        "value": VALUE,
        "additive": pl.Boolean(),
    }
    company_totals = totals(monthly, tally, rules)
    parts = [pl.LazyFrame(schema=schema)]
    for name, dimension in rules.dimensions.items():
        parts.append(_of_dimension(name, dimension, members, company_totals, rules).select(*schema))
    key = ["month", "dimension", "member", "measure"]
    return (
        pl.concat(parts)
        .select(
            *key,
            local_noon(pl.col("month"), rules.business.timezone).alias("time"),
            "value",
            "additive",
        )
        .sort(key)
    )


def _of_dimension(
    name: str, dimension: Dimension, members: pl.LazyFrame, company_totals: pl.LazyFrame, rules: Rules
) -> pl.LazyFrame:
    of_this = members.filter(pl.col("dimension") == name)
    kept = largest(of_this, dimension)
    shown = (
        pl.when(pl.col("member").is_in([NONE]) | pl.col("_kept").fill_null(value=False))
        .then("member")
        .otherwise(pl.lit(REST))
    )
    named = (
        of_this.filter(pl.col("measure") != ROWS)
        .join(kept.with_columns(pl.lit(value=True).alias("_kept")), on="member", how="left")
        .select(pl.col("date").alias("month"), shown.alias("member"), "measure", _value(rules).alias("value"))
    )
    # Fees, monthly amounts and rows of other feeds have no row here: the total less the members' sums is (none).
    by_rest = [n for n, m in sums(rules).items() if m.latest.of == SOURCES or not reached(rules)[name, n]]
    rest = (
        pl.concat(
            [
                company_totals.filter(pl.col("measure").is_in(by_rest)).select("month", "measure", "value"),
                named.filter(pl.col("measure").is_in(by_rest)).select("month", "measure", -pl.col("value")),
            ]
        )
        .group_by("month", "measure")
        .agg(pl.col("value").sum().cast(VALUE))
        .select("month", pl.lit(NONE).alias("member"), "measure", "value")
    )
    additive = {n: is_additive(dimension, m.latest) for n, m in sums(rules).items()}
    return (
        pl.concat([named, rest])
        .group_by("month", "member", "measure")
        .agg(pl.col("value").sum().cast(VALUE))
        .filter(pl.col("value") != 0)
        .with_columns(
            pl.lit(name).alias("dimension"),
            pl.col("measure").replace_strict(additive, return_dtype=pl.Boolean).alias("additive"),
        )
    )


def largest(members: pl.LazyFrame, dimension: Dimension) -> pl.LazyFrame:
    """Returns the members that keep their names: those with the most rows over all months, ties by name.

    Args:
        members: the tally of one dimension.
        dimension: the dimension, with its limit of members.

    Returns:
        One column, member; ``(none)`` is not among them.
    """
    rows = pl.when(pl.col("measure") == ROWS).then(pl.col("amount")).otherwise(0).sum().alias("_rows")
    return (
        members.filter(pl.col("member") != NONE)
        .group_by("member")
        .agg(rows)
        .sort(["_rows", "member"], descending=[True, False])
        .head(dimension.limit)
        .select("member")
    )


__all__ = ["VALUE", "dimension_monthly", "largest", "measure_daily", "totals"]
