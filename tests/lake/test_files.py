"""Files of rows: what was written is what both engines read. Records: with their own checksum."""

import datetime as dt
import json
from hashlib import sha256
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from rmetrics.lake.files import BatchWriter, sealed, unsealed

RECORD = {"name": 'Żółć \\ "record_sha256": "', "sizes": [1, 2, {"record_sha256": "no"}], "rate": 0.5, "none": None}
EDGES = [-(2**63), 2**63 - 1, None, 0, -(2**63), 2**63 - 1, 1, None]


def test_differences_of_lines_and_times_are_read_by_both_engines(tmp_path: Path) -> None:
    first = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    times = [first + dt.timedelta(microseconds=(n * 7_919) % 10**12 * 10**3) for n in range(64)]
    columns = {"_line": range(2, 66), "moment": times, "n": EDGES * 8, "same": [3] * 64}
    rows = pl.DataFrame(
        columns, schema={"_line": pl.Int64, "moment": pl.Datetime("us", "UTC"), "n": pl.Int64, "same": pl.Int64}
    )
    path = tmp_path / "rows.parquet"
    writer = BatchWriter(path)
    writer.write(rows.head(40))
    writer.write(rows.tail(24))
    writer.close()
    group = pq.read_metadata(path).row_group(0)
    kept = {group.column(i).path_in_schema: group.column(i).encodings for i in range(4)}
    assert [name for name, how in kept.items() if "DELTA_BINARY_PACKED" in how] == ["_line", "moment", "n"]
    assert_frame_equal(pl.read_parquet(path), rows)
    found = duckdb.sql(f"SELECT _line, epoch_us(moment) AS moment, n, same FROM '{path}'").pl()
    assert_frame_equal(found, rows.with_columns(pl.col("moment").dt.epoch("us")))


def test_times_are_differences_even_where_the_first_ones_repeat(tmp_path: Path) -> None:
    day = dt.datetime(1969, 12, 31, tzinfo=dt.UTC)
    times = [day, None] * 20 + [day + dt.timedelta(microseconds=(n * 104_729) % 10**9 * 10**3) for n in range(24)]
    rows = pl.DataFrame({"moment": times}, schema={"moment": pl.Datetime("us", "UTC")})
    path = tmp_path / "rows.parquet"
    writer = BatchWriter(path)
    writer.write_all(rows.lazy(), 40)
    writer.close()
    encodings = [pq.read_metadata(path).row_group(i).column(0).encodings for i in range(2)]
    assert all("DELTA_BINARY_PACKED" in kept and "RLE_DICTIONARY" not in kept for kept in encodings)
    assert_frame_equal(pl.read_parquet(path), rows)
    found = duckdb.sql(f"SELECT epoch_us(moment) AS moment FROM '{path}'").pl()
    assert_frame_equal(found, rows.with_columns(pl.col("moment").dt.epoch("us")))


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [(pl.UInt64, 0, 2**64 - 1), (pl.UInt32, 0, 2**32 - 1), (pl.Int32, -(2**31), 2**31 - 1)],
)
def test_whole_numbers_of_any_width_are_read_by_both_engines(
    tmp_path: Path, kind: type[pl.DataType], lowest: int, highest: int
) -> None:
    rows = pl.DataFrame({"n": [lowest, highest, None, lowest, highest // 2, *range(100)]}, schema={"n": kind})
    path = tmp_path / "rows.parquet"
    writer = BatchWriter(path)
    writer.write(rows)
    writer.close()
    assert_frame_equal(pl.read_parquet(path), rows)
    assert_frame_equal(duckdb.sql(f"FROM '{path}'").pl(), rows)


@pytest.mark.parametrize(("height", "groups"), [(0, [0]), (1, [1]), (10, [10]), (25, [10, 10, 5])])
def test_a_query_is_written_in_row_groups_in_its_order(tmp_path: Path, height: int, groups: list[int]) -> None:
    rows = pl.DataFrame({"n": range(height, 0, -1)}, schema={"n": pl.Int64})
    path = tmp_path / "rows.parquet"
    writer = BatchWriter(path)
    writer.write_all(rows.lazy(), 10)
    writer.close()
    found = pq.read_metadata(path)
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == groups
    assert writer.rows == height
    assert_frame_equal(pl.read_parquet(path), rows)


def test_a_query_that_ends_midway_is_not_taken_for_a_complete_one(tmp_path: Path) -> None:
    def end(values: pl.Series) -> pl.Series:
        if (values == 800_000).any():
            raise pl.exceptions.PanicException("the engine stopped")
        return values

    path = tmp_path / "rows.parquet"
    pl.DataFrame({"n": range(1_000_000)}).write_parquet(path, row_group_size=50_000)
    rows = pl.scan_parquet(path).with_columns(pl.col("n").map_batches(end, return_dtype=pl.Int64, is_elementwise=True))
    writer = BatchWriter(tmp_path / "copy.parquet")
    with pytest.raises(pl.exceptions.PanicException):
        writer.write_all(rows, 50_000)
    writer.discard()


@pytest.mark.parametrize("record", [{}, {"a": 1}, RECORD])
def test_a_record_comes_back_as_it_was(record: dict[str, object]) -> None:
    assert unsealed(sealed(record)) == record


def test_every_changed_character_of_the_values_is_noticed() -> None:
    text = sealed(RECORD)
    values = text.rindex('"record_sha256"')
    for i in range(values):
        for other in ("x", "1", " ", '"'):
            if text[i] == other:
                continue
            with pytest.raises(ValueError, match=r"checksum|Expecting|Extra data|Invalid|Unterminated"):
                unsealed(text[:i] + other + text[i + 1 :])


def test_a_changed_checksum_is_noticed() -> None:
    text = sealed(RECORD)
    with pytest.raises(ValueError, match="checksum"):
        unsealed(text[:-3] + ("0" if text[-3] != "0" else "1") + text[-2:])


def test_a_record_of_an_earlier_version_is_still_read() -> None:
    values = json.dumps(RECORD, sort_keys=True)
    old = json.dumps({**RECORD, "record_sha256": sha256(values.encode()).hexdigest()}, ensure_ascii=False)
    assert unsealed(old) == RECORD
    with pytest.raises(ValueError, match="checksum"):
        unsealed(old.replace("0.5", "0.6"))


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError):
        unsealed("[]")
