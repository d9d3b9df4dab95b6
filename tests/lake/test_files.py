"""Files of rows: what was written is what both engines read."""

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
from polars.testing import assert_frame_equal

from rmetrics.lake.files import BatchWriter

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
