"""The publish protocol: everything a run computed becomes visible in PostgreSQL at once, or nothing does.

One transaction: take the lock; see which months of which tables differ from what is published; stage those rows through
ADBC's COPY; insert and update what differs, delete what is gone; note every changed figure; read counts and sums back;
write the run's row; commit; look for that row on a new connection. Rows are never truncated and tables never replaced,
so readers neither wait nor see anything but whole versions, and grants and views last.
"""

import contextlib
import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.errors import BusyError, LakeError, PostgresError
from rmetrics.postgres import Server, Session, catalog, connect, quoted, statements
from rmetrics.tables import DAILY, MONTHLY, NO_DATE_PART, PgTable

MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
PART = "_part"
_BATCH = 65_536
_MARK = "rmetrics schema "
_LOCK = "hashtextextended('rmetrics:publish:' || $1, 0)"
_NEVER = dt.date(1, 1, 1)
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
class Content:
    """What a table must hold: the rows of a query with the table's columns."""

    table: PgTable
    rows: pl.LazyFrame


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
    feeds: Sequence[FeedState] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """What the database says of the last run that published.

    Attributes:
        exports: hashes of the exports it used; None where no run published yet.
        schema: the digest of the schema script in force.
        intact: whether every table still has as many rows as were published.
    """

    run_id: str | None = None
    exports: frozenset[str] = frozenset()
    inputs: str = ""
    rules_hash: str = ""
    version: str = ""
    schema: str = ""
    intact: bool = False


# -- the schema


def relations(script: str) -> list[str]:
    """The tables, views and indexes a schema script creates."""
    import re

    return re.findall(r"^CREATE (?:TABLE|INDEX|OR REPLACE VIEW)(?: IF NOT EXISTS)? (\w+)", script, re.MULTILINE)


def apply_schema(session: Session, script: str, schema: str) -> None:
    """Creates what is missing, in one transaction; applying it again changes nothing."""
    with _as_owner(), session.transaction():
        session.execute("SET LOCAL lock_timeout = '10s'")
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended('rmetrics:schema:' || $1, 0))", [schema])
        if not session.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]):
            session.execute(f"CREATE SCHEMA {quoted(schema)}")
        for statement in statements(script):
            session.execute(statement)
        if "sync_runs" in relations(script):
            mark = literal(_MARK + schema_digest(script))
            session.execute(f"COMMENT ON CONSTRAINT sync_runs_pkey ON sync_runs IS {mark}")


def schema_digest(script: str) -> str:
    """A digest that tells one version of the schema from another."""
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def schema_in_force(session: Session) -> str:
    """The digest of the script that was applied last; empty where that is not known."""
    rows = session.query(
        "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint "
        "WHERE conrelid = to_regclass('sync_runs') AND conname = 'sync_runs_pkey'"
    )
    mark = str(rows[0][0] or "") if rows else ""
    return mark.removeprefix(_MARK) if mark.startswith(_MARK) else ""


@contextlib.contextmanager
def _as_owner() -> Iterator[None]:
    """Tells the writer of what only the owner may do."""
    try:
        yield
    except PostgresError as error:
        if not any(sign in error.message for sign in ("permission denied", "must be owner")):
            raise
        raise PostgresError(
            f"{error.message}: tables and columns have to be made, and this user may not make them",
            "As the owner of the tables: rmetrics schema --apply, then the script of rmetrics schema --roles again.",
        ) from None


def has_all(session: Session, names: Sequence[str]) -> bool:
    """Whether all relations exist where the session looks first."""
    found = session.query(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = current_schema() AND c.relname = ANY (string_to_array($1, ','))",
        [",".join(names)],
    )
    return int(found[0][0]) == len(set(names))


