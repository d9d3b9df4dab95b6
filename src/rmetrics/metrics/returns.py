"""Returning customers: days between a job and the nearest other job of the same customer.

Customers are identified as for journeys: by each whole number of a cell, with its extension; the company's own numbers
and shared numbers identify nobody. ``[returns.NAME]`` declares which other columns both jobs share, and which jobs are
looked for.
"""

from collections.abc import Sequence

import polars as pl

from rmetrics.metrics.jobs import METRIC_DATE, creation_day
from rmetrics.metrics.matches import with_shared
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.positions import POSITION
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.measure_tables import Return
from rmetrics.rules.measures import customer_column, return_row
from rmetrics.rules.model import Rules

_DAY, _ENTERED, _CELL, _QUALIFIES, _NEAREST = "_day", "_entered", "_cell", "_sought", "_nearest"


def return_schema(rules: Rules) -> dict[str, pl.DataType]:
    """Returns the columns of ``settled``."""
    return {POSITION: pl.Int64(), **dict.fromkeys(rules.returns, pl.Int64())}


def nearest(jobs: pl.LazyFrame, rules: Rules, inside: pl.Expr | None = None) -> pl.LazyFrame:
    """Returns days to the nearest other job, by number; any subset of numbers will do, as ``settled`` combines them.

    Args:
        jobs: job facts with the columns of their feed, and ``POSITION``; must include all jobs of each customer.
        rules: returns and journeys; who counts as a customer depends on the rules in force when a job was created.
        inside: the numbers (``phones.KEY``) to include; None: all.

    Returns:
        The columns of ``return_schema``; a job may have several rows, or none if there is no return. Jobs without a
        metric date count nowhere and are no returns.
    """
    parts = [pl.LazyFrame(schema=return_schema(rules))]
    parts += [_nearest(name, rule, jobs, rules, inside) for name, rule in rules.returns.items()]
    return pl.concat(parts, how="diagonal")


def settled(parts: Sequence[pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """Combines several subsets of ``nearest`` into one row per job: the fewest days over all its numbers."""
    every = pl.concat([pl.LazyFrame(schema=return_schema(rules)), *parts])
    return every.group_by(POSITION).agg(pl.col(n).min() for n in rules.returns)


def _nearest(name: str, rule: Return, jobs: pl.LazyFrame, rules: Rules, inside: pl.Expr | None) -> pl.LazyFrame:
    phone = customer_column(rule, rules)
    same_columns = {f"_alike{i}": c for i, c in enumerate(c for c in rule.same if c != phone)}
    qualifies = pl.lit(value=True) if rule.where is None else is_true(rule.where, return_row(rules))
    rows = jobs.filter(pl.col(METRIC_DATE).is_not_null()).select(
        POSITION,
        pl.col(METRIC_DATE).alias(_DAY),
        creation_day(rules).alias(_ENTERED),
        pl.col(phone).alias(_CELL),
        qualifies.alias(_QUALIFIES),
        *(pl.col(c).alias(n) for n, c in same_columns.items()),
    )
    every = keyed(rows, _CELL)
    every = every if inside is None else every.filter(inside)
    own = in_force(rules.journeys.common, pl.col(_ENTERED), lambda j: pl.col(KEY).is_in(list(j.own_numbers)))
    every = every.filter(~own)
    known = with_shared(every, every.select(KEY, pl.col(_ENTERED).alias("job_day")), rules, day=_ENTERED)
    filled = pl.all_horizontal(pl.lit(value=True), *(pl.col(n).is_not_null() for n in same_columns))
    usable = known.filter(~pl.col("shared") & filled)
    whose = [KEY, *same_columns]
    days = usable.group_by(*whose, _DAY).agg(pl.col(_QUALIFIES).any()).sort(*whose, _DAY)
    qualifying_day = pl.when(_QUALIFIES).then(_DAY)
    # Only earlier, or later, days qualify: jobs of the same day are no returns of each other.
    other = qualifying_day.shift(1).forward_fill() if rule.look == "back" else qualifying_day.shift(-1).backward_fill()
    of_days = days.with_columns(other.over(whose).alias(_NEAREST)).drop_nulls(_NEAREST)
    found = usable.join(of_days.select(*whose, _DAY, _NEAREST), on=[*whose, _DAY])
    distance = (pl.col(_DAY) - pl.col(_NEAREST)).dt.total_days().abs()
    return found.group_by(POSITION).agg(distance.min().alias(name))


__all__ = ["nearest", "return_schema", "settled"]
