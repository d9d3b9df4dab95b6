"""Failed runs leave a row in ``sync_runs``, so that Grafana and ``rmetrics status`` show them.

A run that another one keeps out is not a failed one: that one does the work.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from rmetrics.errors import BusyError, RmetricsError, asked_to_stop, of_the_system
from rmetrics.findings import Severity
from rmetrics.postgres.connection import Server, connect, redacted
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.publish import Run
from rmetrics.postgres.server import existing_server
from rmetrics.settings import Settings
from rmetrics.version import __version__

FINDING = "run-failed"
_FAULT = "a fault of rmetrics; what it wrote on stderr says where"  # the message itself may quote a row


@dataclass(slots=True)
class Attempt:
    """A run as far as it got.

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


@contextlib.contextmanager
def failure_noted(settings: Settings, attempt: Attempt) -> Iterator[None]:
    """Writes a row for a run that fails inside the block, where a database can be reached; the error goes its way."""
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        if asked_to_stop(error):  # a person ended it: that is no failure to alert anybody of
            raise
        # Whatever keeps the row from being written, most likely what failed the run: the first error is to be told.
        with contextlib.suppress(Exception):
            _note(settings, attempt, error)
        raise


def _note(settings: Settings, attempt: Attempt, error: Exception) -> None:
    with existing_server(settings) as target:
        if target is None:
            return
        known = error if isinstance(error, RmetricsError) else of_the_system(error)
        message = redacted(known.message, settings.dsn or "") if known else _FAULT
        detail = {
            "error": {"kind": type(error).__name__, "message": message},
            "findings": [{"code": FINDING, "severity": Severity.ERROR, "message": message, "rows": 0}],
        }
        note_run(target, settings.pg_schema, attempt, "failed", json.dumps(detail))


def note_run(target: Server, schema: str, attempt: Attempt, status: str, detail: str | None) -> None:
    """Writes the row of a run that publishes nothing itself; nothing where there is no run log.

    Raises:
        PostgresError: it cannot be written.
    """
    run = attempt.run
    with connect(target, schema=schema) as session:
        if not has_all(session, ["sync_runs"]):
            return
        with session.transaction():
            session.execute("SET LOCAL lock_timeout = '5s'")
            # Where the publish was committed and only its answer was lost, the row is there, and the run a good one.
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
    """Writes a row for a run that had nothing to publish, if the one before it failed: all is well again."""
    with connect(target, schema=schema) as session:
        last = session.query("SELECT status FROM sync_runs ORDER BY started_at DESC, run_id DESC LIMIT 1")
    if last and last[0][0] == "failed":
        note_run(target, schema, attempt, "unchanged", None)
