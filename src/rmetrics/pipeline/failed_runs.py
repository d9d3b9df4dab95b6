"""Records failed runs in ``sync_runs``, so that Grafana and ``rmetrics status`` show them.

A run that gives way to another run is not a failed run: the other one does the work.
"""

import contextlib
import json
from collections.abc import Iterator

from rmetrics.errors import BusyError, RmetricsError, caused_by_interrupt, of_the_system
from rmetrics.findings import Severity
from rmetrics.postgres.connection import redacted
from rmetrics.postgres.run_log import Attempt, note_run
from rmetrics.postgres.server import Database, existing_server

FINDING = "run-failed"
_FAULT = "a bug in rmetrics; see its output on stderr"  # replaces the message, which may quote a row


@contextlib.contextmanager
def failure_noted(database: Database, attempt: Attempt) -> Iterator[None]:
    """Records a run that fails inside the block, if a database can be reached, and re-raises the error."""
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        if caused_by_interrupt(error):  # stopped by the user: no failure, so no alert
            raise
        # If the row cannot be written, the cause is most likely the same: report the original error.
        with contextlib.suppress(Exception):
            _note(database, attempt, error)
        raise


def _note(database: Database, attempt: Attempt, error: Exception) -> None:
    with existing_server(database) as target:
        if target is None:
            return
        known = error if isinstance(error, RmetricsError) else of_the_system(error)
        message = redacted(known.message, database.dsn or "") if known else _FAULT
        detail = {
            "error": {"kind": type(error).__name__, "message": message},
            "findings": [{"code": FINDING, "severity": Severity.ERROR, "message": message, "rows": 0}],
        }
        note_run(target, database.schema, attempt, "failed", json.dumps(detail))
