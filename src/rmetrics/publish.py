"""The publish protocol: everything a run computed becomes visible in PostgreSQL at once, or nothing does.

One transaction: take the lock; see which months of which tables differ from what is published; stage those rows through
ADBC's COPY; insert and update what differs, delete what is gone; note every changed figure; read counts and sums back;
write the run's row; commit; look for that row on a new connection. Rows are never truncated and tables never replaced,
so readers neither wait nor see anything but whole versions, and grants and views last.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rmetrics.contents import Content, Digest, within
from rmetrics.errors import BusyError, LakeError, PostgresError
from rmetrics.first_load import keys_checked_at_once
from rmetrics.ownership import BOOKKEEPING, require_own
from rmetrics.periods import NO_PART
from rmetrics.postgres import Server, Session, catalog, connect, quoted
from rmetrics.schema import schema_in_force
from rmetrics.tables import DAILY, MONTHLY, PgTable
from rmetrics.witness import noted, written_by_others

MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
_BATCH = 65_536
_WORK_MEM = "64MB"  # for the joins of staged rows with what is there
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


@dataclass(frozen=True, slots=True)
class FeedState:
    """What ``feed_status`` says of a feed."""

    feed: str
    table: str
    rows: int
    last_date: dt.date | None
    last_export_at: dt.datetime | None
    exports: int


@dataclass(frozen=True, slots=True)
class Run:
    """What ``sync_runs`` says of a run.

    Attributes:
        exports: the hashes of all exports the numbers come from.
        inputs: the digest of everything the numbers depend on.
        feeds: how fresh each feed is; None leaves what was published of it.
        detail: anything else to keep.
    """

    run_id: str
    started_at: dt.datetime
    rules_hash: str
    version: str
    files: int
    rows_read: int
    rows_rejected: int
    exports: Sequence[str]
    inputs: str
    timezone: str
    currency: str
    feeds: Sequence[FeedState] | None = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """What the database says of the last run that published.

    Attributes:
        exports: hashes of the exports it used; None where no run published yet.
        schema: the digest of the schema script in force.
        intact: whether every table still has as many rows as were published, and was not upgraded since.
    """

    run_id: str | None = None
    exports: frozenset[str] = frozenset()
    inputs: str = ""
    rules_hash: str = ""
    version: str = ""
    schema: str = ""
    intact: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What a publish did.

    Attributes:
        rows: rows inserted, updated and deleted, by table; 0 for untouched ones.
        by_others: rows that somebody else had put into a table, or changed there, and that are as published again.
    """

    rows: Mapping[str, int]
    by_others: tuple["ByOthers", ...] = ()


@dataclass(frozen=True, slots=True)
class ByOthers:
    """What somebody else had written into a table of ours.

    Attributes:
        removed: rows of no export, which were removed.
        restored: rows that were changed or deleted, and are as published again.
        first: the key of the first removed row.
    """

    table: str
    removed: int
    restored: int
    first: str


# -- what is published


def published(session: Session, tables: Sequence[PgTable]) -> Published:
    """What the last run left, and whether it is still all there."""
    rows = session.query(
        "SELECT run_id, rules_hash, version, detail ->> 'inputs', detail ->> 'schema', detail ->> 'exports', "
        "detail ->> 'counters' "
        "FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
    )
    if not rows:
        return Published(schema=schema_in_force(session))
    run_id, rules_hash, version, inputs, schema, exports, counters = rows[0]
    upgraded = session.query("SELECT 1 FROM published_parts WHERE digest = '' LIMIT 1")
    return Published(
        run_id=run_id,
        exports=frozenset(json.loads(exports or "[]")),
        inputs=inputs or "",
        rules_hash=rules_hash or "",
        version=version or "",
        schema=schema_in_force(session) or schema or "",
        intact=not upgraded and not written_by_others(session, [t.name for t in tables], json.loads(counters or "{}")),
    )


def last_run(session: Session) -> str | None:
    """The run that published last; None where none did."""
    rows = session.query(
        "SELECT run_id FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
    )
    return str(rows[0][0]) if rows else None


# -- the transaction


