"""Rows in force: exports whose every row was replaced are not opened, and the rows are those of reading them all."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rmetrics.lake import Lake
from rmetrics.metrics.jobs import METRIC_DATE
from rmetrics.pipeline.compute import rows as compute_rows
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.names import FACTS, replaced, together
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.stages import rows_in_force
from rmetrics.pipeline.landing import land
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.positions import POSITION
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.names import JOBS
from rmetrics.shipped import shipped
from rmetrics.tables import DAILY

HEADER, SHORT = "Job #,Job Type,Source,Created,Status,UUID", "Job #,Job Type,Created,Status,UUID"


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(shipped("rules"))


def receive(folder: Path, number: int, header: str, jobs: list[int]) -> None:
    cells = [f"{n},COD Repair,{'' if header == SHORT else 'Google,'}Mon Nov 04 2024,Done {number},U{n}" for n in jobs]
    path = folder / "inbox" / f"Import-{number}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *cells]) + "\n")
    os.utime(path, (1_730_000_000 + number,) * 2)


def synced(folder: Path, rules: Rules) -> Computed:
    lake = Lake(folder / "lake")
    lake.prepare()
    land_inbox(folder / "inbox", lake, rules, silent)
    return compute(lake, rules, silent)


def every_row_in_force(rows: Rows) -> pl.DataFrame:
    """The exact way: all exports are read."""
    stored = rows.snapshot.scan
    exports, feed = rows.exports(JOBS), rows.rules.feeds[JOBS]
    return rows_in_force(exports, feed, stored(replaced(JOBS)), stored(together(JOBS))).collect()


@pytest.mark.parametrize("most", [1, 2, 3, 100])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "files of their own"])
@pytest.mark.ordinary(2, deep=6)
def test_pieces_together_are_all_rows_each_once(
    tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch, packed: bool, most: int
) -> None:
    if not packed:
        monkeypatch.setattr(land, "SMALL", 0)
    exports = [(HEADER, [1, 2]), (HEADER, [1, *range(3, 9)]), (SHORT, [2, 3, 9])]  # the last one is merged with older
    for number, export in enumerate(exports, 1):
        receive(tmp_path, number, *export)
    whole = synced(tmp_path, rules).rows
    pieces = list(whole.pieces(FACTS, most))
    assert len(pieces) == {1: 10, 2: 6, 3: 4, 100: 1}[most]  # the first export is not in force
    months = [dt.date(2024, 11, 1)]
    reads: list[Callable[[Rows], pl.LazyFrame]] = [
        lambda rows: rows.scan(JOBS),
        lambda rows: rows.scan(FACTS),
        lambda rows: rows.of_months(FACTS, months, METRIC_DATE),
    ]
    for read in reads:
        found = [read(p).collect() for p in pieces]
        assert_frame_equal(pl.concat(found), read(whole).collect(), check_row_order=False)
        assert pl.concat(found).height == 9
        assert all(f.height <= most for f in found)
    assert list(whole.pieces(DAILY, most)) == [whole]


def test_many_rows_of_some_months_are_read_whole(tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(tmp_path, 1, HEADER, [1, 2, 3])
    rows, month = synced(tmp_path, rules).rows, [dt.date(2024, 11, 1)]
    few = rows.of_months(FACTS, month, METRIC_DATE).collect()
    monkeypatch.setattr(compute_rows, "MANY", 1)
    assert_frame_equal(rows.of_months(FACTS, month, METRIC_DATE).collect(), few, check_row_order=False)
    assert rows.of_months(FACTS, [dt.date(2024, 12, 1)], METRIC_DATE).collect().is_empty()


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "files of their own"])
@pytest.mark.ordinary(1, deep=1)
def test_exports_that_were_replaced_row_by_row_are_not_opened(
    tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    if not packed:
        monkeypatch.setattr(land, "SMALL", 0)
    receive(tmp_path, 1, HEADER, [1, 2])  # replaced by 3
    receive(tmp_path, 2, HEADER, [2, 3, 9])  # 9 stays
    receive(tmp_path, 3, HEADER, [1, 2, 3, 4])
    for more in (None, (4, HEADER, [1, 2, 3, 4, 5]), (5, SHORT, [9, 5]), (6, HEADER, [9, 5])):
        if more is not None:  # an increment on top
            receive(tmp_path, *more)
        rows = synced(tmp_path, rules).rows
        assert_frame_equal(rows.newest(JOBS).collect(), every_row_in_force(rows), check_row_order=False)
        some = rows.newest(JOBS).select(POSITION).collect()[POSITION].head(3)
        expected = every_row_in_force(rows).filter(pl.col(POSITION).is_in(some.implode()))
        assert_frame_equal(rows.newest_at(JOBS, some).collect(), expected, check_row_order=False)
    # Ranks count from 0: the fourth export holds jobs 1 to 4, the sixth 9 and 5; the fifth was merged, then replaced.
    assert {rank for _, rank in rows.in_force(JOBS)} == {3, 5}
    assert {file.packed for file, _ in rows.typed[JOBS]} == {packed}
