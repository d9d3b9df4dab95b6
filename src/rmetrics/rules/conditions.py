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
_BLANK_UNSAFE = {"COMPARE_NOTEQUAL": "<>", "COMPARE_NOT_IN": "NOT IN"}

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
    import duckdb

    if "\x00" in text:
        return Reading(problem="holds a NUL character")
    answer = json.loads(_duckdb().execute("SELECT json_serialize_sql($1)", ["SELECT (" + text + "\n)"]).fetchone()[0])
    if answer.get("error"):
        return Reading(problem=f"is not an SQL expression: {answer.get('error_message', 'cannot be parsed')}")
    try:
        node = _only_expression(answer)
        nodes = list(_walk(node))
        names = tuple(dict.fromkeys(_column(n) for n in nodes if n.get("class") == "COLUMN_REF"))
    except _RefusedError as error:
        return Reading(problem=str(error))
    unknown = [n for n in names if n not in columns]
    if unknown:
        return Reading(problem=_unknown_column(unknown[0], columns), columns=names)
    unsafe = tuple(
        (_BLANK_UNSAFE[n["type"]], _column(child))
        for n in nodes
        if n.get("type") in _BLANK_UNSAFE
        for child in (n.get("left"), n.get("right"), *n.get("children", [])[:1])
        if isinstance(child, dict) and child.get("class") == "COLUMN_REF"
    )
    row = ", ".join(f'NULL::{DUCKDB_TYPES[t]} AS "{n}"' for n, t in columns.items())
    try:
        kind = _duckdb().execute(f"SELECT typeof({text}\n) FROM (SELECT {row}) LIMIT 0").description[0][1]
        kind = _duckdb().execute(f"DESCRIBE SELECT ({text}\n) AS x FROM (SELECT {row})").fetchone()[1]
        if boolean:
            _duckdb().execute(f"SELECT 1 FROM (SELECT {row}) WHERE ({text}\n)")
    except duckdb.Error as error:
        return Reading(problem=f"DuckDB cannot read it: {str(error).splitlines()[0]}", columns=names)
    if boolean and kind != "BOOLEAN":
        return Reading(problem=f"must be true or false for a row, but gives {kind.lower()}", columns=names)
    try:
        frame = pl.LazyFrame(schema={n: DTYPES[t] for n, t in columns.items()})
        result = frame.select(x=expression(text)).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.SQLSyntaxError, pl.exceptions.SQLInterfaceError) as error:
        return Reading(problem=f"Polars cannot read it: {str(error).splitlines()[0]}", columns=names)
    if boolean and result.schema["x"] not in (pl.Boolean, pl.Null):
        return Reading(problem="must be true or false for a row", columns=names)
    return Reading(columns=names, blank_unsafe=unsafe)


def expression(text: str) -> pl.Expr:
    """The Polars expression of a condition or derived column that has been validated."""
    return pl.sql_expr(f"({text}\n)")


def is_true(text: str) -> pl.Expr:
    """A condition as SQL means it: NULL is not true."""
    return expression(text).fill_null(value=False)


class _RefusedError(Exception):
    """A node that is not part of the language."""


def _only_expression(answer: dict[str, Any]) -> dict[str, Any]:
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
    return node["select_list"][0]  # type: ignore[no-any-return]


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = node.get("class", "")
    if kind == "CAST" and node.get("cast_type", {}).get("id") in _DATE_CAST:
        child = node["child"]
        if child.get("class") == "CONSTANT":
            yield child
            return
    if kind == "CONSTANT" and node.get("value", {}).get("type", {}).get("id") in {"INTERVAL", "LIST", "STRUCT", "MAP"}:
        raise _RefusedError("only numbers, text, dates, TRUE, FALSE and NULL may be written as values")
    if kind == "FUNCTION":
        name = str(node.get("function_name", "")).lower()
        if name in _AGGREGATES:
            raise _RefusedError(f"{name}() is an aggregate and reaches beyond the row")
        if name not in FUNCTIONS or node.get("distinct") or node.get("filter"):
            allowed = ", ".join(sorted(f for f in FUNCTIONS if f[0].isalpha()))
            raise _RefusedError(f"{name}() is not part of the condition language; allowed are {allowed}, ||, + and -")
    elif kind not in _NODES:
        raise _RefusedError(_CANNOT.get(kind, f"{kind.lower()} is not part of the condition language"))
    yield node
    for value in node.values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, dict) and "class" in child:
                yield from _walk(child)
            elif isinstance(child, dict) and "when_expr" in child:
                yield from _walk(child["when_expr"])
                yield from _walk(child["then_expr"])


def _column(node: dict[str, Any]) -> str:
    names = node["column_names"]
    if len(names) != 1:
        raise _RefusedError(f"{'.'.join(names)}: name the column alone, without a table")
    return str(names[0])


def _unknown_column(name: str, columns: Mapping[str, ColumnType]) -> str:
    from rmetrics.rules.nearest import did_you_mean

    return f"names the column {name!r}, which the row does not have{did_you_mean(name, columns)}"
