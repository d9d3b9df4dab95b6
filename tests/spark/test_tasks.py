"""What executors run: types both ways, versions compared, errors that survive Spark's messages."""

import datetime as dt
import pickle
from collections.abc import Iterator
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from rmetrics.errors import LakeError, SettingsError
from rmetrics.spark.tasks import Maker, Task, arrow_schema, carried_error, from_arrow, refuse_other, to_arrow, versions

SCHEMA: dict[str, pl.DataType] = {
    "text": pl.String(),
    "place": pl.UInt32(),
    "amount": pl.Decimal(18, 2),
    "at": pl.Datetime("us", "UTC"),
    "day": pl.Date(),
    "yes": pl.Boolean(),
}
ROW = (
    "ü",
    2**32 - 1,
    Decimal("-0.01"),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    dt.date(2024, 2, 29),
    True,
)


def test_a_frame_comes_back_as_it_went() -> None:
    frame = pl.DataFrame([ROW, (None,) * 6], schema=SCHEMA, orient="row")
    there = to_arrow(frame, SCHEMA)
    assert there.schema == arrow_schema(SCHEMA)
    assert not any(pa.types.is_large_string(t) or pa.types.is_uint32(t) for t in there.schema.types)
    assert from_arrow(there, SCHEMA).equals(frame)


def test_another_version_is_refused_and_both_are_named() -> None:
    other = tuple((n, "0.0.1" if n == "polars" else v) for n, v in versions())
    with pytest.raises(SettingsError, match=r"an executor has polars .*, this machine has 0\.0\.1") as caught:
        refuse_other(other)
    assert "polars==0.0.1" in caught.value.hint
    with pytest.raises(SettingsError, match="duckdb not installed"):
        refuse_other(versions(), tuple((n, v) for n, v in versions() if n != "duckdb"))
    refuse_other(versions())


def test_every_task_looks_at_the_versions_itself() -> None:
    task = Task(doubled, [SCHEMA], SCHEMA, (("polars", "0.0.1"),))
    with pytest.raises(RuntimeError) as caught:
        task.table()(to_arrow(pl.DataFrame(schema=SCHEMA), SCHEMA))
    assert isinstance(carried_error(str(caught.value)), SettingsError)


def test_an_error_of_ours_keeps_its_words_on_the_way() -> None:
    maker = Maker(failing, SCHEMA, versions(), pickle.loads)
    items = pa.RecordBatch.from_pydict({"item": [pickle.dumps("x")]})
    with pytest.raises(RuntimeError) as caught:
        list(maker.batches(iter([items])))
    wrapped = f"org.apache.spark.SparkException: Job aborted\n  Traceback: {caught.value}\n\tat java.base"
    found = carried_error(wrapped)
    assert isinstance(found, LakeError)
    assert (found.message, found.hint) == ("typed/x is damaged", "Run it again.")
    assert carried_error("java.lang.OutOfMemoryError: cell 12345") is None


def test_batches_are_worked_on_one_by_one() -> None:
    frame = pl.DataFrame([ROW], schema=SCHEMA, orient="row")
    batches = to_arrow(frame, SCHEMA).to_batches()
    found = list(Task(doubled, [SCHEMA], SCHEMA, versions()).batches(iter(batches * 3)))
    assert [b.num_rows for b in found] == [2, 2, 2]


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame])


def failing(_: object) -> Iterator[pl.DataFrame]:
    raise LakeError("typed/x is damaged", "Run it again.")
