"""The plan's engine on Spark, which shuffles, spills and retries; every bucket runs a step of rmetrics."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name that Spark's own documents use
from pyspark.sql.pandas.types import from_arrow_schema

from rmetrics.spark.session import slots, spark_errors
from rmetrics.spark.steps import NOTES, Piece, Schema
from rmetrics.spark.tasks import Listed, Maker, Task, arrow_schema, from_arrow, versions

_BUCKET = "_bucket"
_KIND = next(iter(NOTES))


class SparkRows:
    """Rows on a cluster, with their columns and types for the steps."""

    def __init__(self, frame: DataFrame, schema: Schema) -> None:
        self.frame, self.schema = frame, schema


class SparkEngine:
    """Moves the rows of a plan; see ``plan.Engine``."""

    def __init__(self, spark: Any) -> None:
        self.spark, self.wanted = spark, versions()
        self._persisted: list[DataFrame] = []

    def made(
        self, items: Sequence[Piece], step: Callable[[Piece], Iterator[pl.DataFrame]], schema: Schema
    ) -> SparkRows:
        """Returns the frames that a step makes of each item, one task per item."""
        maker = Maker(step, schema, self.wanted, pickle.loads)
        table = pa.table({"item": pa.array([pickle.dumps(item) for item in items], pa.binary())})
        rows = self.spark.createDataFrame(table)
        spread = rows.repartition(max(1, len(items)))
        return SparkRows(spread.mapInArrow(maker.batches, _types(schema)), schema)

    def each(self, items: Sequence[Any], step: Callable[[Any], Iterator[pl.DataFrame]], schema: Schema) -> SparkRows:
        """Does the same as ``made`` for items of long work: exactly one per task, in order."""
        listed = Listed(Maker(step, schema, self.wanted, pickle.loads), tuple(pickle.dumps(item) for item in items))
        # A range with as many partitions as numbers puts exactly one into each; ``repartition`` does not promise that.
        numbers = self.spark.range(0, len(items), 1, len(items))
        return SparkRows(numbers.mapInArrow(listed.batches, _types(schema)), schema)

    def mapped(self, rows: SparkRows, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema) -> SparkRows:
        """Applies a step to each batch."""
        task = Task(step, [rows.schema], schema, self.wanted)
        return SparkRows(rows.frame.mapInArrow(task.batches, _types(schema)), schema)

    def grouped(
        self,
        rows: SparkRows,
        by: Sequence[str],
        buckets: int,
        step: Callable[[pl.DataFrame], pl.DataFrame],
        schema: Schema,
    ) -> SparkRows:
        """Applies a step to each bucket of rows."""
        task = Task(step, [rows.schema], schema, self.wanted)
        cut = F.pmod(F.xxhash64(*(F.col(c) for c in by)), F.lit(buckets)).cast("int").alias(_BUCKET)
        return SparkRows(rows.frame.groupBy(cut).applyInArrow(task.table(), _types(schema)), schema)

    def paired(
        self,
        left: tuple[SparkRows, Sequence[str]],
        right: tuple[SparkRows, Sequence[str]],
        buckets: int,
        step: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame],
        schema: Schema,
    ) -> SparkRows:
        """Applies a step to each pair of matching buckets."""
        task = Task(step, [left[0].schema, right[0].schema], schema, self.wanted)

        def cut(by: Sequence[str]) -> Any:
            # As text: equal values must land in the same bucket although the two sides' columns differ in type.
            place = F.coalesce(*(F.col(c).cast("string") for c in by))
            return F.pmod(F.xxhash64(place), F.lit(buckets)).cast("int").alias(_BUCKET)

        one, other = (rows.frame.groupBy(cut(by)) for rows, by in (left, right))
        return SparkRows(one.cogroup(other).applyInArrow(task.tables(), _types(schema)), schema)

    def chosen(self, rows: SparkRows, columns: Sequence[str], *, notes: bool) -> SparkRows:
        """Selects some columns of the rows, or of the notes among them."""
        selected = F.col(_KIND).isNotNull() if notes else F.col(_KIND).isNull()
        return SparkRows(rows.frame.filter(selected).select(*columns), {c: rows.schema[c] for c in columns})

    def together(self, rows: Sequence[SparkRows]) -> SparkRows:
        """Returns the union of all rows."""
        first, *others = rows
        frame = first.frame
        for other in others:
            frame = frame.unionByName(other.frame)
        return SparkRows(frame, first.schema)

    def summed(self, rows: SparkRows, keys: Sequence[str], sums: Sequence[str], schema: Schema) -> pl.DataFrame:
        """Returns the sums by key. In ANSI mode an overflow raises an error instead of wrapping around."""
        frame = rows.frame.groupBy(*keys).agg(*(F.sum(c).alias(c) for c in sums))
        return self.collected(SparkRows(frame, schema), schema)

    def collected(self, rows: SparkRows, schema: Schema) -> pl.DataFrame:
        """Returns the rows on this machine."""
        with spark_errors("compute the metrics"):
            table = rows.frame.select(*schema).toArrow()
        return from_arrow(table.cast(arrow_schema(schema)), schema)

    def persisted(self, rows: SparkRows) -> SparkRows:
        """Returns the same rows, kept in the executors' memory or on their disks once computed."""
        from pyspark import StorageLevel

        kept = rows.frame.persist(StorageLevel.MEMORY_AND_DISK)
        self._persisted.append(kept)
        return SparkRows(kept, rows.schema)

    def released(self) -> None:
        """Frees all held rows."""
        import contextlib

        for frame in self._persisted:
            with contextlib.suppress(Exception):  # the error that ended the plan must not be hidden by another
                frame.unpersist()
        self._persisted.clear()

    @property
    def slots(self) -> int:
        """Number of tasks that run at a time."""
        return slots(self.spark)

    def buckets(self, rows: int, limit: int) -> int:
        """Returns the number of buckets: at most ``limit`` rows in each, and for many rows enough to use all slots."""
        return max(-(-rows // limit), min(self.slots * 2, -(-rows // 20_000)), 1)


def _types(schema: Schema) -> Any:
    return from_arrow_schema(arrow_schema(schema))


__all__ = ["SparkEngine", "SparkRows"]
