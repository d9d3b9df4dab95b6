"""Checks whether the embedded server can listen on a loopback port."""

import errno
import os
import socket

from rmetrics.errors import PostgresError
from rmetrics.postgres.embedded.cluster import LOOPBACK

_REASONS = {errno.EADDRINUSE: "is in use by another program", errno.EACCES: "is reserved for the system"}


def require_free(port: int) -> None:
    """Refuses an unavailable port. Another program may still take it before the server does.

    Raises:
        PostgresError: the port is in use, or the user may not bind it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # as PostgreSQL does: ports of recently closed connections are free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            why = _REASONS.get(error.errno or 0, f"is not available ({error.strerror})")
            raise PostgresError(
                f"port {port} of this machine {why}", "Name another one, for instance: rmetrics db start --port 5433"
            ) from error


__all__ = ["require_free"]