def publish(
    server: Server,
    schema: str,
    contents: Sequence[Content],
    run: Run,
    *,
    schema_digest: str,
    cause: str,
    causes: pl.DataFrame | None = None,
    full: bool = False,
    after: str | None = None,
) -> Written:
    """Makes the database hold exactly the contents.

    Args:
        server: where to.
        schema: the PostgreSQL schema.
        contents: all tables, each after those it refers to.
        run: the row for ``sync_runs``.
        schema_digest: of the schema script in force.
        cause: why figures changed, for ``metric_changes``.
        causes: a finer cause by month, source and metric, where there is one.
        full: compare every row of every month, whatever the bookkeeping says.
        after: the run that was the last one when it was decided to publish; None where there was none.

    Raises:
        BusyError: another run publishes to the same database, or has published since ``after``.
        LakeError: the rows cannot be read.
        PostgresError: a type differs from the table's, a statement fails, or what was read back is not what was sent;
            nothing is changed then.
    """
    digests = {c.table.name: c.digests for c in contents}
    with connect(server, schema=schema) as session, session.transaction():
        work = _Publication(session, schema, run, cause)
        work.begin(after, list(digests))
        work.know(causes)
        work.empty_abandoned(digests)
        others = written_by_others(session, list(digests), work.counters)
        for content in contents:
            work.stage(content, everything=full or content.table.name in others)
        for content in reversed(contents):
            work.remove(content.table, by_others=content.table.name in others)
        for content in contents:
            work.read_back(content.table)
        work.record(schema_digest, digests)
    with connect(server, schema=schema) as session:
        if not session.query("SELECT 1 FROM sync_runs WHERE run_id = $1 AND status = 'ok'", [run.run_id]):
            raise PostgresError(
                f"the run is not in the database at {server.label} after the commit", "Run the sync again."
            )
    # The publish is committed and verified by now. Housekeeping that cannot be done is the server's own, later.
    with contextlib.suppress(PostgresError), connect(server, autocommit=True) as session:
        _tidy(session, schema, [n for n, w in work.written.items() if w])
    return Written(work.written, tuple(work.by_others))


def _tidy(session: Session, schema: str, tables: Sequence[str]) -> None:
    """Frees what was replaced and refreshes the planner's statistics, where autovacuum would.

    An embedded server may never run for long enough for its own autovacuum.
    """
    due = session.query(
        "SELECT relname::text, n_dead_tup > 50 + 0.2 * n_live_tup OR n_ins_since_vacuum > 1000 + 0.2 * n_live_tup "
        "FROM pg_stat_user_tables WHERE schemaname = $2 AND relname = ANY (string_to_array($1, ',')) "
        "AND (n_dead_tup > 50 + 0.2 * n_live_tup OR n_ins_since_vacuum > 1000 + 0.2 * n_live_tup "
        "OR n_mod_since_analyze > 50 + 0.1 * n_live_tup)",
        [",".join(tables), schema],
    )
    for table, dead in due:
        session.execute(f"{'VACUUM (ANALYZE)' if dead else 'ANALYZE'} {quoted(schema)}.{quoted(table)}")


@dataclass(frozen=True, slots=True)
class _Staged:
    """The months of a table that are written anew.

    Attributes:
        changed: the months that have rows.
        gone: the months that have none any more.
        count: how many rows they must have.
        everything: whether every row of the table belongs to them.
        stage: the temporary table with their rows; None where they went into the empty table itself.
        whole: whether it has all of their rows, not only those that differ.
    """

    content: Content
    changed: Sequence[dt.date]
    gone: Sequence[dt.date]
    count: int
    everything: bool
    stage: str | None = None
    whole: bool = True

    @property
    def inside(self) -> str:
        """The SQL condition for rows ``t`` of these months."""
        return "true" if self.everything else within(self.content.table, "t", [*self.changed, *self.gone])

    @property
    def rows(self) -> pl.LazyFrame:
        """What these months must hold."""
        return self.content.rows(self.changed)


