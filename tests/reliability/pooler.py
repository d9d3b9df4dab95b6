"""A pooler in transaction mode: every transaction finds a session that knows nothing of the one before.

It passes the protocol's messages on. Whenever the server reports that no transaction is open, the session is thrown
away as far as PostgreSQL can (``DISCARD ALL``) and given the settings that some other client of the pool left behind.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence

LEFT_BEHIND = (
    "SET search_path TO theirs",
    "SET client_encoding TO 'LATIN1'",
    "SET standard_conforming_strings TO off",
    "SET timezone TO 'Asia/Kolkata'",
    "SET datestyle TO 'SQL, DMY'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
)


class Pooler:
    """Listens on the loopback and hands on to a server's socket."""

    def __init__(self, socket_folder: str, left_behind: Sequence[str] = LEFT_BEHIND) -> None:
        self.target, self.left_behind, self.transactions = f"{socket_folder}/.s.PGSQL.5432", left_behind, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each small message waits 40 ms
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
                threading.Thread(target=self._out, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _out(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ConnectionError):
            if (answer := server.recv(1, socket.MSG_PEEK)) in (b"N", b"S"):  # to the question for TLS
                client.sendall(server.recv(len(answer)))
            for kind, message in _messages(server):
                if kind == b"Z" and message[5:] == b"I":
                    self.transactions += 1
                    for sql in ("DISCARD ALL", *self.left_behind):
                        _run(server, sql)
                client.sendall(message)
        for one in (client, server):
            one.close()


def _messages(server: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = _exactly(server, 5)
        yield head[:1], head + _exactly(server, struct.unpack("!I", head[1:])[0] - 4)


def _exactly(server: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        data = server.recv(length - len(parts))
        if not data:
            raise ConnectionError
        parts += data
    return parts


def _run(server: socket.socket, sql: str) -> None:
    body = sql.encode() + b"\0"
    server.sendall(b"Q" + struct.pack("!I", len(body) + 4) + body)
    for kind, message in _messages(server):
        if kind == b"E":
            raise AssertionError(message)
        if kind == b"Z":
            return
