"""The publish protocol, from taking the lock to verifying the commit.

One transaction: take the lock; find the months of each table that differ from the published ones; stage their rows
with ADBC's COPY; insert and update differing rows, delete removed ones; record every changed figure; read counts and
sums back; write the run's row; commit; check for that row on a new connection. Tables are never truncated or replaced,
so readers neither wait nor see partial versions, and grants and views persist. There are two exceptions, whose readers
may wait for the commit: a table without rows (``bulk_load``), and the table of a feed whose key or column types were
edited, which is emptied and filled again (``ddl.reshape``).
"""

import contextlib
import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import polars as pl

from rmetrics.errors import BusyError, PostgresError
from rmetrics.periods import NO_PART
from rmetrics.postgres.connection import Server, Session, connect, quoted
from rmetrics.postgres.ddl import clear_withheld, reshape
from rmetrics.postgres.outside_writes import changed_outside, noted
from rmetrics.postgres.ownership import BOOKKEEPING, require_own
from rmetrics.postgres.publish.bulk_load import KeylessLoadError, keys_built_after
from rmetrics.postgres.publish.copying import require_types
from rmetrics.postgres.publish.desired import DesiredTable
from rmetrics.postgres.publish.digests import Digest, Totals, are_months_of, nothing
from rmetrics.postgres.publish.first_load import keys_checked_at_once
from rmetrics.postgres.publish.metric_changes import (
    FinerCauses,
    note_changes,
    note_measure_changes,
    note_member_changes,
    store_causes,
)
from rmetrics.postgres.publish.read_back import ReadBackError, delete_totalled
from rmetrics.postgres.publish.staging import (
    RewrittenMonths,
    Staged,
    fill,
    merge,
    months_to_write,
    read_back,
    rows_to_delete,
    stage,
)
from rmetrics.postgres.run_log import Run, begin_run, end_run, is_published, last_run, noted_counters
from rmetrics.tables import DAILY, DIMENSION_MONTHLY, JOURNEY_METRICS, MEASURE_DAILY, MONTHLY, PgTable

_WORK_MEM = "64MB"  # for joins of staged with published rows
_LOCK = "hashtextextended('rmetrics:publish:' || $1, 0)"
_PARTS: dict[str, Any] = {
    "table_name": pl.String,
    "part": pl.Date,
    "rows": pl.Int64,
    "digest": pl.String,
    "run_id": pl.String,
}
_FEEDS: dict[str, Any] = {
    "feed": pl.String,
    "table_name": pl.String,
    "rows": pl.Int64,
    "last_date": pl.Date,
    "last_export_at": pl.Datetime("us", "UTC"),
    "exports": pl.Int32,
}
_FORECASTS: dict[str, Any] = {
    "date": pl.Date,
    "source": pl.String,
    "measure": pl.String,
    "time": pl.Datetime("us", "UTC"),
    "month": pl.Date,
    "as_of": pl.Date,
    "value": pl.Decimal(18, 2),
    "low": pl.Decimal(18, 2),
    "high": pl.Decimal(18, 2),
    "past_months": pl.Int32,
}


