"""The desired contents of a published table, month by month."""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.periods import NO_PART
from rmetrics.postgres.publish.digests import Digest
from rmetrics.postgres.publish.months import conformed, polars_type
from rmetrics.tables import PgTable


@dataclass(frozen=True, slots=True)
class Change:
    """The changes of a table's rows since an earlier state.

    Attributes:
        before: the digest of each month in the earlier state.
        rows: the new and changed rows, in the table's columns.
        removed: the keys of the removed rows.
    """

    before: Mapping[dt.date, Digest]
    rows: pl.LazyFrame
    removed: pl.LazyFrame


@dataclass(frozen=True, slots=True)
class DesiredTable:
    """The desired contents of a table.

    Attributes:
        table: its name, columns and key.
        digests: of every month that has rows.
        months: returns the rows of some months, in pieces that are read one after the other, with the table's columns;
            more are allowed.
        change: the changes since an earlier state, if known: if the database is in that state, only the differing rows
            are sent to the server.
    """

    table: PgTable
    digests: Mapping[dt.date, Digest]
    months: Callable[[Collection[dt.date]], Iterable[pl.LazyFrame]]
    change: Change | None = None

    def __post_init__(self) -> None:
        table = self.table
        if table.sums and self.digests.keys() - {NO_PART} and table.part not in table.key:
            raise ValueError(f"{table.name} is added up over months: it must have none")

    def rows(self, months: Collection[dt.date]) -> Iterator[pl.LazyFrame]:
        """The conformed rows of some months, in at least one piece."""
        if not months:
            yield pl.LazyFrame(schema={c.name: polars_type(c.type) for c in self.table.columns})
            return
        for piece in self.months(months):
            yield conformed(self.table, piece)

    def removed(self) -> pl.DataFrame:
        """The keys of the rows that the change removed, in the table's types."""
        types = {c.name: polars_type(c.type) for c in self.table.columns if c.name in self.table.key}
        found = pl.LazyFrame(schema=types) if self.change is None else self.change.removed
        return found.select(pl.col(c).cast(t) for c, t in types.items()).collect()

    def differing(
        self, months: Collection[dt.date], published: Mapping[dt.date, Digest]
    ) -> tuple[Iterator[pl.LazyFrame], bool]:
        """The rows of some months that may differ from the published ones, and whether these are all rows there."""
        change = self.change
        if change is not None and all(published.get(m) == change.before.get(m) for m in months):
            return iter((conformed(self.table, change.rows),)), False
        return self.rows(months), True
