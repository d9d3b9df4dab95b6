"""The HTTP server: listens, reports its address, and serves until a signal stops it."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from rmetrics.errors import SettingsError
from rmetrics.serve.app import Site, application
from rmetrics.serve.guard import Guard, new_token
from rmetrics.settings import Settings


class _Server(uvicorn.Server):
    """A server that exits without an error on Ctrl-C or when a service manager stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops the server on SIGINT and SIGTERM; uvicorn's own version raises the signal again afterwards."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Opens a listening socket.

    Args:
        host: an address or a name of this machine.
        port: 0 for any free port.

    Raises:
        SettingsError: the address cannot be bound.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        try:
            if sys.platform != "win32":  # on Windows it would let two programs share the port
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(64)
        except OSError:
            found.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {reason}",
            "Use another port or host: --port 8788, --host 127.0.0.1.",
        ) from error
    return found


def serve(settings: Settings, *, host: str, port: int, rows: bool, ready: Callable[[str], None]) -> None:
    """Serves the pages until a signal stops the server.

    Args:
        settings: the project's settings.
        host: the address to listen on; a loopback address keeps other machines out.
        port: 0 for any free port.
        rows: whether rows of exports may be shown.
        ready: called with the address, token included, once the server listens.

    Raises:
        SettingsError: the address cannot be bound.
    """
    opened = listen(host, port)
    port, token = opened.getsockname()[1], new_token()
    shown = f"[{host}]" if ":" in host else host
    site = Site(settings, rows=rows)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(message)s")
    app = Guard(application(site), token=token, host=host, port=port)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=True, proxy_headers=False,
        ws="none", timeout_graceful_shutdown=3, limit_concurrency=64,
    )  # fmt: skip
    with opened:
        opened.setblocking(False)  # noqa: FBT003 - its parameter has no name
        site.warm()
        ready(f"http://{shown}:{port}/?token={token}")
        asyncio.run(_Server(config).serve(sockets=[opened]))
