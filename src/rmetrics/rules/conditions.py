"""The condition language: SQL boolean expressions over one row that both engines read alike.

A condition is parsed by DuckDB into a syntax tree, and only the nodes listed here pass; what passes is then tried on
an empty table by both engines. Left out on purpose are casts, division, multiplication and everything whose result
differs between the engines (``reference``: rounding, integer division), and everything that reaches beyond the row.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from rmetrics.rules.model import ColumnType
from rmetrics.rules.nearest import did_you_mean

FUNCTIONS = frozenset({"lower", "upper", "trim", "length", "starts_with", "ends_with", "||", "+", "-", "~~", "!~~",
                       "~~*", "!~~*", "concat"})  # fmt: skip
_NODES = {
    "CONJUNCTION": "AND, OR",
    "COMPARISON": "=, <>, <, >, <=, >=, IS DISTINCT FROM",
    "OPERATOR": "IN, NOT IN, IS NULL, NOT, COALESCE",
    "CASE": "CASE",
    "BETWEEN": "BETWEEN",
    "FUNCTION": "functions",
    "CONSTANT": "values",
    "COLUMN_REF": "columns",
}
_DATE_CAST = {"DATE"}
_CANNOT = {
    "SUBQUERY": "a subquery reaches beyond the row",
    "WINDOW": "a window function reaches beyond the row",
    "STAR": "* is not a value of the row",
    "PARAMETER": "a parameter has no value here",
    "LAMBDA": "lambdas are not part of the condition language",
    "CAST": "a cast reads differently in the two engines; compare with a value of the column's own type",
}
_AGGREGATES = frozenset({"sum", "count", "count_star", "avg", "min", "max", "first", "last", "any_value", "list",
                         "string_agg", "bool_and", "bool_or", "median", "mode", "quantile", "stddev"})  # fmt: skip
# What is not true for a blank although people read it so, and what shows that blanks were thought of.
_BLANK_UNSAFE = {"COMPARE_NOTEQUAL": "<>", "COMPARE_NOT_IN": "NOT IN", "!~~": "NOT LIKE", "!~~*": "NOT ILIKE"}
_GUARDS = frozenset({"OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_COALESCE"})

DTYPES: Mapping[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.MONEY: pl.Decimal(18, 2),
    ColumnType.SHARE: pl.Decimal(18, 6),
    ColumnType.TIMESTAMP: pl.Datetime("us", "UTC"),
    ColumnType.DATE: pl.Date(),
    ColumnType.MONTH: pl.Date(),
    ColumnType.DURATION: pl.Int64(),
    ColumnType.PHONE: pl.String(),
    ColumnType.BOOLEAN: pl.Boolean(),
}
DUCKDB_TYPES: Mapping[ColumnType, str] = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.MONEY: "DECIMAL(18,2)",
    ColumnType.SHARE: "DECIMAL(18,6)",
    ColumnType.TIMESTAMP: "TIMESTAMPTZ",
    ColumnType.DATE: "DATE",
    ColumnType.MONTH: "DATE",
    ColumnType.DURATION: "BIGINT",
    ColumnType.PHONE: "VARCHAR",
    ColumnType.BOOLEAN: "BOOLEAN",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a condition turned out to be.

    Attributes:
        problem: why it is refused; empty when it is fine.
        columns: the columns it names.
        blank_unsafe: (operator, column) pairs that silently leave out rows where the column is blank.
    """

    problem: str = ""
    columns: tuple[str, ...] = ()
    blank_unsafe: tuple[tuple[str, str], ...] = ()


@lru_cache(maxsize=1)
def _duckdb() -> Any:
    import duckdb

    return duckdb.connect(config={"python_enable_replacements": False, "autoinstall_known_extensions": False,
                                  "autoload_known_extensions": False})  # fmt: skip


def read_condition(text: str, columns: Mapping[str, ColumnType], *, boolean: bool = True) -> Reading:
    """Parses an expression and tries it in both engines on an empty table.

    Args:
        text: the SQL expression.
        columns: the columns of the row and their types.
        boolean: whether it must be true or false (conditions) or may have any type (derived columns).
    """
    try:
        nodes = list(_walk(_parsed(text)))
        names = tuple(dict.fromkeys(_column(n, columns) for n in nodes if n.get("class") == "COLUMN_REF"))
        _try_duckdb(text, columns, boolean=boolean)
        _try_polars(text, columns, boolean=boolean)
    except _RefusedError as error:
        return Reading(problem=str(error))
    unsafe = tuple(dict.fromkeys(
        (_BLANK_UNSAFE[_sign(n)], name) for n in nodes if _sign(n) in _BLANK_UNSAFE for name in _columns_in(_tested(n))
    ))  # fmt: skip
    guarded = {name for n in nodes if n.get("type") in _GUARDS for name in _columns_in(n)}
    unsafe = tuple((operator, name) for operator, name in unsafe if name not in guarded)
    return Reading(columns=names, blank_unsafe=unsafe)


def _sign(node: Mapping[str, Any]) -> str:
    return str(node.get("function_name") or node.get("type"))


