"""Work on several blocks at once, a bounded number ahead of the one that is waited for."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

WORKERS = min(os.cpu_count() or 1, 4)  # each holds a block in several forms, so memory grows with them


Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = WORKERS, stop: Event | None = None
) -> Iterator[Result]:
    """Yields the result of each item, in order; the next items are worked on meanwhile, each in its own thread.

    Args:
        function: must not touch what another call touches.
        items: are taken by the calling thread, at most ``workers`` ahead.
        workers: how many are worked on at a time.
        stop: is set when no more results are wanted, so that calls on their way can end early; they are waited for.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="rmetrics")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        if stop:
            stop.set()
        pool.shutdown(cancel_futures=True)
