"""Work on several blocks at once, a bounded number ahead of the one that is waited for."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WORKERS = min(os.cpu_count() or 1, 4)  # each holds a block in several forms, so memory grows with them


Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yields the result of each item, in order; the next items are worked on meanwhile, each in its own thread.

    Args:
        function: must not touch what another call touches.
        items: are taken by the calling thread, at most ``WORKERS`` ahead.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="rmetrics")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > WORKERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
