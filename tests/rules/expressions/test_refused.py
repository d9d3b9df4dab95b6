"""What is refused says what was found and what would be right; nothing ends in a traceback."""

import tomllib
from pathlib import Path

import pytest

from rmetrics.rules.conditions import read_condition
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType

FILE = Path(__file__).with_name("refused.toml")
REFUSED: dict[str, list[str]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["refused"]
ROW = Row.of(
    {
        "t": ColumnType.TEXT,
        "u": ColumnType.TEXT,
        "n": ColumnType.INTEGER,
        "m": ColumnType.MONEY,
        "s": ColumnType.SHARE,
        "d": ColumnType.DATE,
        "at": ColumnType.TIMESTAMP,
        "b": ColumnType.BOOLEAN,
    },
    "America/New_York",
)


@pytest.mark.parametrize(("expression", "words"), REFUSED.items(), ids=list(REFUSED))
def test_refusal_helps(expression: str, words: list[str]) -> None:
    problem = read_condition(expression, ROW).problem
    assert problem
    for word in words:
        assert word in problem
    for foreign in ("sqlglot", "Polars", "DuckDB", "Traceback", "rmetrics_"):
        assert foreign not in problem


def test_the_list_is_long_enough() -> None:
    assert len(REFUSED) >= 60


@pytest.mark.parametrize("opening", ["(", "NOT ", "- ", "+ ", "lower(", "CASE WHEN b THEN ", "NOT (", "(- ", "b AND ("])
def test_deep_nesting_is_refused_in_words(opening: str) -> None:
    problem = read_condition(opening * (3900 // len(opening)), ROW).problem
    assert "nested" in problem


@pytest.mark.parametrize("depth", range(1, 21))
def test_nesting_up_to_the_limit_is_read(depth: int) -> None:
    for opening, inner, closing in (
        ("(", "b", ")"), ("NOT ", "b", ""), ("coalesce(", "b", ")"), ("CASE WHEN b THEN ", "b", " END"),
        ("NOT (", "b", ")"),
    ):  # fmt: skip
        if opening != "NOT (" or depth <= 20:
            assert read_condition(opening * depth + inner + closing * depth, ROW).problem == ""


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (" OR ".join(["n=1"] * 500), True),
        (" AND ".join(["b"] * 500), True),
        ("n IN (" + ",".join(str(i) for i in range(900)) + ")", True),
        ("t IN (" + ",".join(f"'{i}'" for i in range(600)) + ")", True),
        ("+".join(["n"] * 100) + " > 1", True),
        ("+".join(["n"] * 1000) + " > 1", False),
        ("||".join(["t"] * 1000) + " = 'x'", False),
        ("CASE " + " ".join(["WHEN b THEN 1"] * 200) + " END = 1", False),
    ],
)
def test_long_texts(text: str, *, fine: bool) -> None:
    problem = read_condition(text, ROW).problem
    assert (problem == "") is fine, problem
    assert fine or "more than 100" in problem


@pytest.mark.parametrize(
    "text",
    [
        "lower(" * 20 + "t" + ")" * 20 + " = 'a'",
        "upper(" * 20 + "t" + ")" * 20 + " = 'a'",
        "nullif(" * 20 + "t" + ", 'a')" * 20 + " = 'a'",
        "(" * 20 + "b" + " BETWEEN c AND c)".replace("c", "b") * 20,
        "CASE " * 20 + "n" + " WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 END" * 20 + " = 1",
    ],
    ids=["lower", "upper", "nullif", "BETWEEN", "CASE"],
)
def test_forms_that_would_grow_without_end_are_refused(text: str) -> None:
    assert "repeats too much" in read_condition(text, ROW).problem


@pytest.mark.parametrize(
    ("sql", "kind", "word"),
    [
        ("t", ColumnType.MONEY, "gives text"),
        ("n > 1", ColumnType.TEXT, "gives true or false"),
        ("m", ColumnType.INTEGER, "2 decimals"),
        ("s", ColumnType.MONEY, "6 decimals"),
        ("n + n", ColumnType.INTEGER, "cannot hold"),
        ("m + m", ColumnType.MONEY, "cannot hold"),
        ("n", ColumnType.MONEY, "cannot hold"),
        ("9223372036854775808", ColumnType.INTEGER, "cannot hold"),
        ("d", ColumnType.TIMESTAMP, "gives a date"),
    ],
)
def test_derived_column_that_its_type_cannot_hold(sql: str, kind: ColumnType, word: str) -> None:
    assert word in read_condition(sql, ROW, kind=kind).problem


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("m + m - 1.25", ColumnType.MONEY), ("n + 1", ColumnType.INTEGER), ("n + n + n", ColumnType.INTEGER),
        ("s + s", ColumnType.SHARE), ("at", ColumnType.DATE), ("d - at", ColumnType.INTEGER), ("NULL", ColumnType.TEXT),
        ("length(t)", ColumnType.DURATION), ("d", ColumnType.MONTH), ("m > 5", ColumnType.BOOLEAN), ("7", ColumnType.MONEY),
    ],
)  # fmt: skip
def test_derived_column_of_single_cells(sql: str, kind: ColumnType) -> None:
    assert read_condition(sql, Row(ROW.columns, ROW.zone, cells=True), kind=kind).problem == ""


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("t = NULL", "t IS NULL"),
        ("NULL <> n", "n IS NOT NULL"),
        ("t NOT IN ('a', NULL)", "remove NULL"),
        ("t IS DISTINCT FROM NULL", ""),
        ("t IN ('a', NULL)", ""),
    ],
)
def test_what_is_never_true_is_warned_of(condition: str, words: str) -> None:
    reading = read_condition(condition, ROW)
    assert reading.problem == ""
    assert bool(reading.never) is bool(words)
    assert all(words in n for n in reading.never)
