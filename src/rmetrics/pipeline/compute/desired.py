"""The rows that published tables must hold after a computation."""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import polars as pl

from rmetrics.pipeline.compute.local import pieces_of, published_rows, stored_as
from rmetrics.pipeline.compute.names import CONTENTS
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.postgres.publish import Change, DesiredTable
from rmetrics.postgres.publish.digests import digests
from rmetrics.tables import PgTable


def table_contents(
    rows: Rows,
    tables: Sequence[PgTable],
    changes: Mapping[str, Change] | None = None,
) -> list[DesiredTable]:
    """Returns the desired rows of each published table.

    Args:
        rows: the rows of the computation.
        tables: the published tables.
        changes: by table, what the computation changed since the previous one.
    """
    sums = rows.snapshot.scan(CONTENTS).collect()
    return [
        DesiredTable(table, digests(sums, table), _months(rows, table), (changes or {}).get(table.name))
        for table in tables
    ]


def _months(rows: Rows, table: PgTable) -> Callable[[Collection[dt.date]], Iterator[pl.LazyFrame]]:
    def of(months: Collection[dt.date]) -> Iterator[pl.LazyFrame]:
        return (piece.of_months(stored_as(table), months, table.part) for piece in pieces_of(rows, table))

    return of


__all__ = ["published_rows", "table_contents"]
