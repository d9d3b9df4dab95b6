"""Parallel work on several blocks, a bounded number ahead of the consumer."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

WORKERS = min(os.cpu_count() or 1, 4)  # limited because each holds a block in several forms in memory


Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = WORKERS, stop: Event | None = None
) -> Iterator[Result]:
    """Yields the result of each item, in order, while the next items are processed in other threads.

    Args:
        function: must not share mutable state between calls.
        items: read by the calling thread, at most ``workers`` ahead.
        workers: the number processed at a time.
        stop: set when no more results are wanted, so that running calls can end early; the function waits for them.
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
