"""How long work tells how far it is, without knowing who listens."""

import contextlib
import time
from collections.abc import Callable, Iterator

# (what is being done, how much of it is done, how much there is; 0 = unknown)
Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""


@contextlib.contextmanager
def timed(timings: dict[str, float], step: str) -> Iterator[None]:
    """Notes the seconds of a step, where it comes to its end."""
    clock = time.monotonic()
    yield
    timings[step] = time.monotonic() - clock
