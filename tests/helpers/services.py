"""A service on this machine that takes messages as apprise's json:// sends them."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Service:
    """A running service.

    Attributes:
        got: what it took, with the path it was sent to.
        status: what it answers.
        before_answer: called while the sender waits.
    """

    port: int = 0
    got: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    before_answer: Callable[[], None] = lambda: None

    def url(self, rest: str = "hook") -> str:
        """Its URL for apprise."""
        return f"json://127.0.0.1:{self.port}/{rest}"


@contextmanager
def service() -> Iterator[Service]:
    """A service for the length of a ``with`` block."""
    made = Service()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.got.append({"path": self.path, **body})
            made.before_answer()
            try:
                self.send_response(made.status)
                self.end_headers()
            except OSError:  # the sender was killed
                return

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()
