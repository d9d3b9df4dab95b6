"""Conditions that leave out blanks without saying so are warned of; those that thought of them are not."""

import pytest

from rmetrics.rules.conditions import read_condition
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType

ROW = Row.of({"a": ColumnType.TEXT, "b": ColumnType.TEXT}, "America/New_York")


@pytest.mark.parametrize(
    ("condition", "unsafe"),
    [
        ("a <> 'x'", {("<>", "a")}),
        ("a != 'x'", {("<>", "a")}),
        ("'x' <> a", {("<>", "a")}),
        ("a <> b", {("<>", "a"), ("<>", "b")}),
        ("NOT a = 'x'", {("<>", "a")}),
        ("a NOT IN ('x', 'y')", {("NOT IN", "a")}),
        ("lower(a) NOT IN ('x')", {("NOT IN", "a")}),
        ("a NOT LIKE 'x%'", {("NOT LIKE", "a")}),
        ("b = 'y' AND a <> 'x'", {("<>", "a")}),
        ("a = 'x'", set()),
        ("a IN ('x')", set()),
        ("a IS DISTINCT FROM 'x'", set()),
        ("a IS NULL OR a <> 'x'", set()),
        ("a IS NOT NULL AND a <> 'x'", set()),
        ("coalesce(a, '') <> 'x'", set()),
    ],
)
def test_blank(condition: str, unsafe: set[tuple[str, str]]) -> None:
    reading = read_condition(condition, ROW)
    assert reading.problem == ""
    assert set(reading.blank_unsafe) == unsafe
