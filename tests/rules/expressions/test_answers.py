"""Every expression of ``answers.toml`` has the answers worked out there, in both engines."""

import datetime as dt
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engines import answers
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.expressions import polars_form
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.expressions.written import sql_of
from rmetrics.rules.feeds import ColumnType

FILE = Path(__file__).with_name("answers.toml")
GROUPS: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["group"]
ANSWERS = {"T": True, "F": False, "-": None}


def cases() -> Iterator[Any]:
    for group in GROUPS:
        text = group["cases"]
        while text.strip():
            expression, _, rest = text.partition("=>")
            # The answers are single letters; => in an expression is refused elsewhere.
            line, _, text = rest.partition("\n")
            yield pytest.param(group, expression, line.split(), id=f"{group['name']}: {' '.join(expression.split())}")


def cell(value: object, kind: ColumnType) -> object:
    return Decimal(str(value)) if kind in {ColumnType.MONEY, ColumnType.SHARE} and value is not None else value


def frame(group: dict[str, Any]) -> tuple[Row, pl.DataFrame]:
    kinds = {n: ColumnType(t) for n, t in group["columns"].items()}
    data = {
        n: pl.Series(n, [cell(r.get(n), k) for r in group["rows"]], dtype=polars_form.DTYPES[k])
        for n, k in kinds.items()
    }
    return Row.of(kinds, group.get("zone", "America/New_York")), pl.DataFrame(data)


@pytest.mark.parametrize(("group", "expression", "wanted"), list(cases()))
def test_answer(group: dict[str, Any], expression: str, wanted: list[str], tmp_path: Path) -> None:
    row, rows = frame(group)
    assert len(wanted) == rows.height
    right = [ANSWERS[w] for w in wanted]
    for text in (expression, sql_of(parse(expression))):
        assert read_condition(text, row).problem == ""
        first, second = answers(text, row, rows, tmp_path)
        assert first == right, "Polars"
        assert second == right, "DuckDB"


def test_the_list_is_long_enough() -> None:
    assert len(list(cases())) >= 200


def test_timestamps_of_the_list_are_instants() -> None:
    stamps = [v for g in GROUPS for r in g["rows"] for v in r.values() if isinstance(v, dt.datetime)]
    assert stamps
    assert all(s.tzinfo is not None for s in stamps)
