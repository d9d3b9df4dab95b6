"""The version of the project on show: one at a time, replaced as a whole after a sync has ended."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.errors import BusyError, PostgresError
from rmetrics.postgres.embedded import embedded
from rmetrics.serve.view import View, mark, open_view, sync_runs
from rmetrics.settings import Settings


@dataclass(slots=True)
class _Shared:
    """A view and the number of requests that use it."""

    view: View
    stack: contextlib.ExitStack
    users: int = 0
    retired: bool = False

    def close_if_done(self) -> None:
        """Closes the view once it has been replaced and no request uses it."""
        if self.retired and not self.users:
            self.stack.close()


class Current:
    """The view in force, shared by request threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._shared: _Shared | None = None
        self._server = contextlib.ExitStack()
        self._serving = False

    @contextlib.contextmanager
    def view(self, *, newest: bool = False) -> Iterator[View]:
        """Yields the view in force, which does not change while it is used.

        During a sync this stays the earlier view: the lake gets the new computation before the database does.

        Args:
            newest: use the lake's newest computation, even during a sync.

        Raises:
            RmetricsError: there is nothing to show; see ``open_view``.
        """
        shared = self._acquire(newest=newest)
        try:
            yield shared.view
        finally:
            with self._lock:
                shared.users -= 1
                shared.close_if_done()

    def _acquire(self, *, newest: bool) -> _Shared:
        with self._lock:
            shared = self._shared
            if shared is None or self._outdated(shared.view, newest=newest):
                try:
                    shared = self._opened()
                except BusyError:
                    if shared is None:
                        raise
            shared.users += 1
            return shared

    def _outdated(self, view: View, *, newest: bool) -> bool:
        return view.mark != mark(self.settings) and (newest or not sync_runs(self.settings))

    def _opened(self) -> _Shared:
        stack = contextlib.ExitStack()
        made = _Shared(stack.enter_context(open_view(self.settings)), stack)
        before, self._shared = self._shared, made
        if before is not None:
            before.retired = True
            before.close_if_done()
        self._keep_server()
        return made

    def _keep_server(self) -> None:
        """Keeps the embedded PostgreSQL running while pages are served: starting it takes longer than a page."""
        folder = self.settings.server_dir
        if self._serving or self.settings.dsn or not (folder / "PG_VERSION").exists():
            return
        with contextlib.suppress(PostgresError, BusyError):  # pages that need it report the error
            self._server.enter_context(embedded(folder))
            self._serving = True

    def newest_mark(self) -> str:
        """Returns the mark of the version that would be shown now, without opening it."""
        with self._lock:
            shared = self._shared
        found = mark(self.settings)
        return shared.view.mark if shared is not None and sync_runs(self.settings) else found

    def close(self) -> None:
        """Closes the view and the server; a view still in use is closed by its last user."""
        with self._lock:
            if self._shared is not None:
                self._shared.retired = True
                self._shared.close_if_done()
                self._shared = None
        self._server.close()
