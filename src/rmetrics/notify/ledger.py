"""What was sent to whom: a small SQLite file in the data folder, written before and after each message.

A message is claimed, on disk, before it is sent, and marked as sent, on disk, after the service took it. So a sender
that is killed in between leaves a claim, and nobody knows whether the message went out: it is *doubtful*. That is told,
and the message is not sent again by itself. Killed before the claim: it is sent by the next run. Killed after the mark:
it was sent. No message goes out twice by itself, wherever the sender is killed. A message that the service refused, or
that could not reach it, is marked as failed and sent again by the next run; where the service took it and only its
answer was lost, it may then arrive twice.

The ledger is used under a lock, so a claim that is found is of a process that has ended.
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
        key: the day of a brief; name, row and beginning of an alert's occurrence.
        state: sending: its sender was killed, it may have arrived or not.
    """

    kind: str
    key: str
    channel: str
    state: str
    started_at: dt.datetime
    why: str


class Ledger:
    """The open ledger; made by ``open_ledger``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def claim(
        self, kind: Kind, keys: Sequence[str], channel: str, now: dt.datetime, *, again: bool = False
    ) -> list[str]:
        """Takes what is to be sent now; on disk when this returns.

        Args:
            kind: what.
            keys: of the messages.
            channel: where to.
            now: when.
            again: also what was sent, or is doubtful.

        Returns:
            The keys that are to be sent: never claimed before, or failed.
        """
        taken = []
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
                    taken.append(key)
        return taken

    def mark(
        self, kind: Kind, keys: Sequence[str], channel: str, state: State, now: dt.datetime, why: str = ""
    ) -> None:
        """Notes how it ended; on disk when this returns."""
        with self._connection:
            self._connection.executemany(
                "UPDATE sends SET state = ?, ended_at = ?, why = ? WHERE (kind, key, channel) = (?, ?, ?)",
                [(state, now.isoformat(), why, kind, key, channel) for key in keys],
            )

    def troubles(self, since: dt.datetime) -> tuple[Sent, ...]:
        """Messages since then that failed or are doubtful, oldest first."""
        rows = self._connection.execute(
            "SELECT kind, key, channel, state, started_at, why FROM sends WHERE state <> 'sent' AND started_at >= ? "
            "ORDER BY started_at, channel",
            (since.isoformat(),),
        )
        return tuple(_sent(row) for row in rows)

    def state(self, kind: Kind, key: str, channel: str) -> Sent | None:
        """What is known of a message; None where it was never claimed."""
        row = self._connection.execute(
            "SELECT kind, key, channel, state, started_at, why FROM sends WHERE (kind, key, channel) = (?, ?, ?)",
            (kind, key, channel),
        ).fetchone()
        return _sent(row) if row else None

    def last_brief(self, before: str) -> tuple[dt.date, dt.datetime] | None:
        """The newest day before ``before`` whose brief was sent, and as of when; None where none was.

        Of several channels the first counts: what came between them was told to one only. A message that only said that
        there is no brief (its key is longer than a day) is none.
        """
        row = self._connection.execute(
            "SELECT key, min(started_at) FROM sends WHERE kind = 'brief' AND state = 'sent' AND key < ? "
            "AND length(key) = 10 GROUP BY key ORDER BY key DESC LIMIT 1",
            (before,),
        ).fetchone()
        return (dt.date.fromisoformat(row[0]), dt.datetime.fromisoformat(row[1])) if row else None

    def occurring(self, true_now: Sequence[tuple[str, str]], now: dt.datetime) -> dict[tuple[str, str], str]:
        """Begins, goes on and ends occurrences; since when each of those that are true is.

        Args:
            true_now: name and row of each alert that is true.
            now: when that was found.
        """
        wanted = set(true_now)
        with self._connection:
            there = {
                (name, key): since
                for name, key, since in self._connection.execute(
                    "SELECT name, key, since FROM occurrences WHERE until IS NULL"
                )
            }
            for name, key in there.keys() - wanted:
                self._connection.execute(
                    "UPDATE occurrences SET until = ? WHERE (name, key, since) = (?, ?, ?)",
                    (now.isoformat(), name, key, there[name, key]),
                )
            self._connection.executemany(
                "INSERT INTO occurrences (name, key, since) VALUES (?, ?, ?)",
                [(name, key, now.isoformat()) for name, key in sorted(wanted - there.keys())],
            )
        return {pair: there.get(pair, now.isoformat()) for pair in wanted}


def _sent(row: Sequence[str]) -> Sent:
    kind, key, channel, state, started, why = row
    return Sent(kind, key, channel, state, dt.datetime.fromisoformat(started), why)


@contextlib.contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """The ledger of a data folder, for one process at a time.

    Raises:
        BusyError: another process is sending.
        LakeError: the ledger cannot be read or written; nothing may be sent without it.
    """
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with lock_file(folder / "messages.lock") as file:
            if not lock(file, alone=True, seconds=_WAIT_SECONDS):
                raise BusyError(f"another command is sending messages ({named_holder(file)})", "Wait for it to end.")
            with _opened(folder / "messages.sqlite") as connection:
                yield Ledger(connection)
    except OSError as error:
        raise LakeError(
            f"cannot use the ledger of messages {error.filename or folder}: {error.strerror}",
            "Check the disk and the permissions; nothing is sent without it.",
        ) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            path.chmod(PRIVATE_FILE)
            connection.execute("PRAGMA synchronous = FULL")  # what is claimed survives a power cut
            connection.executescript(_SCHEMA)
            yield connection
    except sqlite3.Error as error:
        raise LakeError(
            f"the ledger of messages {path} cannot be used: {error}",
            f"Move {path.name} away to begin a new one; today's messages may then be sent once more.",
        ) from error
