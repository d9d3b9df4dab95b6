"""Ctrl-C, in whatever form a library passes it on.

If Ctrl-C interrupts DuckDB, a database driver or a thread, it surfaces as an error of theirs, or as one of ours raised
from it. The handler records the key press, so that such an error is not reported as a failure.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code: 128 plus the number of the signal, as in shells."""


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether Ctrl-C was pressed; restores the previous handler at the end."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(received)
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
