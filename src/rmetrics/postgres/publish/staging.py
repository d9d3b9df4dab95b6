"""Writes one table's rows: directly into an empty table, or staged and merged, with removed rows deleted."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rmetrics.postgres.connection import Session, quoted
from rmetrics.postgres.publish.copying import copy, reading, temporary
from rmetrics.postgres.publish.desired import DesiredTable
from rmetrics.postgres.publish.digests import Digest, Totals, added, less, nothing
from rmetrics.postgres.publish.months import within
from rmetrics.postgres.publish.read_back import require_equal, totals_of_keys, totals_within
from rmetrics.tables import DAILY, JOURNEY_METRICS, MEASURE_DAILY, MONTHLY, PgTable


@dataclass(frozen=True, slots=True)
class RewrittenMonths:
    """The months of a table that are rewritten.

    Attributes:
        changed: months whose published rows are not as desired.
        removed: months that no longer have rows.
        everything: whether these are all rows of the table.
        before: the totals of these months when they were published; None if unknown.
    """

    content: DesiredTable
    changed: Sequence[dt.date]
    removed: Sequence[dt.date]
    everything: bool
    before: Totals | None = None

    @property
    def table(self) -> PgTable:
        """The table."""
        return self.content.table

    @property
    def inside(self) -> str:
        """The SQL condition for rows ``t`` of these months."""
        return "true" if self.everything else within(self.table, "t", [*self.changed, *self.removed])

    @property
    def rows(self) -> Iterator[pl.LazyFrame]:
        """The desired rows of these months, in at least one piece."""
        return self.content.rows(self.changed)

    @property
    def totals(self) -> Totals:
        """The desired totals of these months."""
        return added(nothing(self.table), *(self.content.digests[m].totals for m in self.changed))


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows of these months in a temporary table.

    Attributes:
        name: the temporary table's name.
        complete: whether it has all rows of the months, not only those that differ.
        before: totals of the months without the differing rows; None if all rows are read back.
    """

    months: RewrittenMonths
    name: str
    complete: bool
    before: Totals | None = None


def months_to_write(
    content: DesiredTable, published: Mapping[dt.date, Digest], *, everything: bool
) -> RewrittenMonths | None:
    """The months that must be written; None if all are published as desired.

    Args:
        content: the desired contents of the table.
        published: the digests of its published months, from the bookkeeping.
        everything: compare every month, regardless of the bookkeeping.
    """
    digests = content.digests
    changed = sorted(m for m in digests if everything or published.get(m) != digests[m])
    removed = sorted(m for m in published if m not in digests)
    if not changed and not removed and not everything:
        return None
    before, then = None, content.change.before if content.change else {}
    was = {m: published[m] for m in (*changed, *removed) if m in published}
    if all(then.get(m) == digest for m, digest in was.items()):
        before = added(nothing(content.table), *(then[m].totals for m in was))
    return RewrittenMonths(content, changed, removed, everything, before)


def fill(session: Session, content: DesiredTable) -> RewrittenMonths:
    """Copies all rows into the empty table; returns the months written."""
    table, months = content.table, sorted(content.digests)
    copy(session, table, content.rows(months), table.name, columns=table.names, schema=session.schema)
    return RewrittenMonths(content, months, (), everything=True)


def stage(session: Session, months: RewrittenMonths, published: Mapping[dt.date, Digest]) -> Staged:
    """Copies the rows of changed months, or only those that may differ, into a temporary table."""
    table, rows, complete = months.table, months.rows, True
    if not months.everything and table.name not in (
        DAILY,
        MONTHLY,
        JOURNEY_METRICS,
        MEASURE_DAILY,
    ):  # recording changed figures requires all rows
        with reading(table.name):
            rows, complete = months.content.differing([*months.changed, *months.removed], published)
    name = temporary(session, f"_stage_{table.name}", table, table.names)
    copy(session, table, rows, name, columns=table.names, schema=None)
    staged = Staged(months, name, complete)
    if complete or months.before is None:
        return staged
    session.execute(f"ANALYZE pg_temp.{quoted(name)}")  # otherwise a join may scan the whole table for a few rows
    return replace(staged, before=less(months.before, totals_of_keys(session, table, name)))


def merge(session: Session, staged: Staged) -> int:
    """Inserts new and updates changed rows from the stage; returns their number.

    Unchanged rows are filtered out by one join: ON CONFLICT would look up and lock each of them.
    """
    table = staged.months.table
    key = ", ".join(quoted(k) for k in table.key)
    others = [c for c in table.names if c not in table.key]
    columns = ", ".join(quoted(c) for c in table.names)
    act = "DO NOTHING"
    if others:
        sets = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in others)
        mine = ", ".join(f"w.{quoted(c)}" for c in others)
        theirs = ", ".join(f"excluded.{quoted(c)}" for c in others)
        act = f"DO UPDATE SET {sets} WHERE ({mine}) IS DISTINCT FROM ({theirs})"
    where = ""
    if staged.complete:
        same = " AND ".join(
            f"t.{quoted(c)} {'=' if c in table.key else 'IS NOT DISTINCT FROM'} s.{quoted(c)}" for c in table.names
        )
        where = f"WHERE NOT EXISTS (SELECT 1 FROM {quoted(table.name)} AS t WHERE {staged.months.inside} AND {same}) "
    return session.execute(
        f"INSERT INTO {quoted(table.name)} AS w ({columns}) SELECT {columns} "
        f"FROM pg_temp.{quoted(staged.name)} AS s {where}ON CONFLICT ({key}) {act}"
    )


def rows_to_delete(session: Session, staged: Staged) -> str | None:
    """The SQL condition for rows ``t`` to delete; None if the count is already as desired.

    Call it after ``merge``, when all desired rows are present.
    """
    months = staged.months
    table = months.table
    row_count = session.query(f"SELECT count(*) FROM {quoted(table.name)} AS t WHERE {months.inside}")[0][0]
    if row_count == months.totals[0]:
        return None
    same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)
    removed = months.content.removed()
    if (
        not staged.complete and removed.height == row_count - months.totals[0]
    ):  # no foreign rows: deleting these suffices
        keys = _keys(session, table, [removed.lazy()], "gone")
        return f"EXISTS (SELECT 1 FROM pg_temp.{quoted(keys)} AS s WHERE {same})"
    keys = staged.name if staged.complete else _keys(session, table, months.rows, "keys")
    return f"{months.inside} AND NOT EXISTS (SELECT 1 FROM pg_temp.{quoted(keys)} AS s WHERE {same})"


def _keys(session: Session, table: PgTable, rows: Iterable[pl.LazyFrame], what: str) -> str:
    """Copies the keys of rows into a temporary table; returns its name."""
    name = temporary(session, f"_{what}_{table.name}", table, table.key)
    copy(session, table, rows, name, columns=table.key, schema=None)
    session.execute(f"ANALYZE pg_temp.{quoted(name)}")
    return name


def read_back(session: Session, months: RewrittenMonths, staged: Staged | None, removed: Totals) -> None:
    """Compares the totals of the months with those sent; see the module ``read_back``.

    Args:
        session: in the publish transaction, after all writes.
        months: of a table.
        staged: their staged rows; None if they were loaded into the empty table.
        removed: totals of the deleted rows.

    Raises:
        ReadBackError: they differ.
    """
    table = months.table
    if staged is None or staged.before is None:
        totals = totals_within(session, table, months.inside)
    else:
        totals = less(added(staged.before, totals_of_keys(session, table, staged.name)), removed)
    require_equal(table, months.totals, totals)
