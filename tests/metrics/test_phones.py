"""Phone keys: both engines make the same ones of any cell."""

import duckdb
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from examples import examples
from rmetrics.checks.phones import phone_keys
from rmetrics.metrics.phones import KEY, first_key, keyed, rows_with_phones
from rmetrics.rules.phones import read_phone


def test_each_number_of_a_cell_is_a_key_and_other_text_is_none() -> None:
    rows = pl.LazyFrame(
        {"row": [1, 2, 3, 4, 5], "phone": ["6175550101;6175550102x4", "8084355068x940", "Anonymous", None, "05550124"]}
    )
    assert keyed(rows, "phone").select("row", KEY).sort("row", KEY).collect().rows() == [
        (1, "6175550101"),
        (1, "6175550102x4"),
        (2, "8084355068x940"),
    ]
    assert rows.select(first_key("phone")).collect().to_series().to_list() == [
        "6175550101", "8084355068x940", None, None, None,
    ]  # fmt: skip


@given(
    cells=st.lists(
        st.none()
        | st.lists(
            st.sampled_from(["6175550101", "(808) 435-5068 #940", "0000000000", "+44 20 7946 0958", "Anonymous", "x"]),
            min_size=1,
            max_size=3,
        ).map("; ".join),
        max_size=12,
    )
)
@examples(60)
def test_both_engines_make_the_same_keys(cells: list[str | None]) -> None:
    phones = [None if c is None else read_phone(c) for c in cells]
    frame = pl.LazyFrame({"row": range(len(phones)), "phone": phones}, schema={"row": pl.Int64, "phone": pl.String})
    ours = keyed(frame, "phone").select("row", KEY).collect().rows()
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (row BIGINT, phone VARCHAR)")
        if phones:
            connection.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(phones)))
        theirs = connection.execute(f"SELECT row, unnest({phone_keys('phone')}) FROM t").fetchall()
    assert sorted(ours) == sorted(theirs)


NUMBERS = ("6175550101", "6175550102", "6175550102x4", "+441234567890")
PARTS = st.sampled_from((*NUMBERS, "Anonymous", "05550124", ""))


@given(st.lists(st.none() | st.lists(PARTS, min_size=1, max_size=3).map(";".join), max_size=8), st.sets(PARTS))
@examples(60)
def test_rows_that_have_a_number_are_those_one_of_whose_keys_it_is(cells: list[str | None], wanted: set[str]) -> None:
    rows = pl.LazyFrame({"row": range(len(cells)), "phone": pl.Series(cells, dtype=pl.String)})
    keys = pl.Series(sorted(wanted & {*NUMBERS}), dtype=pl.String)
    found = rows_with_phones(rows, "phone", keys).select("row").collect()["row"].to_list()
    of_keys = keyed(rows, "phone").filter(pl.col(KEY).is_in(keys.implode())).select("row").collect()["row"]
    assert sorted(found) == sorted(set(of_keys))
