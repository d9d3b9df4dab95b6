"""An engine that runs tasks in this process, as they would travel to an executor."""

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from rmetrics.errors import EngineError
from rmetrics.spark.tasks import Listed, Maker, versions


class InProcess:
    """Runs each task twice, as after a lost executor: the first attempt's answer is lost.

    Attributes:
        fails: items with which Spark gives up.
        asked: all items so far.
    """

    slots = 1

    def __init__(self, fails: Callable[[Any], bool] = lambda _: False) -> None:
        self.fails = fails
        self.asked = list[Any]()

    def each(self, items: Sequence[Any], step: Any, schema: Any) -> list[pl.DataFrame]:
        """The second answers."""
        self.asked += items
        if any(map(self.fails, items)):
            raise EngineError("Spark could not compute the metrics", "")
        listed = Listed(Maker(step, schema, versions(), pickle.loads), tuple(map(pickle.dumps, items)))
        numbers = pl.DataFrame({"id": range(len(items))}).to_arrow().to_batches()
        for _ in range(2):
            made = [pl.from_arrow(batch) for batch in listed.batches(iter(numbers))]
        return made  # type: ignore[return-value]

    def collected(self, rows: Sequence[pl.DataFrame], _schema: object) -> pl.DataFrame:
        """All of them."""
        return pl.concat(rows)


__all__ = ["InProcess"]
