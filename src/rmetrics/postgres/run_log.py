"""The run log: every statement that writes ``sync_runs``, or reads it for more than display.

A run that publishes writes its row in the publish transaction. A run that fails, or has nothing to publish after a
failed one, writes its row afterwards.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.ddl import has_all, is_complete, require_writable, schema_digest, schema_in_force
from rmetrics.postgres.outside_writes import changed_outside
from rmetrics.version import __version__

if TYPE_CHECKING:
    from rmetrics.tables import PgTable

# The columns of ``LoggedRun``, in order.
_LOGGED = (
    "run_id, started_at, finished_at, status, version, files, rows_read, rows_rejected, detail -> 'error' ->> 'message'"
)


@dataclass(frozen=True, slots=True)
class FeedState:
    """One row of ``feed_status``."""

    feed: str
    table: str
    rows: int
    last_date: dt.date | None
    last_export_at: dt.datetime | None
    exports: int


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """A row of ``forecasts``: an estimate of a measure from the first of a month to the end of a day."""

    date: dt.date
    source: str
    measure: str
    time: dt.datetime
    month: dt.date
    as_of: dt.date
    value: Decimal
    low: Decimal | None
    high: Decimal | None
    past_months: int


@dataclass(frozen=True, slots=True)
class Run:
    """A run as recorded in ``sync_runs``.

    Attributes:
        exports: hashes of all exports behind the figures.
        inputs: digest of everything the figures depend on.
        feeds: freshness of each feed; None keeps the published state.
        forecasts: for the current month.
        detail: further values to keep.
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
    forecasts: Sequence[ForecastRow] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Attempt:
    """A run in progress, as far as it got.

    Attributes:
        rules_hash: None until the rules are read.
        run: None until everything is computed.
        rest: the embedded server's state at rest, once this run has stopped it.
    """

    run_id: str
    started_at: dt.datetime
    rules_hash: str | None = None
    run: Run | None = None
    rest: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """One run that published or failed; ``message`` is the reason for a failure."""

    run_id: str
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    status: str
    version: str | None
    files: int | None
    rows_read: int | None
    rows_rejected: int | None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class GoodRun:
    """The last run that published.

    Attributes:
        exports: the first 16 digits of the hashes of the exports behind its figures.
    """

    run_id: str
    finished_at: dt.datetime
    rules_hash: str
    rows_rejected: int
    exports: frozenset[str]


@dataclass(frozen=True, slots=True)
class Published:
    """The database's record of the last run that published.

    Attributes:
        exports: hashes of the exports it used; empty if no run has published yet.
        schema: digest of the schema script in force.
        intact: whether every table still has as many rows as were published and was not upgraded since.
    """

    run_id: str | None = None
    exports: frozenset[str] = frozenset()
    inputs: str = ""
    rules_hash: str = ""
    version: str = ""
    schema: str = ""
    intact: bool = False


def published(session: Session, tables: "Sequence[PgTable] | None" = None) -> Published:
    """The last published run, and whether its tables are still intact.

    Args:
        session: of the published database.
        tables: the tables to check; None for those that the run published, as far as they were recorded.
    """
    rows = session.query(
        "SELECT run_id, rules_hash, version, detail ->> 'inputs', detail ->> 'schema', detail ->> 'exports', "
        "detail ->> 'counters', EXISTS (SELECT 1 FROM published_parts WHERE digest = '') "
        "FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
    )
    if not rows:
        return Published(schema=schema_in_force(session))
    run_id, rules_hash, version, inputs, schema, exports, counters, upgraded = rows[0]
    noted = json.loads(counters or "{}")
    names = list(noted) if tables is None else [t.name for t in tables]
    return Published(
        run_id=run_id,
        exports=frozenset(json.loads(exports or "[]")),
        inputs=inputs or "",
        rules_hash=rules_hash or "",
        version=version or "",
        schema=schema_in_force(session) or schema or "",
        intact=bool(names) and not upgraded and not changed_outside(session, names, noted),
    )


def still_published(session: Session, script: str, inputs: str) -> bool:
    """Whether a sync of these inputs has nothing to write: neither a row, nor the schema, nor a line of the run log.

    Args:
        session: of the published database.
        script: the schema script.
        inputs: digest of everything the figures depend on.

    Raises:
        PostgresError: the server does not accept writes.
    """
    require_writable(session)
    if not is_complete(session, script):
        return False
    before = published(session)
    last = session.query("SELECT status FROM sync_runs ORDER BY started_at DESC, run_id DESC LIMIT 1")
    return (
        before.inputs == inputs
        and before.intact
        and before.schema == schema_digest(script)
        and last != [("failed",)]  # the log must show the recovery
    )


