"""Code that runs on executors: a step, wrapped in conversions from and to the Arrow tables of Spark.

Nothing here needs pyspark. Every task first compares its libraries with those of the machine that runs the plan:
executors come and go, and another version could compute other numbers.
"""

import base64
import functools
import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from rmetrics.errors import BusyError, CheckError, LakeError, RmetricsError, SettingsError, of_the_system

LIBRARIES = ("rmetrics", "polars", "duckdb", "pyarrow")
_TYPES: Mapping[Any, pa.DataType] = {
    pl.Int64: pa.int64(),
    pl.Int32: pa.int32(),
    pl.UInt32: pa.int64(),  # Spark has no unsigned integers
    pl.String: pa.string(),
    pl.Binary: pa.binary(),
    pl.Date: pa.date32(),
    pl.Boolean: pa.bool_(),
}
_ERRORS = {kind.__name__: kind for kind in (LakeError, SettingsError, CheckError, BusyError)}
_CARRIED = re.compile(r"rmetrics-error:([A-Za-z0-9+/=]+)")

Versions = tuple[tuple[str, str], ...]
Schema = dict[str, pl.DataType]


@functools.cache
def versions() -> Versions:
    """Returns the installed versions of the libraries that figures depend on."""
    return tuple((name, importlib.metadata.version(name)) for name in LIBRARIES)


def arrow_schema(schema: Mapping[str, pl.DataType]) -> pa.Schema:
    """Returns a schema in Spark's types."""
    return pa.schema([pa.field(name, _arrow_type(kind)) for name, kind in schema.items()])


def _arrow_type(kind: pl.DataType) -> pa.DataType:
    if isinstance(kind, pl.Decimal):
        return pa.decimal128(kind.precision or 38, kind.scale)
    if isinstance(kind, pl.Datetime):
        return pa.timestamp("us", tz="UTC")
    return _TYPES[kind.base_type()]


def to_arrow(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pa.Table:
    """Converts a frame for Spark."""
    table = frame.select(*schema).to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.cast(arrow_schema(schema))


def from_arrow(table: pa.Table, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Converts a table from Spark to a frame."""
    found = pl.from_arrow(table.select(list(schema)))
    if not isinstance(found, pl.DataFrame):
        msg = "a table is a frame"
        raise TypeError(msg)
    return found.select(pl.col(name).cast(kind) for name, kind in schema.items())


@dataclass(frozen=True, slots=True)
class Task:
    """A step in the form that Spark calls.

    Attributes:
        step: takes as many frames as ``given`` has entries.
        given: the columns of these frames.
        made: the columns of the frame it returns.
        wanted: the versions that must be installed.
    """

    step: Callable[..., pl.DataFrame]
    given: Sequence[Mapping[str, pl.DataType]]
    made: Mapping[str, pl.DataType]
    wanted: Versions

    def table(self) -> Callable[[pa.Table], pa.Table]:
        """Returns the step over one bucket, as a function: Spark counts parameters, ``self`` included."""

        def run(table: pa.Table) -> pa.Table:
            return self._run(table)

        return run

    def tables(self) -> Callable[[pa.Table, pa.Table], pa.Table]:
        """Returns the step over two matching buckets."""

        def run(left: pa.Table, right: pa.Table) -> pa.Table:
            return self._run(left, right)

        return run

    def batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Applies the step to any split of the rows, batch by batch."""
        for batch in batches:
            yield from self._run(pa.Table.from_batches([batch])).to_batches()

    def _run(self, *tables: pa.Table) -> pa.Table:
        with _encoded_errors():
            refuse_other(self.wanted)
            frames = [from_arrow(t, schema) for t, schema in zip(tables, self.given, strict=True)]
            return to_arrow(self.step(*frames), self.made)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes rows of items, which travel pickled in the column ``item``."""

    step: Callable[[Any], Iterator[pl.DataFrame]]
    made: Mapping[str, pl.DataType]
    wanted: Versions
    loads: Callable[[bytes], Any]

    def batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields the rows of each item."""
        for batch in batches:
            for item in batch.column("item").to_pylist():
                with _encoded_errors():
                    refuse_other(self.wanted)
                    for frame in self.step(self.loads(item)):
                        yield from to_arrow(frame, self.made).to_batches(max_chunksize=100_000)


class Tasks(Protocol):
    """Runs tasks of long work each."""

    @property
    def slots(self) -> int:
        """Number of tasks that run at a time."""

    def each(self, items: Sequence[Any], step: Callable[[Any], Iterator[pl.DataFrame]], schema: Schema) -> Any:
        """Returns the rows, elsewhere or not yet computed, that a step makes of each item: one item per task."""

    def collected(self, rows: Any, schema: Schema) -> pl.DataFrame:
        """Returns the rows on this machine."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Makes rows of items that travel with it; tasks receive only their indexes, in the column ``id``."""

    maker: Maker
    items: Sequence[bytes]

    def batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields the rows of each item."""
        for batch in batches:
            given = [self.items[place] for place in batch.column("id").to_pylist()]
            yield from self.maker.batches(iter([pa.RecordBatch.from_pydict({"item": pa.array(given, pa.binary())})]))


def refuse_other(wanted: Versions, found: Versions | None = None, where: str = "an executor") -> None:
    """Refuses to compute with other versions.

    Raises:
        SettingsError: a library is missing or has another version; names it and both versions.
    """
    installed = dict(versions() if found is None else found)
    for name, version in wanted:
        if installed.get(name) != version:
            raise SettingsError(
                f"{where} has {name} {installed.get(name) or 'not installed'}, this machine has {version}: "
                "numbers could differ",
                f"Install the same versions on all executors: {' '.join(f'{n}=={v}' for n, v in wanted)}",
            )


class _encoded_errors:  # noqa: N801 - reads as the verb it is
    """Encodes our errors in a form that survives in Spark's messages."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        ours = error if isinstance(error, RmetricsError) else of_the_system(error) if error else None
        if ours is None:
            return
        known = next((c.__name__ for c in type(ours).__mro__ if c.__name__ in _ERRORS), "LakeError")
        payload = json.dumps([known, ours.message, ours.hint]).encode()
        raise RuntimeError(f"rmetrics-error:{base64.b64encode(payload).decode()}") from error


def carried_error(message: str) -> RmetricsError | None:
    """Returns our error that a Spark message carries; None if there is none."""
    match = _CARRIED.search(message)
    if match is None:
        return None
    kind, text, hint = json.loads(base64.b64decode(match[1]))
    return _ERRORS[kind](text, hint)


__all__ = [
    "LIBRARIES",
    "Listed",
    "Maker",
    "Schema",
    "Task",
    "Tasks",
    "Versions",
    "arrow_schema",
    "carried_error",
    "from_arrow",
    "refuse_other",
    "to_arrow",
    "versions",
]  # fmt: skip
