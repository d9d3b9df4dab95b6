"""P1: readers see whole versions, in all tables together, and neither side waits for the other."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from reliability.figures import record
from reliability.versions import SEEN, prepared, publish_version, seen_of

Read = Callable[[Any], tuple[Any, ...]]
LONGEST_WAIT = 5.0  # seconds; on a busy machine a query alone can take one


def plain(cursor: Any) -> tuple[Any, ...]:
    cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": False})
    cursor.execute(SEEN)
    return tuple(cursor.fetchone())


def bound(cursor: Any) -> tuple[Any, ...]:
    cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": False})
    cursor.execute(SEEN + "WHERE $1 = 1", (1,))
    return tuple(cursor.fetchone())


def copied(cursor: Any) -> tuple[Any, ...]:
    cursor.execute(SEEN)
    return tuple(cursor.fetchone())


def table_by_table(cursor: Any) -> tuple[Any, ...]:
    """One REPEATABLE READ transaction, a statement for each table, each read by COPY."""
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    found: list[Any] = []
    for sql in (
        "SELECT count(*), min(leads), max(leads), sum(jobs)::bigint FROM daily_metrics",
        "SELECT count(*), min(leads), max(leads) FROM monthly_metrics",
        "SELECT run_id FROM sync_runs ORDER BY finished_at DESC LIMIT 1",
    ):
        cursor.execute(sql)
        found += cursor.fetchone()
        time.sleep(0.002)  # time for a publish to come in between
    cursor.execute("COMMIT")
    return tuple(found)


READERS: dict[str, Read] = {"plain": plain, "prepared": bound, "COPY": copied, "repeatable read": table_by_table}


class Reader(threading.Thread):
    """Reads until told to stop; keeps what it saw and its longest wait."""

    def __init__(self, dsn: str, read: Read, stop: threading.Event) -> None:
        super().__init__()
        self.dsn, self.read, self.stop = dsn, read, stop
        self.seen: Counter[tuple[Any, ...]] = Counter()
        self.longest = 0.0
        self.failure = ""

    def run(self) -> None:
        """Reads."""
        try:
            with dbapi.connect(self.dsn, autocommit=True) as connection, connection.cursor() as cursor:
                while not self.stop.is_set():
                    began = time.monotonic()
                    self.seen[self.read(cursor)] += 1
                    self.longest = max(self.longest, time.monotonic() - began)
                    time.sleep(0.005)
        except dbapi.Error as error:
            self.failure = str(error)


@pytest.fixture
def readers(database: str) -> Iterator[list[Reader]]:
    stop = threading.Event()
    yield [Reader(database, read, stop) for read in READERS.values()]
    stop.set()


def torture(database: str, readers: list[Reader], publishes: int) -> int:
    server = prepared(database)
    publish_version(server, 1)
    for reader in readers:
        reader.start()
    for version in range(2, publishes + 2):
        publish_version(server, version)
    readers[0].stop.set()
    for reader in readers:
        reader.join(30)
    whole = {seen_of(v) for v in range(1, publishes + 2)}
    for name, reader in zip(READERS, readers, strict=True):
        assert reader.failure == "", name
        assert {s: n for s, n in reader.seen.items() if s not in whole} == {}, name
        assert reader.longest < LONGEST_WAIT, name
        assert len(reader.seen) > 1, f"{name} saw one version only: nothing was tried"
    return sum(sum(r.seen.values()) for r in readers)


@pytest.mark.deep
def test_readers_see_whole_versions_during_10_publishes(database: str, readers: list[Reader]) -> None:
    torture(database, readers, 10)


@pytest.mark.slow
def test_readers_see_whole_versions_during_30_publishes(database: str, readers: list[Reader]) -> None:
    count = torture(database, readers, 30)
    longest = max(r.longest for r in readers) * 1000
    record(
        "readers during 30 publishes (plain, prepared, COPY, repeatable read)",
        f"{count:,} observations, longest wait {longest:.0f} ms",
        0,
    )


def test_a_long_open_reader_does_not_hold_up_a_publish_and_keeps_its_version(database: str) -> None:
    server = prepared(database)
    publish_version(server, 1)
    with dbapi.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(SEEN)
        assert tuple(cursor.fetchone()) == seen_of(1)
        for version in (2, 3):
            publish_version(server, version)  # its lock_timeout would end it
        cursor.execute(SEEN)
        assert tuple(cursor.fetchone()) == seen_of(1)
        cursor.execute("COMMIT")
        cursor.execute(SEEN)
        assert tuple(cursor.fetchone()) == seen_of(3)
