"""Phone numbers: one spelling for each, extensions kept, placeholders null and counted."""

import polars as pl
import pytest

from rmetrics.ingest.phones import read_phones
from rmetrics.rules.phones import read_phone


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("8084355068 #940", "8084355068x940"),
        ("(808) 435-5068 ext. 940", "8084355068x940"),
        ("8084355068 PIN: 940", "8084355068x940"),
        ("8084355068,940", "8084355068x940"),
        ("8084355068", "8084355068"),
        ("+1 808 435 5068", "8084355068"),
        ("1-808-435-5068", "8084355068"),
        ("+44 20 7946 0958", "+442079460958"),
        ("+44 20 7946 0958 x12", "+442079460958x12"),
        ("6175550101;6175550102", "6175550101;6175550102"),
        ("617-555-0101 / 617-555-0102 ext 4", "6175550101;6175550102x4"),
        ("617-555-0101 or (617) 555-0101", "6175550101"),
        ("wife 617-555-0101, husband +44 20 7946 0958", "6175550101;+442079460958"),
        ("6175550101; 0000000000", "6175550101"),
        ("0000000000", None),
        ("000-000-0000", None),
        ("9999999999", None),
        ("(999) 999-9999", None),
        ("1 222 222 2222", None),
        ("1234567890", None),
        ("+1 123 456 7890", None),
        ("0000000000; 9999999999", None),
        ("05550124", "05550124"),  # digits are missing: kept, but no key
        ("555-0124", "555-0124"),
        ("911", "911"),
        ("Anonymous", "Anonymous"),
        ("6.17E+09", "6.17E+09"),
    ],
)
def test_a_cell_has_one_spelling(cell: str, value: str | None) -> None:
    assert read_phone(cell) == value
    assert read_phones(pl.Series([cell, None, "6175550199"])).to_list() == [value, None, "6175550199"]


def test_reading_again_what_was_read_changes_nothing() -> None:
    for cell in ("8084355068x940", "6175550101;6175550102x4", "+442079460958", "05550124"):
        assert read_phone(cell) == cell
