"""Tables as stacks of layers: any sequence of changes gives the rows that hold, and costs what it changes."""

import itertools
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import examples
from rmetrics.lake import Lake, snapshot
from rmetrics.lake.snapshot import Layer, Snapshot, stack, write_layer
from rmetrics.positions import POSITION


def layer(lake: Lake, rows: dict[int, int], removed: list[int] | None = None) -> Layer:
    frame = pl.DataFrame(
        {POSITION: list(rows), "value": list(rows.values())}, schema={POSITION: pl.Int64, "value": pl.Int64}
    )
    return write_layer(lake, "t", frame, None if removed is None else pl.Series(POSITION, removed, dtype=pl.Int64))


def held(lake: Lake, layers: tuple[Layer, ...]) -> dict[int, int]:
    rows = Snapshot(lake.store, tables={"t": layers}).scan("t").collect()
    found = dict(rows.iter_rows())
    assert len(found) == rows.height
    return found


@pytest.mark.parametrize("small", [3, 250_000], ids=["a large table", "a small table"])
@examples(15)
@given(
    base=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    changes=st.lists(
        st.tuples(st.sets(st.integers(0, 200), max_size=6), st.sets(st.integers(0, 200), max_size=6)), max_size=14
    ),
)
def test_any_changes_give_the_rows_that_hold(
    tmp_path_factory: pytest.TempPathFactory, small: int, base: list[int], changes: list[tuple[set[int], set[int]]]
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    expected, layers, first = dict[int, int](), list[Layer](), 0
    for count in base:
        rows = {first + n: 0 for n in range(count)}
        layers.append(layer(lake, rows))
        expected |= rows
        first += count
    stacked = tuple(layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "SMALL", small)
        for number, (changed, removed) in enumerate(changes, 1):
            gone = sorted((changed | removed) & set(expected))
            rows = dict.fromkeys(sorted(changed), number)
            if not rows and not gone:
                continue
            expected = {p: v for p, v in expected.items() if p not in gone} | rows
            stacked = tuple(stack(lake, "t", (*stacked, layer(lake, rows, gone))))
            assert held(lake, stacked) == expected
            plain = list(itertools.takewhile(lambda la: la.removed is None, stacked))
            assert len(stacked) - max(len(plain), 1) < 8


@pytest.mark.parametrize("sizes", [(400, 400, 400, 400), (3, 400, 400, 400, 400), (90, 90, 90, 90), (1600,)], ids=str)
def test_a_small_change_rewrites_no_large_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    """Whether a full computation made one layer or one per bucket: otherwise the first day costs as much as everything."""
    monkeypatch.setattr(snapshot, "SMALL", 100)
    lake = Lake(tmp_path)
    buckets = tuple(layer(lake, {1000 * b + n: 0 for n in range(size)}) for b, size in enumerate(sizes))
    stacked, last = buckets, 1000 * (len(sizes) - 1)
    for day in range(20):
        stacked = tuple(stack(lake, "t", (*stacked, layer(lake, {last + day: day}, [last + day]))))
        assert stacked[: len(sizes)] == buckets
        assert len(stacked) <= len(sizes) + 8
    expected = {1000 * b + n: 0 for b, size in enumerate(sizes) for n in range(size)}
    assert held(lake, stacked) == expected | {last + day: day for day in range(20)}


@pytest.mark.parametrize("changes", [(60, 60), (100,), (10, 5, 120)], ids=str)
def test_changes_as_large_as_an_eighth_are_merged_with_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: tuple[int, ...]
) -> None:
    monkeypatch.setattr(snapshot, "SMALL", 100)
    lake = Lake(tmp_path)
    stacked: tuple[Layer, ...] = (layer(lake, dict.fromkeys(range(790), 0)),)
    for day, count in enumerate(changes):
        rows = {1000 * (day + 1) + n: 1 for n in range(count)}
        stacked = tuple(stack(lake, "t", (*stacked, layer(lake, rows, [day]))))
    assert [la.rows for la in stacked] == [790 + sum(changes) - len(changes)]


def test_rows_that_move_again_and_again_are_removed_from_below_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is exported anew every day has new positions every day: those of yesterday lay on top, too."""
    monkeypatch.setattr(snapshot, "SMALL", 100)
    lake = Lake(tmp_path)
    stacked: tuple[Layer, ...] = (layer(lake, dict.fromkeys(range(1000), 0)),)
    held_now = list(range(10))
    for day in range(1, 60):
        moved = [1000 * day + n for n in range(10)]
        stacked = tuple(stack(lake, "t", (*stacked, layer(lake, dict.fromkeys(moved, day), held_now))))
        held_now = moved
        gone = sum(pl.scan_parquet(p).collect().height for p in snapshot_removed(lake, stacked))
        assert gone <= 10 * (8 + 1)
    assert held(lake, stacked) == dict.fromkeys(range(10, 1000), 0) | dict.fromkeys(held_now, 59)


def snapshot_removed(lake: Lake, layers: tuple[Layer, ...]) -> set[Path]:
    found = Snapshot(lake.store, tables={"t": layers}).paths("t")
    return {path for _, removed in found for path in removed}
