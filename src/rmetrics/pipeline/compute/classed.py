"""Classes of the calls that new exports can change.

A class follows from the calls and jobs that share a number, and from the job a call names. The calls to examine again
are those that came, those that share a number with a changed call or job, and those that name such a job.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.call_classes import (
    CALLER,
    CLASS,
    CLASSED,
    WITHIN,
    CallRows,
    call_rows,
    classes_for,
    job_numbers,
    numbers_of,
)
from rmetrics.metrics.jobs import JOB_ID
from rmetrics.pipeline.compute.names import CLASSES
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.positions import POSITION
from rmetrics.rules.names import CALLS, JOBS


@dataclass(frozen=True, slots=True)
class Reclassed:
    """The calls whose classes were determined again.

    Attributes:
        made: their classes, by position.
        removed: the positions whose earlier classes no longer hold.
        was, now: rows of the feed with their classes: those that came, went, or changed class.
        keys: the numbers of the calls examined.
    """

    made: pl.DataFrame
    removed: pl.Series
    was: pl.DataFrame
    now: pl.DataFrame
    keys: pl.Series


def reclassed(old: Rows, rows: Rows, was: Mapping[str, pl.DataFrame], now: Mapping[str, pl.DataFrame]) -> Reclassed:
    """Determines the classes of calls after new exports.

    Args:
        old: the rows before the new exports.
        rows: the rows after them, without classes.
        was: by feed, the rows that came, went, or changed job, as they were.
        now: the same rows as they are.
    """
    rules = rows.rules
    before, after = (
        CallRows(call_rows(side[CALLS].lazy(), side[JOBS].lazy(), rules).calls, job_numbers(side[JOBS].lazy(), rules))
        for side in (was, now)
    )
    changed = _changed(before.jobs.collect(), after.jobs.collect())
    touched = [numbers_of(side.calls, CALLER) for side in (before, after)]
    touched.append(numbers_of(changed.lazy(), "phone"))
    every = call_rows(rows.linked(CALLS), rows.feed(JOBS), rules)
    current = pl.concat([side.calls.select(POSITION) for side in (before, after)]).collect()[POSITION]
    named = pl.col(JOB_ID).is_in(changed[JOB_ID].implode()) | pl.col(POSITION).is_in(current.implode())
    batch = pl.concat([every.calls_of(pl.concat(touched)), every.calls.filter(named)]).unique(POSITION).collect()
    keys = numbers_of(batch.lazy(), CALLER)
    made = classes_for(every, batch, rules)
    removed = pl.concat([batch[POSITION], was[CALLS][POSITION]]).unique()
    stored = old.snapshot.scan(CLASSES).filter(pl.col(POSITION).is_in(removed.implode())).collect()
    others = made.join(stored, on=list(CLASSED), how="anti", nulls_equal=True)[POSITION]
    others = others.filter(~others.is_in(pl.concat([was[CALLS][POSITION], now[CALLS][POSITION]]).implode()))
    same = rows.linked_at(CALLS, others).collect()

    def classed(side: pl.DataFrame, classes: pl.DataFrame) -> pl.DataFrame:
        every = pl.concat([side, same.select(side.columns)])
        return every.join(classes, on=POSITION, how="left", maintain_order="left")

    return Reclassed(made, removed, classed(was[CALLS], stored), classed(now[CALLS], made), keys)


def _changed(was: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Returns the jobs, from both sides, that came, went, or changed number or day."""
    removed = was.join(now, on=was.columns, how="anti", nulls_equal=True)
    added = now.join(was, on=was.columns, how="anti", nulls_equal=True)
    return pl.concat([removed, added])


__all__ = ["CLASS", "WITHIN", "Reclassed", "reclassed"]
