"""A vendor's web server on this machine: lists in pages, in every form that pulls know, and faults on request."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    number: int
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None where there is none."""
        return json.loads(self.body or b"null")


@dataclass
class Reply:
    """What goes back. ``cut``: the connection ends after so many bytes of the body."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    @property
    def bytes(self) -> bytes:
        """The body as it is sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Vendor:
    """The server. ``answer`` makes the reply to a request; ``fault`` may put another in its place."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.fault: Callable[[Asked, Reply], Reply] = lambda _asked, reply: reply
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two would wait for each other

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                vendor.serve(self)

            def do_POST(self) -> None:
                vendor.serve(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # connections that break are meant to
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._lock:
            asked = Asked(
                len(self.asked) + 1, handler.command, parts.path, dict(parse_qsl(parts.query)),
                {k.lower(): v for k, v in handler.headers.items()}, body,
            )  # fmt: skip
            self.asked.append(asked)
            reply = self.fault(asked, self.answer(asked))
        content = reply.bytes
        handler.send_response_only(reply.status)
        headers = {"Date": handler.date_time_string(), "Content-Type": "application/json", **reply.headers}
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        with suppress(ConnectionError):  # whoever asked has heard enough
            handler.wfile.write(content if reply.cut is None else content[: reply.cut])
        if reply.cut is not None:
            handler.close_connection = True

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def offsets(rows: Rows, *, total: bool = True, at: str = "data") -> Callable[[Asked], Reply]:
    """A list by ``offset`` and ``records``."""

    def answer(asked: Asked) -> Reply:
        start, size = int(asked.params.get("offset", 0)), int(asked.params.get("records", 100))
        document: dict[str, Any] = {at: rows[start : start + size]}
        return Reply(document | ({"meta": {"total": len(rows)}} if total else {}))

    return answer


def numbered(rows: Rows, *, total: bool = True) -> Callable[[Asked], Reply]:
    """A list by ``page`` from 1 and ``per_page``."""

    def answer(asked: Asked) -> Reply:
        size = int(asked.params.get("per_page", 100))
        start = (int(asked.params["page"]) - 1) * size
        document: dict[str, Any] = {"data": rows[start : start + size]}
        return Reply(document | ({"meta": {"total": len(rows)}} if total else {}))

    return answer


def cursors(rows: Rows, size: int, *, total: bool = True, name: str = "after") -> Callable[[Asked], Reply]:
    """A list by a cursor, which is asked for in the parameters or anywhere in a JSON body."""

    def answer(asked: Asked) -> Reply:
        cursor = asked.params.get(name) or (asked.json or {}).get(name)
        start = int(cursor.removeprefix("c")) if cursor else 0
        end = start + size
        meta: dict[str, Any] = {"next": f"c{end}" if end < len(rows) else None}
        return Reply({"data": rows[start:end], "meta": meta | ({"total": len(rows)} if total else {})})

    return answer


def linked(rows: Rows, size: int, base: Callable[[], str]) -> Callable[[Asked], Reply]:
    """A list whose Link header leads on."""

    def answer(asked: Asked) -> Reply:
        start = int(asked.params.get("start", 0))
        on = {"Link": f'<{base()}/list?start={start + size}>; rel="next"'} if start + size < len(rows) else {}
        return Reply({"data": rows[start : start + size], "meta": {"total": len(rows)}}, headers=on)

    return answer


@contextmanager
def serving(answer: Callable[[Asked], Reply]) -> Iterator[Vendor]:
    """A server for the length of a ``with`` block."""
    with Vendor(answer) as vendor:
        yield vendor


def jobs(count: int, *, first: int = 1) -> Rows:
    """Jobs as a CRM might give them, with amounts that a float could not hold."""
    return [
        {
            "UUID": f"u{n}",
            "Job #": n,
            "Job Type": "COD Repair" if n % 2 else "COD Service",
            "Source": "Google",
            "Created": f"2024-11-{n % 28 + 1:02d} 10:{n % 60:02d}:00",
            "Total": f"{n}.10",
        }
        for n in range(first, first + count)
    ]


def headers_and_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same rows as a hand-made export."""
    names = list(rows[0])
    return "\n".join([",".join(names), *(",".join(str(r[n]) for n in names) for r in rows)]) + "\n"
