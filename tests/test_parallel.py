"""Work in threads: results in order, and calls that are not wanted any more end early."""

import threading
import time

import pytest

from rmetrics.parallel import in_order


def test_results_come_in_the_order_of_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item

    assert list(in_order(slow_first, range(20))) == list(range(20))


def test_an_error_stops_the_calls_on_their_way() -> None:
    stop, started = threading.Event(), threading.Event()
    ended: list[bool] = []

    def work(item: str) -> None:
        if item == "bad":
            started.wait(5)
            raise ValueError(item)
        started.set()
        ended.append(stop.wait(5))

    with pytest.raises(ValueError, match="bad"):
        list(in_order(work, ["bad", "long"], workers=2, stop=stop))
    assert ended == [True]
