"""Ctrl-C, however a library passes it on.

Where Ctrl-C meets DuckDB, a database driver or a thread, what comes out is an error of theirs, or one of ours made
from it. It is remembered here that a person asked for the end, so that no such error is taken for a fault.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code: 128 and the number of the signal, as shells have it."""


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Yields a function that knows whether Ctrl-C was pressed; the handler before is put back at the end."""
    pressed: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(pressed)
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