class _Publication:
    """The steps of one publish transaction."""

    def __init__(self, session: Session, schema: str, run: Run, cause: str) -> None:
        self.session, self.schema, self.run, self.cause = session, schema, run, cause
        self.written: dict[str, int] = {}
        self.staged: dict[str, _Staged] = {}
        self.known: dict[str, dict[dt.date, Digest]] = {}
        self.held: dict[str, tuple[Any, ...]] = {}
        self.wanted: dict[str, Mapping[dt.date, Digest]] = {}
        self.counters: dict[str, list[int]] = {}
        self.own: frozenset[str] = frozenset()
        self.by_others: list[ByOthers] = []

    def begin(self, after: str | None, tables: Sequence[str]) -> None:
        session, label = self.session, self.session.server.label
        if not session.query(f"SELECT pg_try_advisory_xact_lock({_LOCK})", [self.schema])[0][0]:
            raise BusyError(
                f"another run publishes to {label} ({self._holder()})", "Wait for it to end, then run again."
            )
        self.own = require_own(session, [*BOOKKEEPING, *tables])
        last = last_run(session)
        if last != after:  # decided on what was published then; only now, under the lock, it cannot change any more
            raise BusyError(f"another run published to {label} meanwhile ({last})", "Run again.")
        session.execute("SET LOCAL lock_timeout = '10s'")
        # However long a COPY takes, it may take it; limits that are set for this role are meant for questions.
        session.execute("SET LOCAL statement_timeout = 0")
        if session.query("SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'"):  # from PostgreSQL 17 on
            session.execute("SET LOCAL transaction_timeout = 0")
        # A connection that a network has lost would hold the lock until TCP finds out: hours.
        session.execute("SET LOCAL idle_in_transaction_session_timeout = '15min'")
        session.execute("SET LOCAL synchronous_commit = on")
        session.execute(f"SET LOCAL work_mem = '{_WORK_MEM}'")
        for name, part, rows, digest in session.query("SELECT table_name, part, rows, digest FROM published_parts"):
            self.known.setdefault(name, {})[part] = Digest(rows, digest)
        noted_then = session.query("SELECT detail ->> 'counters' FROM sync_runs WHERE run_id = $1", [after or ""])
        self.counters = json.loads(noted_then[0][0] or "{}") if noted_then else {}
        run = self.run
        session.execute(
            "INSERT INTO sync_runs "
            "(run_id, started_at, finished_at, status, rules_hash, version, files, rows_read, rows_rejected) "
            "VALUES ($1, $2::text::timestamptz, clock_timestamp(), 'ok', $3, $4, $5, $6, $7)",
            [
                run.run_id,
                run.started_at.isoformat(),
                run.rules_hash,
                run.version,
                run.files,
                run.rows_read,
                run.rows_rejected,
            ],
        )

    def _holder(self) -> str:
        held = self.session.query(
            "SELECT a.pid, coalesce(host(a.client_addr), 'this machine'), "
            "coalesce(to_char(a.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), '?') "
            "FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
            f"WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = "
            f"(SELECT oid FROM pg_database WHERE datname = current_database()) "
            f"AND (l.classid::bigint << 32) + l.objid::bigint = {_LOCK}",
            [self.schema],
        )
        return f"server process {held[0][0]} from {held[0][1]}, since {held[0][2]} UTC" if held else "it has just ended"

    def know(self, causes: pl.DataFrame | None) -> None:
        """Lays the finer causes beside the figures."""
        self.session.execute(
            "CREATE TEMPORARY TABLE _causes (month date, source varchar, metric varchar, cause text) ON COMMIT DROP"
        )
        if causes is not None and causes.height:
            self.session.ingest("_causes", causes.to_arrow(), schema=None)
            self.session.execute("ANALYZE pg_temp._causes")

    def empty_abandoned(self, wanted: Collection[str]) -> None:
        """Takes the rows out of tables whose feed the rules no longer have.

        The table stays, for its grants and for panels that read it; the rows stay in the lake, and come back with the
        feed. Left in, they would look current, and hold on to jobs through their foreign key.
        """
        for name in sorted(set(self.known) - set(wanted)):
            if name in self.own:
                self.written[name] = self.session.execute(f"DELETE FROM {quoted(name)}")
            self.session.execute("DELETE FROM published_parts WHERE table_name = $1", [name])

    def stage(self, content: Content, *, everything: bool) -> None:
        """Copies the rows of changed months, and inserts or updates those that differ."""
        table, session, digests = content.table, self.session, content.digests
        self.wanted[table.name] = digests
        known = self.known.get(table.name, {})
        changed = sorted(m for m in digests if everything or known.get(m) != digests[m])
        gone = sorted(m for m in known if m not in digests)
        count = sum(digests[m].rows for m in changed)
        self.written[table.name] = 0
        if not changed and not gone and not everything:
            return
        self._types_agree(table)
        staged = _Staged(content, changed, gone, count, everything)
        if not session.query(f"SELECT EXISTS (SELECT 1 FROM {quoted(table.name)})")[0][0]:
            staged = self.staged[table.name] = replace(staged, everything=True)
            with keys_checked_at_once(session, table.name):
                self._copy(table, staged.rows, table.name, schema=self.schema)
            self.written[table.name] = count
            return
        rows, whole = staged.rows, True
        if changed and not everything and table.name not in (DAILY, MONTHLY):  # changes of figures need all of them
            with _reading(table.name):
                rows, whole = content.differing([*changed, *gone], known)
        stage = self._temporary(f"_stage_{table.name}", table, table.names)
        self._copy(table, rows, stage, schema=None)
        staged = self.staged[table.name] = replace(staged, stage=stage, whole=whole)
        if table.name in (DAILY, MONTHLY):
            self._note_changes(table, staged, stage)
        put = self._upsert(table, staged, stage)
        self.written[table.name] += put
        if put and everything and known == digests:  # all of it was published, and is not there as it was
            self.by_others.append(ByOthers(table.name, 0, put, ""))

    def _temporary(self, name: str, table: PgTable, columns: Sequence[str]) -> str:
        """An empty temporary table with some of the table's columns; returns its name."""
        self.session.execute(
            f"CREATE TEMPORARY TABLE {quoted(name[:63])} ON COMMIT DROP AS "
            f"SELECT {', '.join(quoted(c) for c in columns)} FROM {quoted(table.name)} WITH NO DATA"
        )
        return name[:63]

    def _upsert(self, table: PgTable, staged: _Staged, stage: str) -> int:
        """Writes the staged rows that are not there as they are.

        Rows that are go no further than one join: ON CONFLICT would look each of them up by its key and lock it.
        """
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
            where = f"WHERE NOT EXISTS (SELECT 1 FROM {quoted(table.name)} AS t WHERE {staged.inside} AND {same}) "
        return self.session.execute(
            f"INSERT INTO {quoted(table.name)} AS w ({columns}) SELECT {columns} "
            f"FROM pg_temp.{quoted(stage)} AS s {where}ON CONFLICT ({key}) {act}"
        )

    def remove(self, table: PgTable, *, by_others: bool = False) -> None:
        """Deletes the rows of changed months that are no longer there; all that must be there are by now."""
        staged = self.staged.get(table.name)
        if staged is None:
            return
        held = self._held(table, staged)
        if staged.stage is not None and held[0] != staged.count:
            keys = staged.stage
            if not staged.whole:
                keys = self._temporary(f"_keys_{table.name}", table, table.key)
                self._copy(table, staged.rows.select(table.key), keys, schema=None)
            same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)
            if by_others:
                self._note_strangers(
                    table, staged, f"NOT EXISTS (SELECT 1 FROM pg_temp.{quoted(keys)} AS s WHERE {same})"
                )
            # No parameters here: with them the driver does not say how many rows a statement touched.
            self.written[table.name] += self.session.execute(
                f"DELETE FROM {quoted(table.name)} AS t WHERE {staged.inside} AND NOT EXISTS "
                f"(SELECT 1 FROM pg_temp.{quoted(keys)} AS s WHERE {same})"
            )
            held = self._held(table, staged)
        self.held[table.name] = held

    def _note_strangers(self, table: PgTable, staged: _Staged, going: str) -> None:
        """Rows that go and that no publish wrote: those of months that must hold now what they held then, or nothing.

        Where a month changes as well, its rows may be of an earlier publish: nothing is said of them.
        """
        part = f"date_trunc('month', t.{quoted(table.part)})::date" if table.part else "NULL::date"
        key = ", ".join(f"t.{quoted(k)}" for k in table.key)
        found = self.session.query(
            f"SELECT coalesce({part}, {_day(NO_PART)}), count(*), min(concat_ws(', ', {key})) "
            f"FROM {quoted(table.name)} AS t WHERE {staged.inside} AND {going} GROUP BY 1 ORDER BY 1"
        )
        known, wanted = self.known.get(table.name, {}), self.wanted[table.name]
        strangers = [(n, first) for month, n, first in found if known.get(month) == wanted.get(month)]
        if strangers:
            removed = sum(n for n, _ in strangers)
            self.by_others.append(ByOthers(table.name, removed, 0, strangers[0][1]))

    def _note_changes(self, table: PgTable, staged: _Staged, stage: str) -> None:
        """Every changed figure, old and new. A key's first publish is not a change; one that comes back is."""
        period = table.key[0]
        same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)

        def placed(of: str) -> tuple[str, str]:
            return f"date_trunc('month', {of}.{period})::date", f"{of}.date" if period == "date" else "NULL::date"

        def insert(of: str, rows: str, was: str, new: str, where: str) -> None:
            month, day = placed(of)
            pairs = ", ".join(f"('{m}', {was.format(m)}, {new.format(m)})" for m in MEASURES)
            self.session.execute(
                "INSERT INTO metric_changes (run_id, month, date, source, segment, metric, old_value, new_value, cause)"
                f" SELECT $1, {month}, {day}, {of}.source, {of}.segment, m.metric, m.was, m.new, coalesce(c.cause, $2) "
                f"FROM {rows} CROSS JOIN LATERAL (VALUES {pairs}) AS m (metric, was, new) "
                f"LEFT JOIN pg_temp._causes AS c ON c.month = {month} AND c.source = {of}.source "
                f"AND c.metric = m.metric WHERE {where} ORDER BY 2, 3, 4, 5, 6",
                [self.run.run_id, self.cause],
            )

        insert(
            "t",
            f"{quoted(table.name)} AS t LEFT JOIN pg_temp.{quoted(stage)} AS s ON {same}",
            "t.{}::numeric",
            "s.{}::numeric",
            f"{staged.inside} AND m.was IS DISTINCT FROM m.new AND (s.source IS NOT NULL OR m.was <> 0)",
        )
        month, day = placed("s")
        insert(
            "s",
            f"pg_temp.{quoted(stage)} AS s",
            "NULL::numeric",
            "s.{}::numeric",
            f"m.new <> 0 AND NOT EXISTS (SELECT 1 FROM {quoted(table.name)} AS t WHERE {same}) AND EXISTS ("
            f"SELECT 1 FROM metric_changes AS g WHERE g.month = {month} AND g.date IS NOT DISTINCT FROM {day} "
            "AND g.source = s.source AND g.segment = s.segment AND g.new_value IS NULL AND g.run_id <> $1)",
        )

    def _types_agree(self, table: PgTable) -> None:
        """ADBC's COPY looks at the Arrow type only and would store a wrong one as garbage, without an error."""
        there = catalog(self.session, table.name)
        for column in table.columns:
            found = there.get(column.name)
            if found is None or found[0] != column.type:
                what = found[0] if found else "missing"
                raise PostgresError(
                    f"table {table.name}: column {column.name} is {what}, but {column.type} is needed",
                    "Rename or drop that column or table (it is a copy of the lake), then sync again.",
                )
        for name, (_, must, made) in there.items():
            if must and not made and name not in table.names and name != "only_row":
                raise PostgresError(
                    f"table {table.name}: column {name} must not be NULL, but the rules do not fill it",
                    "It may be a column of ours that was renamed by hand. Drop it, for the table is a copy of the lake "
                    f"and is filled again (ALTER TABLE {table.name} DROP COLUMN {name}) or allow NULL, then sync.",
                )

    def _copy(self, table: PgTable, rows: pl.LazyFrame, target: str, *, schema: str | None) -> None:
        failed = list[Exception]()
        try:
            with _reading(table.name):
                reader = _reader(rows, failed)
            with reader:
                self.session.ingest(target, reader, schema=schema)
        except PostgresError:
            with _reading(table.name):
                for error in failed:  # the driver says only that its source failed
                    raise error from None
            raise

    def _held(self, table: PgTable, staged: _Staged) -> tuple[Any, ...]:
        """Count, sums and filled cells of the changed months as PostgreSQL has them."""
        numbers, texts = _numbers_and_others(table)
        asked = [
            "count(*)",
            *(f"coalesce(sum({quoted(c)}), 0)::text" for c in numbers),
            *(f"count({quoted(c)})" for c in [*numbers, *texts]),
        ]
        return self.session.query(f"SELECT {', '.join(asked)} FROM {quoted(table.name)} AS t WHERE {staged.inside}")[0]

    def read_back(self, table: PgTable) -> None:
        """Compares count, sums and filled cells of the changed months with what was sent."""
        staged = self.staged.get(table.name)
        if staged is None:
            return
        numbers, texts = _numbers_and_others(table)
        sums = staged.rows.select(
            pl.len().alias("n"),
            *(_wide(table, c).sum().alias(f"sum {c}") for c in numbers),
            *(pl.col(c).count().alias(f"count {c}") for c in [*numbers, *texts]),
        )
        with _reading(table.name):
            sent = sums.collect(engine="streaming").row(0)
        held = self.held[table.name]
        for name, want, got in zip(["rows", *numbers, *numbers, *texts], sent, held, strict=True):
            if not _equal(want, got):
                raise PostgresError(
                    f"table {table.name}, {name}: {got} was read back where {want} was sent",
                    "Nothing was changed. Please report this with the output of `rmetrics doctor`.",
                )

    def record(self, schema_digest: str, digests: Mapping[str, Mapping[dt.date, Digest]]) -> None:
        """The bookkeeping: parts, freshness, zone, and the run's own row."""
        run, session = self.run, self.session
        new = list[tuple[object, ...]]()
        for name, staged in self.staged.items():
            where = "" if staged.everything else f" AND part = ANY ({_dates([*staged.changed, *staged.gone])})"
            session.execute(f"DELETE FROM published_parts WHERE table_name = $1{where}", [name])
            for month in staged.changed:
                new.append((name, month, digests[name][month].rows, digests[name][month].digest, run.run_id))
        if new:
            frame = pl.DataFrame(new, schema=_PARTS, orient="row")
            session.ingest("published_parts", frame.to_arrow(), schema=self.schema)
        self._replace_small("business", pl.DataFrame({"timezone": [run.timezone], "currency": [run.currency]}))
        if run.feeds is not None:
            feeds = [(f.feed, f.table, f.rows, f.last_date, f.last_export_at, f.exports) for f in run.feeds]
            self._replace_small("feed_status", pl.DataFrame(feeds, schema=_FEEDS, orient="row"))
        counters = noted(session, list(digests))
        if counters:  # this session's own share must be there when the next run looks
            session.query("SELECT pg_stat_force_next_flush()::text")
        detail = {
            **run.detail,
            "inputs": run.inputs,
            "schema": schema_digest,
            "exports": sorted(run.exports),
            "counters": counters,
            "published": self.written,
            "first_months": sorted(set(digests.get(MONTHLY, ())) - set(self.known.get(MONTHLY, ()))),
        }
        session.execute(
            "UPDATE sync_runs SET finished_at = clock_timestamp(), detail = $2::text::jsonb WHERE run_id = $1",
            [run.run_id, json.dumps(detail, default=str)],
        )

    def _replace_small(self, table: str, frame: pl.DataFrame) -> None:
        self.session.execute(f"DELETE FROM {quoted(table)}")
        if frame.height:
            self.session.ingest(table, frame.to_arrow(), schema=self.schema)