def create_table(table: PgTable) -> list[str]:
    """The DDL of a table that only TOML knows, in the style of ``schema.sql``."""
    lines = [f"    {quoted(c.name)} {c.type}{' NOT NULL' if c.not_null else ''}" for c in table.columns]
    key = ", ".join(quoted(k) for k in table.key)
    lines.append(f"    CONSTRAINT {quoted((table.name + '_pkey')[:63])} PRIMARY KEY ({key})")
    if any(c.name == "job_id" for c in table.columns) and "job_id" not in table.key:
        lines.append(
            f"    CONSTRAINT {quoted((table.name + '_job_id_fkey')[:63])} FOREIGN KEY (job_id) REFERENCES jobs (job_id)"
        )
    ddl = [f"CREATE TABLE IF NOT EXISTS {quoted(table.name)} (\n" + ",\n".join(lines) + "\n)"]
    if table.part and table.part not in table.key:
        index = quoted((f"{table.name}_{table.part}_idx")[:63])
        ddl.append(f"CREATE INDEX IF NOT EXISTS {index} ON {quoted(table.name)} ({quoted(table.part)})")
    if any(c.name == "job_id" for c in table.columns) and "job_id" not in table.key:
        index = quoted((f"{table.name}_job_id_idx")[:63])
        ddl.append(f"CREATE INDEX IF NOT EXISTS {index} ON {quoted(table.name)} (job_id)")
    if table.comment:
        ddl.append(f"COMMENT ON TABLE {quoted(table.name)} IS {literal(table.comment)}")
    ddl += [
        f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(c.name)} IS {literal(c.comment)}"
        for c in table.columns
        if c.comment
    ]
    return ddl


def add_column(table: PgTable, name: str) -> list[str]:
    """The DDL of a column that TOML added to a table."""
    column = next(c for c in table.columns if c.name == name)
    ddl = [f"ALTER TABLE {quoted(table.name)} ADD COLUMN IF NOT EXISTS {quoted(name)} {column.type}"]
    if column.comment:
        ddl.append(f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(name)} IS {literal(column.comment)}")
    return ddl


def literal(text: str) -> str:
    """A text as an SQL literal; COMMENT takes no parameters."""
    return "'" + text.replace("\x00", "").replace("'", "''") + "'"


def fit_tables(session: Session, tables: Sequence[PgTable]) -> None:
    """Creates tables and columns that the rules ask for and the database lacks."""
    with _as_owner(), session.transaction():
        session.execute("SET LOCAL lock_timeout = '10s'")
        for table in tables:
            there = catalog(session, table.name)
            ddl = (
                create_table(table)
                if not there
                else [s for c in table.names if c not in there for s in add_column(table, c)]
            )
            for statement in [*ddl, *withhold(table, there)]:
                session.execute(statement)


def withhold(table: PgTable, there: Mapping[str, tuple[str, bool, bool]]) -> list[str]:
    """Takes values out of columns that were published before the rules said ``publish = false``."""
    found = []
    for name in (n for n in table.withheld if n in there):
        if there[name][1]:
            found.append(f"ALTER TABLE {quoted(table.name)} ALTER COLUMN {quoted(name)} DROP NOT NULL")
        found.append(f"UPDATE {quoted(table.name)} SET {quoted(name)} = NULL WHERE {quoted(name)} IS NOT NULL")
    return found


# -- what is published


def published(session: Session, tables: Sequence[PgTable]) -> Published:
    """What the last run left, and whether it is still all there."""
    rows = session.query(
        "SELECT run_id, rules_hash, version, detail ->> 'inputs', detail ->> 'schema', detail ->> 'exports' "
        "FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
    )
    if not rows:
        return Published(schema=schema_in_force(session))
    run_id, rules_hash, version, inputs, schema, exports = rows[0]
    return Published(
        run_id=run_id,
        exports=frozenset(json.loads(exports or "[]")),
        inputs=inputs or "",
        rules_hash=rules_hash or "",
        version=version or "",
        schema=schema_in_force(session) or schema or "",
        intact=all(_intact(session, t) for t in tables),
    )


