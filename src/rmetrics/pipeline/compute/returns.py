"""Returning customers in a computation: of all jobs, or of those a change can reach.

The days between jobs depend on which jobs share a number, and on which numbers are the company's own. A change
therefore reaches the jobs of the customers whose jobs changed.
"""

from collections.abc import MutableMapping, Sequence

import polars as pl

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Layer, write_layer
from rmetrics.metrics.phones import KEY, keyed, rows_with_phones
from rmetrics.metrics.returns import nearest, settled
from rmetrics.pipeline.compute.names import FACTS, RETURNS
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.stages import bucket, with_facts
from rmetrics.positions import COUNTED, POSITION
from rmetrics.rules import Rules
from rmetrics.rules.measures import customer_column
from rmetrics.rules.names import JOBS


def write_returns(lake: Lake, rows: Rows, tables: MutableMapping[str, Sequence[Layer]], buckets: int = 1) -> None:
    """Adds the table of returns to ``tables`` if the rules declare returns; needs the facts of jobs.

    Args:
        lake: receives the table.
        rows: the rows in force.
        tables: the tables of ``rows``.
        buckets: how many buckets the numbers are cut into; only one is in memory at a time.
    """
    if not rows.rules.returns:
        return
    jobs = with_facts(rows.feed(JOBS), rows.snapshot.scan(FACTS))
    cuts = [
        nearest(jobs, rows.rules, bucket(pl.col(KEY), number, buckets)).collect(engine="streaming").lazy()
        for number in range(buckets)
    ]
    tables[RETURNS] = (write_layer(lake, RETURNS, settled(cuts, rows.rules).sort(POSITION).collect()),)


def recounted(rows: Rows, versions: Sequence[pl.DataFrame]) -> tuple[pl.Series, pl.DataFrame]:
    """Recounts the days of every job that a change can reach.

    Args:
        rows: the rows in force, with their facts.
        versions: the changed jobs, as they were and as they are.

    Returns:
        The positions examined, including those of the changed jobs; and the result of ``metrics.returns.settled``
        for them.
    """
    near = same_customers(rows, versions)
    inputs = same_customers(rows, [rows.at(JOBS, near).collect()])
    jobs = rows.jobs_at(inputs).collect().lazy()
    found = settled([nearest(jobs, rows.rules)], rows.rules).filter(pl.col(POSITION).is_in(near.implode()))
    looked = pl.concat([near, *(f[POSITION] for f in versions)]).unique()
    return looked, found.collect()


def same_customers(rows: Rows, jobs: Sequence[pl.DataFrame]) -> pl.Series:
    """Returns the positions of all jobs that count and share a number with the given jobs."""
    rules, found = rows.rules, [pl.Series(POSITION, [], dtype=pl.Int64)]
    for phone in customer_columns(rules):
        numbers = pl.concat([keyed(f.lazy().select(phone), phone) for f in jobs]).select(KEY).unique().collect()[KEY]
        numbers = numbers.filter(~numbers.is_in(rules.journeys.always_own()))
        every = rows.feed(JOBS).filter(pl.col(COUNTED)).select(POSITION, phone)
        found.append(rows_with_phones(every, phone, numbers).select(POSITION).collect(engine="streaming")[POSITION])
    return pl.concat(found).unique()


def customer_columns(rules: Rules) -> list[str]:
    """Returns the phone columns of jobs that identify returning customers."""
    return list(dict.fromkeys(customer_column(r, rules) for r in rules.returns.values()))


__all__ = ["customer_columns", "recounted", "same_customers", "write_returns"]