def _wide(table: PgTable, column: str) -> pl.Expr:
    """A column in a type whose sum cannot run over: that of 32 bits has 32 bits, too."""
    kind = next(c.type for c in table.columns if c.name == column)
    return pl.col(column) if kind.startswith("numeric") else pl.col(column).cast(pl.Int64)


def _numbers_and_others(table: PgTable) -> tuple[list[str], list[str]]:
    numbers = [c.name for c in table.columns if c.type.startswith(("numeric", "bigint", "integer"))]
    return numbers, [c for c in table.names if c not in numbers]


def _reader(rows: pl.LazyFrame, failed: list[Exception]) -> Any:
    """Arrow batches of a query in the plain types ADBC can copy; what goes wrong in it is put into ``failed``."""
    import pyarrow as pa

    plain = pl.CompatLevel.oldest()
    schema = pl.DataFrame(schema=rows.collect_schema()).to_arrow(compat_level=plain).schema

    def batches() -> Iterator[Any]:
        try:
            for frame in rows.collect_batches(chunk_size=_BATCH, lazy=True):
                yield from frame.to_arrow(compat_level=plain).to_batches()
        except (OSError, pl.exceptions.PolarsError) as error:
            failed.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


@contextlib.contextmanager
def _reading(table: str) -> Iterator[None]:
    """Tells that the rows of a table cannot be read."""
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        raise LakeError(
            f"cannot read the rows of {table}: {str(error).splitlines()[0]}",
            "Run the sync again: what is damaged in the lake is made anew. See also `rmetrics doctor --verify`.",
        ) from error


def _day(day: dt.date) -> str:
    return f"'{day.isoformat()}'::date"


def _dates(parts: Sequence[dt.date]) -> str:
    return "'{" + ",".join(p.isoformat() for p in parts) + "}'::date[]"


def _equal(want: object, got: object) -> bool:
    from decimal import Decimal

    return Decimal(str(want if want is not None else 0)) == Decimal(str(got if got is not None else 0))
