"""Rows by the values they hold: few and many values are looked for in two ways, with one outcome."""

import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import examples
from rmetrics.metrics import lookup
from rmetrics.metrics.lookup import holding, near

NAMES = st.one_of(st.none(), st.sampled_from("abcdef"))


@examples(60)
@given(rows=st.lists(st.tuples(NAMES, NAMES), max_size=12), wanted=st.sets(st.sampled_from("abcdefgh"), max_size=6))
def test_each_row_that_holds_a_value_is_found_once_in_either_way(rows: list[Any], wanted: set[str]) -> None:
    frame = pl.LazyFrame(
        [(n, a, b) for n, (a, b) in enumerate(rows)],
        schema={"n": pl.Int64, "a": pl.String, "b": pl.String},
        orient="row",
    )
    values = pl.Series("other name", [*sorted(wanted), None, *sorted(wanted)], dtype=pl.String)  # repeated
    expected = [n for n, cells in enumerate(rows) if wanted & {c for c in cells if c is not None}]
    for many in (0, 100):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(lookup, "MANY", many)
            found = holding(frame, ["a", "b"], values).collect()
        assert found.columns == ["n", "a", "b"]
        assert sorted(found["n"]) == expected, many


@examples(60)
@given(st.lists(st.one_of(st.none(), st.integers(-50, 10_000)), max_size=60), st.sampled_from([1, 2, 3, 16]))
def test_all_values_are_near_and_the_widest_gaps_are_not(values: list[int | None], ranges: int) -> None:
    wanted = pl.Series("v", values, dtype=pl.Int64)
    whole = pl.LazyFrame({"n": range(-60, 10_010)})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lookup, "_RANGES", ranges)
        found = set(whole.filter(near("n", wanted)).collect()["n"])
    held = sorted({v for v in values if v is not None})
    assert found >= set(held)
    gaps = sorted((b - a - 1 for a, b in itertools.pairwise(held)), reverse=True)
    left_out = sum(gaps[: ranges - 1])
    assert len(found) == (held[-1] - held[0] + 1 - left_out if held else 0)
