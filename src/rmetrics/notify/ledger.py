"""The log of messages by recipient: a small SQLite file in the data folder, written before and after each message.

A message is claimed on disk before it is sent and marked on disk as sent once the service has accepted it. A sender
killed in between leaves a claim, and nobody knows whether the message went out: it is *doubtful*. It is reported and
not resent automatically. A sender killed before the claim leaves the message to the next run; one killed after the mark
has sent it. So no kill leads to a duplicate. A message that the service refused or that could not reach it is marked
as failed and resent by the next run; if the service accepted it and only the response was lost, it may arrive twice.

The ledger is used under a lock, so an existing claim belongs to a process that has ended.
"""

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rmetrics.errors import BusyError, LakeError
from rmetrics.files import PRIVATE_FILE, PRIVATE_FOLDER
from rmetrics.locks import lock, lock_file, named_holder

Kind = Literal["brief", "alerts"]
State = Literal["sending", "sent", "failed"]
_WAIT_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sends (
    kind text NOT NULL, key text NOT NULL, channel text NOT NULL, state text NOT NULL,
    started_at text NOT NULL, ended_at text, why text NOT NULL DEFAULT '',
    PRIMARY KEY (kind, key, channel)
);
CREATE TABLE IF NOT EXISTS occurrences (
    name text NOT NULL, key text NOT NULL, since text NOT NULL, until text,
    PRIMARY KEY (name, key, since)
);
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message to one channel.

    Attributes:
        key: the day of a brief; name, row and start of an alert's occurrence.
        state: as in ``State``; "sending" means that the sender was killed and the message may have arrived.
    """

    kind: str
    key: str
    channel: str
    state: str
    started_at: dt.datetime
    why: str


class Ledger:
    """The open ledger; created by ``open_ledger``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def claim(
        self, kind: Kind, keys: Sequence[str], channel: str, now: dt.datetime, *, again: bool = False
    ) -> list[str]:
        """Claims the messages to send now; the claim is on disk on return.

        Args:
            kind: the kind of message.
            keys: the keys of the messages.
            channel: the recipient.
            now: the time of the claim.
            again: also claim messages that were sent or are doubtful.

        Returns:
            The keys to send: never claimed before, failed, or any with ``again``.
        """
        claimed = []
        with self._connection:
            for key in keys:
                row = self._connection.execute(
                    "SELECT state FROM sends WHERE (kind, key, channel) = (?, ?, ?)", (kind, key, channel)
                ).fetchone()
                if row is None or row[0] == "failed" or again:
                    self._connection.execute(
                        "INSERT OR REPLACE INTO sends (kind, key, channel, state, started_at) "
                        "VALUES (?, ?, ?, 'sending', ?)",
                        (kind, key, channel, now.isoformat()),
                    )
                    claimed.append(key)
        return claimed

    def mark(
        self, kind: Kind, keys: Sequence[str], channel: str, state: State, now: dt.datetime, why: str = ""
    ) -> None:
        """Records the outcome of claimed messages; on disk on return."""
        with self._connection:
            self._connection.executemany(
                "UPDATE sends SET state = ?, ended_at = ?, why = ? WHERE (kind, key, channel) = (?, ?, ?)",
                [(state, now.isoformat(), why, kind, key, channel) for key in keys],
            )

    def troubles(self, since: dt.datetime) -> tuple[Sent, ...]:
        """Returns messages from ``since`` on that failed or are doubtful, oldest first."""
        rows = self._connection.execute(
            "SELECT kind, key, channel, state, started_at, why FROM sends WHERE state <> 'sent' AND started_at >= ? "
            "ORDER BY started_at, channel",
            (since.isoformat(),),
        )
        return tuple(_sent(row) for row in rows)

    def state(self, kind: Kind, key: str, channel: str) -> Sent | None:
        """Returns the entry of a message; None if it was never claimed."""
        row = self._connection.execute(
            "SELECT kind, key, channel, state, started_at, why FROM sends WHERE (kind, key, channel) = (?, ?, ?)",
            (kind, key, channel),
        ).fetchone()
        return _sent(row) if row else None

    def last_brief(self, before: str) -> tuple[dt.date, dt.datetime] | None:
        """Returns the newest day before ``before`` whose brief was sent, and its time; None if there is none.

        Of several channels the earliest time counts: anything later reached only some of them. A message that only
        announced that there is no brief (its key is longer than a date) does not count.
        """
        row = self._connection.execute(
            "SELECT key, min(started_at) FROM sends WHERE kind = 'brief' AND state = 'sent' AND key < ? "
            "AND length(key) = 10 GROUP BY key ORDER BY key DESC LIMIT 1",
            (before,),
        ).fetchone()
        return (dt.date.fromisoformat(row[0]), dt.datetime.fromisoformat(row[1])) if row else None

    def occurring(self, active: Sequence[tuple[str, str]], now: dt.datetime) -> dict[tuple[str, str], str]:
        """Opens new occurrences and closes those that are over; returns the start of each open one.

        Args:
            active: name and row of each alert that is true.
            now: the time of the evaluation.
        """
        wanted = set(active)
        with self._connection:
            recorded = {
                (name, key): since
                for name, key, since in self._connection.execute(
                    "SELECT name, key, since FROM occurrences WHERE until IS NULL"
                )
            }
            for name, key in recorded.keys() - wanted:
                self._connection.execute(
                    "UPDATE occurrences SET until = ? WHERE (name, key, since) = (?, ?, ?)",
                    (now.isoformat(), name, key, recorded[name, key]),
                )
            self._connection.executemany(
                "INSERT INTO occurrences (name, key, since) VALUES (?, ?, ?)",
                [(name, key, now.isoformat()) for name, key in sorted(wanted - recorded.keys())],
            )
        return {pair: recorded.get(pair, now.isoformat()) for pair in wanted}


def _sent(row: Sequence[str]) -> Sent:
    kind, key, channel, state, started, why = row
    return Sent(kind, key, channel, state, dt.datetime.fromisoformat(started), why)


@contextlib.contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """Opens the ledger of a data folder, for one process at a time.

    Raises:
        BusyError: another process is sending.
        LakeError: the ledger cannot be read or written; without it nothing may be sent.
    """
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with lock_file(folder / "messages.lock") as file:
            if not lock(file, exclusive=True, seconds=_WAIT_SECONDS):
                raise BusyError(f"another command is sending messages ({named_holder(file)})", "Wait for it to finish.")
            with _opened(folder / "messages.sqlite") as connection:
                yield Ledger(connection)
    except OSError as error:
        raise LakeError(
            f"cannot use the ledger of messages {error.filename or folder}: {error.strerror}",
            "Check the disk and the permissions; without the ledger nothing is sent.",
        ) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            path.chmod(PRIVATE_FILE)
            connection.execute("PRAGMA synchronous = FULL")  # a claim must survive a power failure
            connection.executescript(_SCHEMA)
            yield connection
    except sqlite3.Error as error:
        raise LakeError(
            f"the ledger of messages {path} cannot be used: {error}",
            f"Move {path.name} elsewhere to start a new one; today's messages may then be sent again.",
        ) from error