def _intact(session: Session, table: PgTable) -> bool:
    """Whether a table holds as many rows as its parts say, and a metric table the same sums."""
    if not catalog(session, table.name):
        return False
    counts = session.query(
        f"SELECT (SELECT count(*) FROM {quoted(table.name)}), "
        "(SELECT coalesce(sum(rows), 0)::bigint FROM published_parts WHERE table_name = $1)",
        [table.name],
    )[0]
    return bool(counts[0] == counts[1])


def conformed(content: Content) -> pl.LazyFrame:
    """The rows with exactly the table's columns and types, and the month each belongs to."""
    rows = content.rows
    table = content.table
    if table.sums:
        others = [c.name for c in table.columns if c.name not in table.key]
        rows = rows.group_by(table.key).agg(
            *(pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()).alias(n) for n in others)
        )
        rows = rows.filter(pl.all_horizontal(pl.col(c.name).is_not_null() for c in table.columns if c.not_null))
    part = pl.lit(_NEVER) if table.part is None else pl.col(table.part).dt.month_start().fill_null(_NEVER)
    return rows.select(*(pl.col(c.name).cast(polars_type(c.type)) for c in table.columns), part.alias(PART))


def polars_type(pg_type: str) -> pl.DataType:
    """The type whose Arrow form ADBC's COPY stores unchanged in a column of this PostgreSQL type."""
    if pg_type.startswith("numeric("):
        precision, scale = (int(p) for p in pg_type[8:-1].split(","))
        return pl.Decimal(precision, scale)
    return {
        "character varying": pl.String(),
        "text": pl.String(),
        "date": pl.Date(),
        "timestamp with time zone": pl.Datetime("us", "UTC"),
        "integer": pl.Int32(),
        "bigint": pl.Int64(),
        "boolean": pl.Boolean(),
    }[pg_type]


def part_digests(content: Content) -> dict[dt.date, tuple[int, str]]:
    """Each month's row count and a digest of its content that does not depend on the order of rows."""
    names = list(content.table.names)
    row = pl.struct(names)
    # Two hashes of 64 bits; they depend on the library's version, and so does the digest.
    parts = (
        conformed(content)
        .select(PART, row.hash(seed=1).alias("a"), row.hash(seed=2).alias("b"))
        .group_by(PART)
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("a").sum(), pl.col("b").sum())
        .collect(engine="streaming")
    )
    return {
        p: (n, f"{a:016x}{b:016x}:{pl.__version__}") for p, n, a, b in parts.select(PART, "n", "a", "b").iter_rows()
    }


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
    scratch: Path,
    schema_digest: str,
    cause: str,
    causes: pl.DataFrame | None = None,
    full: bool = False,
    after: str | None = None,
) -> dict[str, int]:
    """Makes the database hold exactly the contents; returns rows written by table (0 for untouched ones).

    Args:
        server: where to.
        schema: the PostgreSQL schema.
        contents: all tables, each after those it refers to.
        run: the row for ``sync_runs``.
        scratch: a folder for the staged rows.
        schema_digest: of the schema script in force.
        cause: why figures changed, for ``metric_changes``.
        causes: a finer cause by month, source and metric, where there is one.
        full: compare every row of every month, whatever the bookkeeping says.
        after: the run that was the last one when it was decided to publish; None where there was none.

    Raises:
        BusyError: another run publishes to the same database, or has published since ``after``.
        PostgresError: a type differs from the table's, a statement fails, or what was read back is not what was sent;
            nothing is changed then.
    """
    digests = {c.table.name: part_digests(c) for c in contents}
    with connect(server, schema=schema) as session, session.transaction():
        work = _Publication(session, schema, run, scratch, cause)
        work.begin(after)
        work.know(causes)
        work.empty_abandoned({c.table.name for c in contents})
        for content in contents:
            work.stage(content, digests[content.table.name], full=full)
        for content in reversed(contents):
            work.remove(content)
        for content in contents:
            work.read_back(content)
        work.record(schema_digest, digests)
    with connect(server, schema=schema) as session:
        if not session.query("SELECT 1 FROM sync_runs WHERE run_id = $1 AND status = 'ok'", [run.run_id]):
            raise PostgresError(
                f"the run is not in the database at {server.label} after the commit", "Run the sync again."
            )
    _vacuum(server, schema, [n for n, w in work.written.items() if w])
    return work.written