def _tested(node: dict[str, Any]) -> list[Any]:
    """What a comparison looks at: of NOT IN only the value, not the list."""
    return node.get("children", [])[:1] or [node.get("left"), node.get("right")]


def _columns_in(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _columns_in(child)
    elif isinstance(node, dict):
        if node.get("class") == "COLUMN_REF":
            yield str(node["column_names"][-1])
        for child in node.values():
            yield from _columns_in(child)


def _try_duckdb(text: str, columns: Mapping[str, ColumnType], *, boolean: bool) -> None:
    import duckdb

    row = ", ".join(f'NULL::{DUCKDB_TYPES[t]} AS "{n}"' for n, t in columns.items())
    try:
        kind = _duckdb().execute(f"DESCRIBE SELECT ({text}\n) AS x FROM (SELECT {row})").fetchone()[1]
    except duckdb.Error as error:
        told = str(error).splitlines()[0].partition(" Error: ")[2] or str(error).splitlines()[0]
        raise _RefusedError(f"DuckDB cannot read it: {told[:1].lower()}{told[1:]}") from error
    if boolean and kind != "BOOLEAN":
        raise _RefusedError(f"must be true or false for a row, but gives {kind.lower()}")


def _try_polars(text: str, columns: Mapping[str, ColumnType], *, boolean: bool) -> None:
    frame = pl.LazyFrame(schema={n: DTYPES[t] for n, t in columns.items()})
    try:
        result = frame.select(x=expression(text)).collect()
    except pl.exceptions.PolarsError as error:
        raise _RefusedError(f"Polars cannot read it: {str(error).splitlines()[0]}") from error
    if boolean and result.schema["x"] not in (pl.Boolean, pl.Null):
        raise _RefusedError("must be true or false for a row")


def expression(text: str) -> pl.Expr:
    """The Polars expression of a condition or derived column that has been validated."""
    return pl.sql_expr(f"({text}\n)")


def is_true(text: str) -> pl.Expr:
    """A condition as SQL means it: NULL is not true."""
    return expression(text).fill_null(value=False)


def tree_of(text: str) -> dict[str, Any]:
    """The syntax tree of a condition that has been validated."""
    return _parsed(text)


class _RefusedError(Exception):
    """A node that is not part of the language."""


def _parsed(text: str) -> dict[str, Any]:
    """The syntax tree of one expression."""
    if "\x00" in text:
        raise _RefusedError("holds a NUL character")
    answer = json.loads(_duckdb().execute("SELECT json_serialize_sql($1)", ["SELECT (" + text + "\n)"]).fetchone()[0])
    if answer.get("error"):
        told = answer.get("error_message", "cannot be parsed")
        if "SELECT statements" in told:  # more than one statement
            raise _RefusedError("must be one expression over the row")
        raise _RefusedError(f"is not an SQL expression: {told}")
    statements = answer["statements"]
    node = statements[0]["node"]
    plain = (
        len(statements) == 1
        and node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not node["where_clause"]
        and not node["modifiers"]
    )
    if not plain:
        raise _RefusedError("must be one expression over the row")
    expression_node: dict[str, Any] = node["select_list"][0]
    return expression_node


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the nodes of a tree, each allowed."""
    if node.get("class") == "CAST" and node["cast_type"]["id"] in _DATE_CAST and node["child"]["class"] == "CONSTANT":
        return  # DATE '2026-01-01' is a value
    _allow(node)
    yield node
    for value in node.values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict) and "class" in child:
                yield from _walk(child)
            elif isinstance(child, dict) and "when_expr" in child:
                yield from _walk(child["when_expr"])
                yield from _walk(child["then_expr"])


def _allow(node: dict[str, Any]) -> None:
    kind = node.get("class", "")
    if kind == "FUNCTION":
        _allow_function(node)
    elif kind not in _NODES:
        raise _RefusedError(_CANNOT.get(kind, f"{kind.lower()} is not part of the condition language"))
    elif kind == "CONSTANT" and node["value"]["type"]["id"] in {"INTERVAL", "LIST", "STRUCT", "MAP"}:
        raise _RefusedError("only numbers, text, dates, TRUE, FALSE and NULL may be written as values")


def _allow_function(node: dict[str, Any]) -> None:
    name = str(node.get("function_name", "")).lower()
    if name in _AGGREGATES:
        raise _RefusedError(f"{name}() is an aggregate and reaches beyond the row")
    if name not in FUNCTIONS or node.get("distinct") or node.get("filter"):
        allowed = ", ".join(sorted(f for f in FUNCTIONS if f[0].isalpha()))
        raise _RefusedError(f"{name}() is not part of the condition language; allowed are {allowed}, ||, + and -")


def _column(node: dict[str, Any], columns: Mapping[str, ColumnType]) -> str:
    """The column a node names."""
    names = node["column_names"]
    if len(names) != 1:
        raise _RefusedError(f"{'.'.join(names)}: name the column alone, without a table")
    name = str(names[0])
    if name not in columns:
        raise _RefusedError(f"names the column {name!r}, which the row does not have{did_you_mean(name, columns)}")
    return name
