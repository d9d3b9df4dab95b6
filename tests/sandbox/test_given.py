import datetime as dt

import duckdb

from rmetrics.sandbox.given import create_given

TYPES = {"name": "VARCHAR", "rank": "UINTEGER", "day": "DATE"}


def test_values_come_back_as_they_were_given() -> None:
    rows = [("a, \"b\" 'c' \\ {d}\n", 2**32 - 1, dt.date(2024, 2, 29)), ("Größe 🙂", 0, None), ("", None, None)]
    with duckdb.connect() as connection:
        create_given(connection, "given", TYPES, rows)
        assert connection.execute("SELECT * FROM given").fetchall() == rows
        assert [str(c[1]) for c in connection.execute("DESCRIBE given").fetchall()] == list(TYPES.values())


def test_no_rows_make_an_empty_table_of_these_types() -> None:
    with duckdb.connect() as connection:
        create_given(connection, "given", TYPES, [])
        assert [str(c[1]) for c in connection.execute("DESCRIBE given").fetchall()] == list(TYPES.values())
        assert connection.execute("SELECT count(*) FROM given").fetchall() == [(0,)]
