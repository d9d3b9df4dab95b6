"""The newest version of every row."""

import datetime as dt

import polars as pl
import pytest

from rmetrics.metrics.newest import TypedExport, newest_rows
from rmetrics.rules.feeds import Feed

FEED = Feed.model_validate({
    "files": ["*"],
    "key": ["id"],
    "date": "day",
    "columns": {
        "id": {"type": "text", "from": ["Id"], "required": True},
        "day": {"type": "date", "from": ["Day"]},
        "note": {"type": "text", "from": ["Note"]},
    },
})  # fmt: skip
DAY = dt.date(2024, 11, 5)


def export(rank: int, *rows: tuple[object, ...], columns: tuple[str, ...] = ("id", "day", "note")) -> TypedExport:
    types = {"id": pl.String, "day": pl.Date, "note": pl.String}
    frame = pl.LazyFrame(
        [(*row, line) for line, row in enumerate(rows, 2)],
        schema={**{c: types[c] for c in columns}, "_line": pl.Int64},
        orient="row",
    )
    return TypedExport(frame, columns, (rank,))


def newest(*exports: TypedExport) -> list[tuple[object, ...]]:
    return newest_rows(exports, FEED).select("id", "day", "note", "_file", "_line").sort("id").collect().rows()


@pytest.mark.parametrize("swapped", [False, True])
def test_the_greater_rank_wins_whatever_the_order_of_frames(swapped: bool) -> None:
    exports = [export(1, ("a", DAY, "old"), ("b", DAY, "only")), export(2, ("a", DAY, "new"))]
    assert newest(*(reversed(exports) if swapped else exports)) == [("a", DAY, "new", 2, 2), ("b", DAY, "only", 1, 3)]


def test_the_later_line_wins_inside_one_export() -> None:
    assert newest(export(1, ("a", DAY, "first"), ("a", DAY, "second"))) == [("a", DAY, "second", 1, 3)]


def test_a_blank_cell_blanks_and_a_missing_column_keeps() -> None:
    old = export(1, ("a", DAY, "kept"), ("b", DAY, "gone"))
    lacks = export(2, ("a", None), columns=("id", "day"))
    blank = export(3, ("b", DAY, None))
    assert newest(old, lacks, blank) == [("a", None, "kept", 2, 2), ("b", DAY, None, 3, 2)]


def test_no_export_gives_an_empty_frame_with_all_columns() -> None:
    assert newest_rows([], FEED).collect().columns == ["id", "day", "note", "_line", "_parts", "_file"]