def _vacuum(server: Server, schema: str, tables: Sequence[str]) -> None:
    """Frees what the publish replaced and refreshes the planner's statistics."""
    if not tables:
        return
    # The publish is committed and verified by now. Housekeeping that cannot be done is the server's own, later.
    with contextlib.suppress(PostgresError), connect(server, schema=schema, autocommit=True) as session:
        for table in tables:
            session.execute(f"VACUUM (ANALYZE) {quoted(table)}")


@dataclass(slots=True)
class _Staged:
    parts: list[dt.date]
    everything: bool
    stage: str | None
    frame: pl.LazyFrame

    def inside(self, table: PgTable) -> str:
        """The SQL condition for rows ``t`` of the months that were staged."""
        return "true" if self.everything else f"{part_of(table, 't')} = ANY ({_dates(self.parts)})"


class _Publication:
    """The steps of one publish transaction."""

    def __init__(self, session: Session, schema: str, run: Run, scratch: Path, cause: str) -> None:
        self.session, self.schema, self.run, self.scratch, self.cause = session, schema, run, scratch, cause
        self.written: dict[str, int] = {}
        self.staged: dict[str, _Staged] = {}
        self.known: dict[str, dict[dt.date, tuple[int, str]]] = {}

    def begin(self, after: str | None) -> None:
        session, label = self.session, self.session.server.label
        if not session.query(f"SELECT pg_try_advisory_xact_lock({_LOCK})", [self.schema])[0][0]:
            raise BusyError(
                f"another run publishes to {label} ({self._holder()})", "Wait for it to end, then run again."
            )
        last = last_run(session)
        if last != after:  # decided on what was published then; only now, under the lock, it cannot change any more
            raise BusyError(f"another run published to {label} meanwhile ({last})", "Run again.")
        self.session.execute("SET LOCAL lock_timeout = '10s'")
        # A connection that a network has lost would hold the lock until TCP finds out: hours.
        self.session.execute("SET LOCAL idle_in_transaction_session_timeout = '15min'")
        self.session.execute("SET LOCAL synchronous_commit = on")
        for name, part, rows, digest in self.session.query(
            "SELECT table_name, part, rows, digest FROM published_parts"
        ):
            self.known.setdefault(name, {})[part] = rows, digest
        run = self.run
        self.session.execute(
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
            self.session.execute("ANALYZE _causes")

    def empty_abandoned(self, wanted: Collection[str]) -> None:
        """Takes the rows out of tables whose feed the rules no longer have.

        The table stays, for its grants and for panels that read it; the rows stay in the lake, and come back with the
        feed. Left in, they would look current, and hold on to jobs through their foreign key.
        """
        for name in sorted(set(self.known) - set(wanted)):
            if catalog(self.session, name):
                self.written[name] = self.session.execute(f"DELETE FROM {quoted(name)}")
            self.session.execute("DELETE FROM published_parts WHERE table_name = $1", [name])

    def stage(self, content: Content, digests: Mapping[dt.date, tuple[int, str]], *, full: bool) -> None:
        """Copies the rows of changed months, and inserts or updates those that differ."""
        table, session = content.table, self.session
        known = self.known.get(table.name, {})
        held = int(session.query(f"SELECT count(*) FROM {quoted(table.name)}")[0][0])
        everything = full or held != sum(n for n, _ in known.values())
        changed = sorted(p for p in digests if everything or known.get(p) != digests[p])
        gone = sorted(p for p in known if p not in digests)
        self.written[table.name] = 0
        if not changed and not gone and not (everything and held):
            return
        rows = conformed(content)
        if not everything or held:
            rows = rows.filter(pl.col(PART).is_in(changed))
        self._types_agree(table)
        frame = rows
        if held == 0:
            self._copy(frame, table, table.name, schema=self.schema)
            self.written[table.name] = sum(digests[p][0] for p in changed)
            self.staged[table.name] = _Staged([*changed, *gone], everything, None, rows)
            return
        stage = f"_stage_{table.name}"[:63]
        columns = ", ".join(quoted(c) for c in table.names)
        session.execute(
            f"CREATE TEMPORARY TABLE {quoted(stage)} ON COMMIT DROP AS "
            f"SELECT {columns} FROM {quoted(table.name)} WITH NO DATA"
        )
        if changed:
            self._copy(frame, table, stage, schema=None)
        session.execute(f"ANALYZE {quoted(stage)}")
        self.staged[table.name] = _Staged([*changed, *gone], everything, stage, rows)
        if table.name in (DAILY, MONTHLY):
            self._note_changes(table, self.staged[table.name], stage)
        self.written[table.name] += self._upsert(table, stage)

    def _upsert(self, table: PgTable, stage: str) -> int:
        key = ", ".join(quoted(k) for k in table.key)
        others = [c for c in table.names if c not in table.key]
        columns = ", ".join(quoted(c) for c in table.names)
        if others:
            sets = ", ".join(f"{quoted(c)} = excluded.{quoted(c)}" for c in others)
            mine = ", ".join(f"t.{quoted(c)}" for c in others)
            theirs = ", ".join(f"excluded.{quoted(c)}" for c in others)
            act = f"DO UPDATE SET {sets} WHERE ({mine}) IS DISTINCT FROM ({theirs})"
        else:
            act = "DO NOTHING"
        return self.session.execute(
            f"INSERT INTO {quoted(table.name)} AS t ({columns}) SELECT {columns} FROM {quoted(stage)} "
            f"ON CONFLICT ({key}) {act}"
        )

    def remove(self, content: Content) -> None:
        """Deletes the rows of changed months that are no longer there."""
        table = content.table
        staged = self.staged.get(table.name)
        if staged is None or staged.stage is None:
            return
        same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)
        # No parameters here: with them the driver does not say how many rows a statement touched.
        self.written[table.name] += self.session.execute(
            f"DELETE FROM {quoted(table.name)} AS t WHERE {staged.inside(table)} AND NOT EXISTS "
            f"(SELECT 1 FROM {quoted(staged.stage)} AS s WHERE {same})"
        )

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
                f"LEFT JOIN _causes AS c ON c.month = {month} AND c.source = {of}.source AND c.metric = m.metric "
                f"WHERE {where} ORDER BY 2, 3, 4, 5, 6",
                [self.run.run_id, self.cause],
            )

        insert(
            "t",
            f"{quoted(table.name)} AS t LEFT JOIN {quoted(stage)} AS s ON {same}",
            "t.{}::numeric",
            "s.{}::numeric",
            f"{staged.inside(table)} AND m.was IS DISTINCT FROM m.new AND (s.source IS NOT NULL OR m.was <> 0)",
        )
        month, day = placed("s")
        insert(
            "s",
            f"{quoted(stage)} AS s",
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
                    "Drop the column, or allow NULL in it.",
                )

    def _copy(self, rows: pl.LazyFrame, table: PgTable, target: str, *, schema: str | None) -> None:
        path = self.scratch / f"publish-{table.name}.part"
        try:
            rows.select(table.names).sink_parquet(path, compression="lz4")
            path.chmod(0o600)
            with _reader(path) as reader:
                self.session.ingest(target, reader, schema=schema)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise LakeError(
                f"cannot write {path}: {str(error).splitlines()[0]}", "Check the disk's free space and permissions."
            ) from error
        finally:
            with contextlib.suppress(OSError):  # the next run sweeps it away
                path.unlink(missing_ok=True)

    def read_back(self, content: Content) -> None:
        """Compares counts, sums and blanks of the changed months with what was sent."""
        table = content.table
        staged = self.staged.get(table.name)
        if staged is None:
            return
        numbers = [c.name for c in table.columns if c.type.startswith(("numeric", "bigint", "integer"))]
        texts = [c.name for c in table.columns if c.name not in numbers]
        in_sql = [
            "count(*)",
            *(f"coalesce(sum({quoted(c)}), 0)::text" for c in numbers),
            *(f"count({quoted(c)})" for c in [*numbers, *texts]),
        ]
        held = self.session.query(
            f"SELECT {', '.join(in_sql)} FROM {quoted(table.name)} AS t WHERE {staged.inside(table)}"
        )[0]
        sent = (
            staged.frame.select(
                pl.len().alias("n"),
                *(pl.col(c).sum().alias(f"sum {c}") for c in numbers),
                *(pl.col(c).count().alias(f"count {c}") for c in [*numbers, *texts]),
            )
            .collect(engine="streaming")
            .row(0)
        )
        for name, want, got in zip(["rows", *numbers, *numbers, *texts], sent, held, strict=True):
            if not _equal(want, got):
                raise PostgresError(
                    f"table {table.name}, {name}: {got} was read back where {want} was sent",
                    "Nothing was changed. Please report this with the output of `rmetrics doctor`.",
                )

    def record(self, schema_digest: str, digests: Mapping[str, Mapping[dt.date, tuple[int, str]]]) -> None:
        """The bookkeeping: parts, freshness, zone, and the run's own row."""
        run, session = self.run, self.session
        for name, staged in self.staged.items():
            where = "" if staged.everything else f" AND part = ANY ({_dates(staged.parts)})"
            session.execute(f"DELETE FROM published_parts WHERE table_name = $1{where}", [name])
        new = [
            (n, p, *digests[n][p], run.run_id)
            for n, staged in self.staged.items()
            for p in (digests[n] if staged.everything else staged.parts)
            if p in digests[n]
        ]
        if new:
            frame = pl.DataFrame(new, schema=_PARTS, orient="row")
            session.ingest("published_parts", frame.to_arrow(), schema=self.schema)
        self._replace_small("business", pl.DataFrame({"timezone": [run.timezone], "currency": [run.currency]}))
        feeds = [(f.feed, f.table, f.rows, f.last_date, f.last_export_at, f.exports) for f in run.feeds]
        self._replace_small("feed_status", pl.DataFrame(feeds, schema=_FEEDS, orient="row"))
        detail = {
            **run.detail,
            "inputs": run.inputs,
            "schema": schema_digest,
            "exports": sorted(run.exports),
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


def _reader(path: Path) -> Any:
    """Arrow batches of a Parquet file in the plain types ADBC can copy."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pq.ParquetFile(path)
    plain = {pa.string_view(): pa.large_string(), pa.string(): pa.large_string()}
    schema = pa.schema([pa.field(f.name, plain.get(f.type, f.type)) for f in source.schema_arrow])

    def batches() -> Iterator[Any]:
        for batch in source.iter_batches(batch_size=_BATCH):
            yield batch.cast(schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def part_of(table: PgTable, alias: str) -> str:
    """SQL of the month a published row belongs to, as ``conformed`` gives it."""
    if table.part is None:
        return f"DATE '{NO_DATE_PART}'"
    return f"coalesce(date_trunc('month', {alias}.{quoted(table.part)})::date, DATE '{NO_DATE_PART}')"


def _dates(parts: Sequence[dt.date]) -> str:
    return "'{" + ",".join(p.isoformat() for p in parts) + "}'::date[]"


def _equal(want: object, got: object) -> bool:
    from decimal import Decimal

    return Decimal(str(want if want is not None else 0)) == Decimal(str(got if got is not None else 0))
