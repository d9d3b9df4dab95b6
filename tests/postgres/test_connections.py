"""P2, the server's side: connections lost in the middle of a COPY and of a commit, and a server that is restarted."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adbc_driver_postgresql import dbapi

from reliability.versions import SEEN, prepared, publish_version, seen_of
from rmetrics.errors import BusyError, PostgresError
from rmetrics.postgres.connection import Server, Session, server_of
from rmetrics.postgres.embedded import start_embedded, stop_embedded
from rmetrics.postgres.publish import copying


def seen(dsn: str) -> tuple[Any, ...]:
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(SEEN)
        return tuple(cursor.fetchone())


def test_a_connection_lost_in_the_middle_of_a_copy(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    server = prepared(database)
    publish_version(server, 1)
    whole = copying._reader  # noqa: SLF001 - the one place where rows go out

    def cut(*arguments: Any) -> Any:
        source = whole(*arguments)

        def batches() -> Iterator[Any]:
            for batch in source:
                yield batch.slice(0, batch.num_rows // 2)
                with dbapi.connect(database, autocommit=True) as other, other.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                        "WHERE application_name = 'rmetrics' AND datname = current_database()"
                    )
                    assert cursor.fetchone()[0]
                yield batch.slice(batch.num_rows // 2)

        return pa.RecordBatchReader.from_batches(source.schema, batches())

    with monkeypatch.context() as patched:
        patched.setattr(copying, "_reader", cut)
        with pytest.raises(PostgresError):
            publish_version(server, 2)
    assert seen(database) == seen_of(1)
    publish_version(server, 3)
    assert seen(database) == seen_of(3)


class Proxy(threading.Thread):
    """Passes bytes to the server until the publish's COMMIT, then hangs up: before it goes on, or before its answer."""

    def __init__(self, folder: str, *, answer: bool) -> None:
        super().__init__(daemon=True)
        self.target, self.lose_answer, self.armed, self.cuts = f"{folder}/.s.PGSQL.5432", answer, False, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        """Accepts until closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
                threading.Thread(target=self._out, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _out(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self.armed = self.armed or b"UPDATE sync_runs" in data
                if self.armed and b"COMMIT" in data:
                    self.armed = False
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)
                    if self.lose_answer:
                        server.sendall(data)
                        server.recv(1)  # the server has answered, but nobody hears it
                    break
                server.sendall(data)
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)


@pytest.mark.parametrize("answer", [True, False], ids=["lost before its answer", "lost before the commit"])
@pytest.mark.ordinary(1)
def test_a_connection_lost_at_the_commit(database: str, answer: bool) -> None:
    direct = prepared(database)
    publish_version(direct, 1)
    folder = database.partition("host=")[2].partition("&")[0]
    proxy = Proxy(folder, answer=answer)
    proxy.start()
    name = database.split("/")[3].partition("?")[0]
    through = server_of(f"postgresql://postgres:@127.0.0.1:{proxy.port}/{name}")
    with pytest.raises(PostgresError) as caught:
        publish_version(through, 2)
    proxy.listener.close()
    assert proxy.cuts == 1
    assert "not known whether" in caught.value.hint
    assert seen(database) in ([seen_of(1), seen_of(2)] if answer else [seen_of(1)])
    publish_version(direct, 3)
    assert seen(database) == seen_of(3)


@pytest.mark.slow
def test_a_server_restarted_between_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pg"
    server = prepared(start_embedded(folder).dsn)
    publish_version(server, 1)
    ingest = Session.ingest

    def restarted(self: Session, table: str, data: Any, *, schema: str | None) -> int:
        stop_embedded(folder)
        start_embedded(folder)
        return ingest(self, table, data, schema=schema)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "ingest", restarted)
        with pytest.raises((PostgresError, BusyError)):
            publish_version(server, 2)
    again = Server(start_embedded(folder).dsn, "again", embedded=False)
    assert seen(again.dsn) == seen_of(1)
    publish_version(again, 3)
    assert seen(again.dsn) == seen_of(3)
    stop_embedded(folder)
