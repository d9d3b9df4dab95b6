"""Every expression of ``answers.toml`` has the answers worked out there, in both engines."""

import datetime as dt
import functools
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engines import both_engines
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.expressions import polars_form, typing
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.typed import Value
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.expressions.written import sql_of
from rmetrics.rules.feeds import ColumnType

FILE = Path(__file__).with_name("answers.toml")
GROUPS: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["group"]
Asked = Callable[[Value], tuple[list[object], list[object]]]
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


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Asked]]:
    """Both engines over the rows of a group: connected once for all its expressions."""
    with ExitStack() as opened:
        groups = {g["name"]: g for g in GROUPS}

        @functools.cache
        def over(name: str) -> Asked:
            return opened.enter_context(both_engines(frame(groups[name])[1], tmp_path_factory.mktemp("group")))

        yield over


@pytest.mark.parametrize(("group", "expression", "wanted"), list(cases()))
def test_answer(group: dict[str, Any], expression: str, wanted: list[str], engines: Callable[[str], Asked]) -> None:
    row, rows = frame(group)
    assert len(wanted) == rows.height
    right = [ANSWERS[w] for w in wanted]
    for text in (expression, sql_of(parse(expression))):
        assert read_condition(text, row).problem == ""
        first, second = engines(group["name"])(typing.condition(text, row))
        assert first == right, "Polars"
        assert second == right, "DuckDB"


def test_the_list_is_long_enough() -> None:
    assert len({g["name"] for g in GROUPS}) == len(GROUPS)
    assert len(list(cases())) >= 200


def test_timestamps_of_the_list_are_instants() -> None:
    stamps = [v for g in GROUPS for r in g["rows"] for v in r.values() if isinstance(v, dt.datetime)]
    assert stamps
    assert all(s.tzinfo is not None for s in stamps)
