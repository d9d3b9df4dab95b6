"""Progress reports of long work, independent of the listener."""

import contextlib
import time
from collections.abc import Callable, Iterator

# (current step, amount done, total amount; 0 = unknown)
Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Reports nothing."""


@contextlib.contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Records the seconds of a step that completes without an error."""
    clock = time.monotonic()
    yield
    timings[step] = time.monotonic() - clock
