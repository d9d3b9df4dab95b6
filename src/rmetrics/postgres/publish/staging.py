"""The rows of one table on their way: into the empty table itself, or staged, merged and cleared of what is gone."""

import datetime as dt
from collections.abc import Mapping, Sequence
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
class Months:
    """The months of a table that are written anew.

    Attributes:
        changed: the months that are not published as they must be.
        gone: the months that have no rows any more.
        everything: whether every row of the table belongs to them.
        before: what these months added up to when they were published; None where that is not known.
    """

    content: DesiredTable
    changed: Sequence[dt.date]
    gone: Sequence[dt.date]
    everything: bool
    before: Totals | None = None

    @property
    def table(self) -> PgTable:
        """The table."""
        return self.content.table

    @property
    def inside(self) -> str:
        """The SQL condition for rows ``t`` of these months."""
        return "true" if self.everything else within(self.table, "t", [*self.changed, *self.gone])

    @property
    def rows(self) -> pl.LazyFrame:
        """What these months must hold."""
        return self.content.rows(self.changed)

    @property
    def totals(self) -> Totals:
        """What these months must add up to."""
        return added(nothing(self.table), *(self.content.digests[m].totals for m in self.changed))


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows of these months in a temporary table.

    Attributes:
        name: the table's.
        whole: whether it has all rows of the months, not only those that differ.
        as_they_were: what the months added up to without the rows that differ; None where all are read back.
    """

    months: Months
    name: str
    whole: bool
    as_they_were: Totals | None = None


def months_to_write(content: DesiredTable, published: Mapping[dt.date, Digest], *, everything: bool) -> Months | None:
    """The months that must be written; None where all are published as they must be.

    Args:
        content: what the table must hold.
        published: what the database says of its months.
        everything: whether every month is compared, whatever the bookkeeping says.
    """
    digests = content.digests
    changed = sorted(m for m in digests if everything or published.get(m) != digests[m])
    gone = sorted(m for m in published if m not in digests)
    if not changed and not gone and not everything:
        return None
    before, then = None, content.change.before if content.change else {}
    was = {m: published[m] for m in (*changed, *gone) if m in published}
    if all(then.get(m) == digest for m, digest in was.items()):
        before = added(nothing(content.table), *(then[m].totals for m in was))
    return Months(content, changed, gone, everything, before)


def fill(session: Session, content: DesiredTable) -> Months:
    """Copies all rows into the empty table; returns the months that were written."""
    table, months = content.table, sorted(content.digests)
    copy(session, table, content.rows(months), table.name, columns=table.names, schema=session.schema)
    return Months(content, months, (), everything=True)


def stage(session: Session, months: Months, published: Mapping[dt.date, Digest]) -> Staged:
    """Copies the rows of changed months, or those of them that may differ, into a temporary table."""
    table, rows, whole = months.table, months.rows, True
    if not months.everything and table.name not in (
        DAILY,
        MONTHLY,
        JOURNEY_METRICS,
        MEASURE_DAILY,
    ):  # changes of figures are noted from all of them
        with reading(table.name):
            rows, whole = months.content.differing([*months.changed, *months.gone], published)
    name = temporary(session, f"_stage_{table.name}", table, table.names)
    copy(session, table, rows, name, columns=table.names, schema=None)
    staged = Staged(months, name, whole)
    if whole or months.before is None:
        return staged
    session.execute(f"ANALYZE pg_temp.{quoted(name)}")  # else a join might read the whole table for a few rows
    return replace(staged, as_they_were=less(months.before, totals_of_keys(session, table, name)))


def merge(session: Session, staged: Staged) -> int:
    """Writes the staged rows that are not there as they are; returns how many.

    Rows that are go no further than one join: ON CONFLICT would look each of them up by its key and lock it.
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
    if staged.whole:
        same = " AND ".join(
            f"t.{quoted(c)} {'=' if c in table.key else 'IS NOT DISTINCT FROM'} s.{quoted(c)}" for c in table.names
        )
        where = f"WHERE NOT EXISTS (SELECT 1 FROM {quoted(table.name)} AS t WHERE {staged.months.inside} AND {same}) "
    return session.execute(
        f"INSERT INTO {quoted(table.name)} AS w ({columns}) SELECT {columns} "
        f"FROM pg_temp.{quoted(staged.name)} AS s {where}ON CONFLICT ({key}) {act}"
    )


def going(session: Session, staged: Staged) -> str | None:
    """The SQL condition for rows ``t`` that are there and must not be; None where there are as many as must be.

    All that must be there are by now.
    """
    months = staged.months
    table = months.table
    held = session.query(f"SELECT count(*) FROM {quoted(table.name)} AS t WHERE {months.inside}")[0][0]
    if held == months.totals[0]:
        return None
    same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)
    gone = months.content.gone()
    if not staged.whole and gone.height == held - months.totals[0]:  # nobody else's rows are there: these alone go
        keys = _keys(session, table, gone.lazy(), "gone")
        return f"EXISTS (SELECT 1 FROM pg_temp.{quoted(keys)} AS s WHERE {same})"
    keys = staged.name if staged.whole else _keys(session, table, months.rows, "keys")
    return f"{months.inside} AND NOT EXISTS (SELECT 1 FROM pg_temp.{quoted(keys)} AS s WHERE {same})"


def _keys(session: Session, table: PgTable, rows: pl.LazyFrame, what: str) -> str:
    """The keys of rows in a temporary table; returns its name."""
    name = temporary(session, f"_{what}_{table.name}", table, table.key)
    copy(session, table, rows, name, columns=table.key, schema=None)
    session.execute(f"ANALYZE pg_temp.{quoted(name)}")
    return name


def read_back(session: Session, months: Months, staged: Staged | None, removed: Totals) -> None:
    """Compares what the months add up to with what was sent; see the module ``read_back``.

    Args:
        session: in the publish transaction, when everything is written.
        months: of a table.
        staged: what was staged of them; None where they went into the empty table.
        removed: what the deleted rows added up to.

    Raises:
        ReadBackError: they differ.
    """
    table = months.table
    if staged is None or staged.as_they_were is None:
        held = totals_within(session, table, months.inside)
    else:
        held = less(added(staged.as_they_were, totals_of_keys(session, table, staged.name)), removed)
    require_equal(table, months.totals, held)