@dataclass(frozen=True, slots=True)
class OutsideWrites:
    """Writes by others to one of our tables.

    Attributes:
        removed: deleted rows that no publish had written.
        restored: changed or deleted rows that were restored to their published values.
        first: the key of the first removed row.
    """

    table: str
    removed: int
    restored: int
    first: str


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a publish.

    Attributes:
        rows: number of rows inserted, updated and deleted, by table; 0 for untouched tables.
        outside_writes: writes by others that were undone.
    """

    rows: Mapping[str, int]
    outside_writes: tuple[OutsideWrites, ...] = ()


def publish(
    server: Server,
    schema: str,
    contents: Sequence[DesiredTable],
    run: Run,
    *,
    schema_digest: str,
    cause: str,
    causes: FinerCauses | None = None,
    full: bool = False,
    after: str | None = None,
    settled: Callable[[], Run] | None = None,
) -> Written:
    """Makes the database hold exactly the given contents.

    Args:
        server: the server to publish to.
        schema: the PostgreSQL schema.
        contents: all tables, each after those it references.
        run: the row for ``sync_runs``.
        schema_digest: of the schema script in force.
        cause: why figures changed, for ``metric_changes``.
        causes: finer causes, where they are known.
        full: compare every row of every month, whatever the bookkeeping says.
        after: the run that was the last one when it was decided to publish; None where there was none.
        settled: waits until it is known that the contents may be published, just before the commit; returns the row for
            ``sync_runs`` as it is by then. What it raises rolls everything back. None: that is known.

    Raises:
        BusyError: another run is publishing to the same database, or has published since ``after``.
        LakeError: the rows cannot be read.
        PostgresError: a column type differs, a statement fails, or the rows read back differ from those sent; nothing
            is changed then.
    """

    def attempt(*, bare: bool = True, everything: bool = full) -> _Publication:
        with connect(server, schema=schema) as session, session.transaction():
            work = _Publication(session, run, cause, full=everything)
            work.begin(after, [c.table.name for c in contents])
            store_causes(session, causes)
            work.put(contents, bare=bare)
            if settled is not None:
                work.run = settled()
            work.record(schema_digest)
            return work

    try:
        work = attempt()
    except KeylessLoadError:  # rolled back; the obstacle affects only the faster load
        work = attempt(bare=False)
    except ReadBackError:
        if full:
            raise
        work = attempt(everything=True)  # else rows changed unnoticed by others would fail every later publish
    with connect(server, schema=schema) as session:
        if not is_published(session, run.run_id):
            raise PostgresError(
                f"the run is missing from the database at {server.label} after the commit", "Run the sync again."
            )
        # The publish is committed and verified. If housekeeping fails here, the server's autovacuum catches up later.
        with contextlib.suppress(PostgresError), session.autocommit() as outside:
            _maintain(outside, schema, [n for n, w in work.written.items() if w], work.analysed)
    return Written(work.written, tuple(work.outside_writes))


def _maintain(session: Session, schema: str, tables: Sequence[str], analysed: Collection[str]) -> None:
    """Vacuums and analyses the tables that autovacuum would.

    An embedded server may never run long enough for its own autovacuum.
    """
    vacuum = "n_dead_tup > 50 + 0.2 * n_live_tup OR n_ins_since_vacuum > 1000 + 0.2 * n_live_tup"
    analyze = "n_mod_since_analyze > 50 + 0.1 * n_live_tup"
    due = session.query(
        f"SELECT relname::text, {vacuum}, {analyze} FROM pg_stat_user_tables "
        "WHERE schemaname = $2 AND relname = ANY (string_to_array($1, ',')) "
        f"AND ({vacuum} OR {analyze})",
        [",".join(tables), schema],
    )
    for table, vacuuming, changed in due:
        analysing = changed and table not in analysed  # ANALYZE leaves its own transaction's rows counted
        verb = ("VACUUM (ANALYZE)" if analysing else "VACUUM") if vacuuming else "ANALYZE"
        if not (vacuuming or analysing):
            continue
        session.execute(f"{verb} {quoted(schema)}.{quoted(table)}")


def _rows_of_empty(session: Session, contents: Sequence[DesiredTable]) -> dict[str, int]:
    """The desired number of rows of each table that is empty."""
    names = [c.table.name for c in contents]
    asked = " UNION ALL ".join(f"SELECT '{n}' WHERE NOT EXISTS (SELECT 1 FROM {quoted(n)})" for n in names)
    empty = {str(name) for (name,) in session.query(asked)} if names else set[str]()
    found = dict[str, int]()
    for content in contents:
        if content.table.name in empty:
            found[content.table.name] = sum(d.rows for d in content.digests.values())
    return found


class _Publication:
    """The steps of one publish transaction."""

    def __init__(self, session: Session, run: Run, cause: str, *, full: bool) -> None:
        self.session, self.run, self.cause, self.full = session, run, cause, full
        self.written: dict[str, int] = {}
        self.outside_writes: list[OutsideWrites] = []
        self.own: frozenset[str] = frozenset()
        self.analysed: frozenset[str] = frozenset()
        self._digests: dict[str, Mapping[dt.date, Digest]] = {}
        self._months: dict[str, RewrittenMonths] = {}
        self._staged: dict[str, Staged] = {}
        self._removed: dict[str, Totals] = {}
        self._published: dict[str, dict[dt.date, Digest]] = {}
        self._others: frozenset[str] = frozenset()

    def begin(self, after: str | None, tables: Sequence[str]) -> None:
        """Takes the lock, reads the published state, and writes the run's row."""
        session, label = self.session, self.session.server.label
        if not session.query(f"SELECT pg_try_advisory_xact_lock({_LOCK})", [session.schema])[0][0]:
            raise BusyError(
                f"another run is publishing to {label} ({self._holder()})", "Wait for it to finish, then run again."
            )
        self.own = require_own(session, [*BOOKKEEPING, *tables])
        last = last_run(session)
        if last != after:  # the decision to publish was based on ``after``; under the lock the state is final
            raise BusyError(f"another run has published to {label} in the meantime ({last})", "Run again.")
        _settle(session)
        for name, part, rows, digest in session.query("SELECT table_name, part, rows, digest FROM published_parts"):
            self._published.setdefault(name, {})[part] = Digest(rows, digest)
        self._others = changed_outside(session, tables, noted_counters(session, after))
        begin_run(session, self.run)

    def _holder(self) -> str:
        holder = self.session.query(
            "SELECT a.pid, coalesce(host(a.client_addr), 'this machine'), "
            "coalesce(to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '?') "
            "FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
            f"WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = "
            f"(SELECT oid FROM pg_database WHERE datname = current_database()) "
            f"AND (l.classid::bigint << 32) + l.objid::bigint = {_LOCK}",
            [self.session.schema],
        )
        return (
            f"server process {holder[0][0]} from {holder[0][1]}, since {holder[0][2]} UTC"
            if holder
            else "it has just finished"
        )

    def put(self, contents: Sequence[DesiredTable], *, bare: bool) -> None:
        """Makes the tables hold the contents, and reads them back.

        Args:
            contents: all tables, each after those it refers to.
            bare: fill empty tables without their keys, which are built afterwards.
        """
        self.empty_abandoned([c.table.name for c in contents])
        tables = [c.table for c in contents]
        for name in reshape(self.session, tables, self.own):
            self._published.pop(name, None)
        clear_withheld(self.session, tables, self.own)
        empty = _rows_of_empty(self.session, contents)
        with keys_built_after(self.session, empty if bare else {}, self.own) as self.analysed:
            for content in contents:
                if empty.get(content.table.name):
                    self.fill(content)
                else:
                    self.write(content)
        for content in reversed(contents):
            self.remove(content.table)
        for content in contents:
            self.read_back(content.table)

    def empty_abandoned(self, wanted: Collection[str]) -> None:
        """Empties tables whose feed is no longer in the rules.

        The table is kept for its grants and for panels that read it; the rows remain in the lake and return with the
        feed. If left in, they would look current and reference jobs through their foreign key.
        """
        for name in sorted(set(self._published) - set(wanted)):
            if name in self.own:
                self.written[name] = self.session.execute(f"DELETE FROM {quoted(name)}")
            self.session.execute("DELETE FROM published_parts WHERE table_name = $1", [name])

    def fill(self, content: DesiredTable) -> None:
        """Copies all rows into an empty table."""
        table = content.table
        require_types(self.session, table)
        with keys_checked_at_once(self.session, table.name):
            months = fill(self.session, content)
        self._digests[table.name], self._months[table.name] = content.digests, months
        self.written[table.name] = sum(d.rows for d in content.digests.values())

    def write(self, content: DesiredTable) -> None:
        """Stages the rows of changed months, and inserts or updates those that differ."""
        table, session = content.table, self.session
        published = self._published.get(table.name, {})
        everything = self.full or table.name in self._others or not are_months_of(table, published)
        self._digests[table.name], self.written[table.name] = content.digests, 0
        months = months_to_write(content, published, everything=everything)
        if months is None:
            return
        self._months[table.name] = months
        require_types(session, table)
        staged = self._staged[table.name] = stage(session, months, published)
        if table.name in (DAILY, MONTHLY, JOURNEY_METRICS):
            note_changes(session, table, staged.name, months.inside, self.run.run_id, self.cause)
        if table.name == MEASURE_DAILY:
            note_measure_changes(session, staged.name, months.inside, self.run.run_id, self.cause)
        if table.name == DIMENSION_MONTHLY:
            note_member_changes(session, staged.name, months.inside, self.run.run_id, self.cause)
        put = merge(session, staged)
        self.written[table.name] += put
        if put and everything and published == content.digests:  # published as desired, yet rows had to be written
            self.outside_writes.append(OutsideWrites(table.name, 0, put, ""))

    def remove(self, table: PgTable) -> None:
        """Deletes rows of changed months that are no longer desired."""
        staged = self._staged.get(table.name)
        if staged is None or (rows := rows_to_delete(self.session, staged)) is None:
            return
        if table.name in self._others:
            self._note_foreign_rows(table, rows)
        self._removed[table.name] = removed = delete_totalled(self.session, table, rows)
        self.written[table.name] += int(removed[0])

    def _note_foreign_rows(self, table: PgTable, rows: str) -> None:
        """Records rows to delete that no publish wrote: those of months whose desired contents are already published.

        In a month that also changes, the rows may come from an earlier publish, so they are not reported.
        """
        part = f"date_trunc('month', t.{quoted(table.part)})::date" if table.part else "NULL::date"
        key = ", ".join(f"t.{quoted(k)}" for k in table.key)
        found = self.session.query(
            f"SELECT coalesce({part}, '{NO_PART.isoformat()}'::date), count(*), min(concat_ws(', ', {key})) "
            f"FROM {quoted(table.name)} AS t WHERE {rows} GROUP BY 1 ORDER BY 1"
        )
        known, wanted = self._published.get(table.name, {}), self._digests[table.name]
        foreign = [(n, first) for month, n, first in found if known.get(month) == wanted.get(month)]
        if foreign:
            removed = sum(n for n, _ in foreign)
            self.outside_writes.append(OutsideWrites(table.name, removed, 0, foreign[0][1]))

    def read_back(self, table: PgTable) -> None:
        """Compares the totals of the changed months with those sent."""
        if (months := self._months.get(table.name)) is not None:
            removed = self._removed.get(table.name, nothing(table))
            read_back(self.session, months, self._staged.get(table.name), removed)

    def record(self, schema_digest: str) -> None:
        """Writes the bookkeeping: parts, freshness, time zone, and the run's own row."""
        run, session = self.run, self.session
        new = list[tuple[object, ...]]()
        for name, months in self._months.items():
            where = "" if months.everything else f" AND part = ANY ({_dates([*months.changed, *months.removed])})"
            session.execute(f"DELETE FROM published_parts WHERE table_name = $1{where}", [name])
            for month in months.changed:
                new.append(
                    (name, month, months.content.digests[month].rows, months.content.digests[month].digest, run.run_id)
                )
        if new:
            frame = pl.DataFrame(new, schema=_PARTS, orient="row")
            session.ingest("published_parts", frame.to_arrow(), schema=session.schema)
        self._replace_small("business", pl.DataFrame({"timezone": [run.timezone], "currency": [run.currency]}))
        if run.feeds is not None:
            feeds = [(f.feed, f.table, f.rows, f.last_date, f.last_export_at, f.exports) for f in run.feeds]
            self._replace_small("feed_status", pl.DataFrame(feeds, schema=_FEEDS, orient="row"))
        forecasts = [astuple(f) for f in run.forecasts]
        self._replace_small("forecasts", pl.DataFrame(forecasts, schema=_FORECASTS, orient="row"))
        counters = noted(session, list(self._digests))
        if counters:  # make this session's counts visible to the next run
            session.query("SELECT pg_stat_force_next_flush()::text")
        end_run(
            session,
            run,
            schema=schema_digest,
            counters=counters,
            published=self.written,
            first_months=sorted(set(self._digests.get(MONTHLY, ())) - set(self._published.get(MONTHLY, ()))),
        )

    def _replace_small(self, table: str, frame: pl.DataFrame) -> None:
        self.session.execute(f"DELETE FROM {quoted(table)}")
        if frame.height:
            self.session.ingest(table, frame.to_arrow(), schema=self.session.schema)


def _settle(session: Session) -> None:
    """Sets the limits for a publish, regardless of the role's settings."""
    session.execute("SET LOCAL lock_timeout = '10s'")
    # A COPY may take as long as it needs; the role's limits are meant for queries.
    session.execute("SET LOCAL statement_timeout = 0")
    if session.query("SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'"):  # PostgreSQL 17 and later
        session.execute("SET LOCAL transaction_timeout = 0")
    # Without this, a connection lost by the network would hold the lock until TCP notices: hours.
    session.execute("SET LOCAL idle_in_transaction_session_timeout = '15min'")
    session.execute("SET LOCAL synchronous_commit = on")
    session.execute(f"SET LOCAL work_mem = '{_WORK_MEM}'")


def _dates(parts: Sequence[dt.date]) -> str:
    return "'{" + ",".join(p.isoformat() for p in parts) + "}'::date[]"