def last_good(session: Session) -> GoodRun | None:
    """The last run that published; None if none did."""
    rows = session.query(
        "SELECT run_id, finished_at, coalesce(rules_hash, ''), coalesce(rows_rejected, 0), detail ->> 'exports' "
        "FROM sync_runs WHERE status = 'ok' ORDER BY finished_at DESC, run_id DESC LIMIT 1"
    )
    if not rows:
        return None
    run_id, finished_at, rules_hash, rejected, exports = rows[0]
    return GoodRun(run_id, finished_at, rules_hash, rejected, frozenset(json.loads(exports or "[]")))


def last_run(session: Session) -> str | None:
    """The id of the last run that published; None if none did."""
    good = last_good(session)
    return good.run_id if good else None


def latest_runs(session: Session, limit: int) -> tuple[LoggedRun, ...]:
    """The latest runs, newest first."""
    rows = session.query(
        f"SELECT {_LOGGED} FROM sync_runs ORDER BY started_at DESC, run_id DESC LIMIT $1::bigint",
        [limit],
    )
    return tuple(LoggedRun(*row) for row in rows)


def failed_between(session: Session, since: dt.datetime, until: dt.datetime) -> tuple[LoggedRun, ...]:
    """Runs that failed after ``since`` and no later than ``until``; also the newest run of all, if it failed."""
    rows = session.query(
        f"SELECT {_LOGGED} FROM sync_runs AS r WHERE status = 'failed' "
        "AND started_at <= $2::text::timestamptz AND (started_at > $1::text::timestamptz "
        "OR NOT EXISTS (SELECT 1 FROM sync_runs AS later WHERE later.started_at > r.started_at)) ORDER BY started_at",
        [since.isoformat(), until.isoformat()],
    )
    return tuple(LoggedRun(*row) for row in rows)


def is_published(session: Session, run_id: str) -> bool:
    """Whether a run's row is in the database."""
    return bool(session.query("SELECT 1 FROM sync_runs WHERE run_id = $1 AND status = 'ok'", [run_id]))


def begin_run(session: Session, run: Run) -> None:
    """Writes the row of a publishing run; invisible to others until the commit."""
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


def end_run(session: Session, run: Run, **detail: object) -> None:
    """Completes the row with the values that the next run needs."""
    recorded = {**run.detail, "inputs": run.inputs, "exports": sorted(run.exports), **detail}
    session.execute(
        "UPDATE sync_runs SET finished_at = clock_timestamp(), detail = $2::text::jsonb WHERE run_id = $1",
        [run.run_id, json.dumps(recorded, default=str)],
    )


def noted_counters(session: Session, run_id: str | None) -> dict[str, list[int]]:
    """The tables' counters at the end of a publish, as its run recorded them (``outside_writes``)."""
    found = session.query("SELECT detail ->> 'counters' FROM sync_runs WHERE run_id = $1", [run_id or ""])
    counters: dict[str, list[int]] = json.loads(found[0][0] or "{}") if found else {}
    return counters


# -- runs that publish nothing


def note_run(target: Server, schema: str, attempt: Attempt, status: str, detail: str | None) -> None:
    """Writes the row of a run that publishes nothing; does nothing if there is no run log.

    Raises:
        PostgresError: the row cannot be written.
    """
    run = attempt.run
    with connect(target, schema=schema) as session:
        if not has_all(session, ["sync_runs"]):
            return
        with session.transaction():
            session.execute("SET LOCAL lock_timeout = '5s'")
            # If the publish was committed and only the reply was lost, the row exists and the run was a good one.
            session.execute(
                "INSERT INTO sync_runs (run_id, started_at, finished_at, status, rules_hash, version, files, "
                "rows_read, rows_rejected, detail) VALUES ($1, $2::text::timestamptz, clock_timestamp(), $3, $4, $5, "
                "$6::bigint::integer, $7, $8, $9::text::jsonb) ON CONFLICT (run_id) DO NOTHING",
                [
                    attempt.run_id,
                    attempt.started_at.isoformat(),
                    status,
                    attempt.rules_hash,
                    __version__,
                    run.files if run else None,
                    run.rows_read if run else None,
                    run.rows_rejected if run else None,
                    detail,
                ],
            )


def note_recovery(target: Server, schema: str, attempt: Attempt) -> None:
    """Writes a row for a run with nothing to publish if the previous run failed, so that the log shows the recovery."""
    with connect(target, schema=schema) as session:
        last = latest_runs(session, 1)
    if last and last[0].status == "failed":
        note_run(target, schema, attempt, "unchanged", None)
