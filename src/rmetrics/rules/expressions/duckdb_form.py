"""Typed expressions as DuckDB SQL. Independent of the Polars form; needs neither Polars nor a connection."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import assert_never

from rmetrics.rules.expressions import typing
from rmetrics.rules.expressions.typed import (
    Apply,
    BusinessDay,
    Choice,
    Const,
    Converted,
    Field,
    Hour,
    Kind,
    Matches,
    Numbers,
    OneOf,
    Op,
    Type,
    Value,
    Wildcard,
)
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.expressions.white_space import WHITE_SPACE
from rmetrics.rules.feeds import ColumnType

DUCKDB_TYPES: Mapping[ColumnType, str] = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.MONEY: "DECIMAL(18,2)",
    ColumnType.SHARE: "DECIMAL(18,6)",
    ColumnType.CURRENCY: "VARCHAR",
    ColumnType.TIMESTAMP: "TIMESTAMPTZ",
    ColumnType.DATE: "DATE",
    ColumnType.MONTH: "DATE",
    ColumnType.DURATION: "BIGINT",
    ColumnType.PHONE: "VARCHAR",
    ColumnType.BOOLEAN: "BOOLEAN",
}
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ESCAPE = "\\"
_NAMES: Mapping[Kind, str] = {
    Kind.TEXT: "VARCHAR", Kind.DATE: "DATE", Kind.STAMP: "TIMESTAMPTZ", Kind.TRUTH: "BOOLEAN", Kind.NOTHING: "BOOLEAN",
}  # fmt: skip
_FUNCTIONS: Mapping[Op, str] = {
    Op.LOWER: "lower", Op.UPPER: "upper", Op.LENGTH: "length", Op.STARTS_WITH: "starts_with", Op.ENDS_WITH: "ends_with",
    Op.CONTAINS: "contains", Op.CONCAT: "concat", Op.COALESCE: "coalesce", Op.YEAR: "year", Op.MONTH: "month",
    Op.DAY: "day", Op.ISODOW: "isodow",
}  # fmt: skip
_TRIMMED: Mapping[Op, str] = {Op.TRIM: "trim", Op.LTRIM: "ltrim", Op.RTRIM: "rtrim"}
_BETWEEN: Mapping[Op, str] = {
    Op.AND: "AND", Op.OR: "OR", Op.EQUAL: "=", Op.UNEQUAL: "<>", Op.LESS: "<", Op.AT_MOST: "<=", Op.MORE: ">",
    Op.AT_LEAST: ">=", Op.SAME: "IS NOT DISTINCT FROM", Op.NOT_SAME: "IS DISTINCT FROM", Op.ADD: "+",
    Op.SUBTRACT: "-", Op.DAYS_BETWEEN: "-",
}  # fmt: skip


def expression(text: str, row: Row) -> str:
    """Returns a condition of validated rules as SQL: true, false or NULL."""
    return rendered(typing.condition(text, row))


def derived(text: str, row: Row, kind: ColumnType) -> str:
    """Returns a derived column of validated rules as SQL, cast to its declared type."""
    return f"CAST({rendered(typing.derived(text, row, kind))} AS {DUCKDB_TYPES[kind]})"


def rendered(value: Value) -> str:
    """Returns the SQL of a typed tree, safe to embed in a larger expression."""
    match value:
        case Field(name):
            return '"' + name.replace('"', '""') + '"'
        case Const():
            return _const(value)
        case Converted(inner, numbers):
            return f"CAST({rendered(inner)} AS {_number(numbers)})"
        case BusinessDay(inner, zone):
            return f"CAST(({rendered(inner)} AT TIME ZONE {_text(zone)}) AS DATE)"
        case Hour(inner, zone):
            return f"hour({rendered(inner)} AT TIME ZONE {_text(zone)})"
        case Matches(inner, pieces):
            return f"({rendered(inner)} LIKE {_pattern(pieces)})"
        case OneOf(inner, candidates, null):
            listed = [_const(c) for c in candidates] + (["NULL"] if null else [])
            return f"({rendered(inner)} IN ({', '.join(listed)}))"
        case Choice(whens, otherwise):
            branches = " ".join(f"WHEN {rendered(c)} THEN {rendered(v)}" for c, v in whens)
            return f"CASE {branches} ELSE {rendered(otherwise)} END"
        case Apply(op, args):
            return _applied(op, [rendered(a) for a in args])
        case _:
            assert_never(value)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _type(kind: Type) -> str:
    return _number(kind.numbers) if kind.kind is Kind.NUMBER else _NAMES[kind.kind]


def _number(numbers: Numbers) -> str:
    return f"DECIMAL({numbers.digits},{numbers.scale})" if numbers.digits else "BIGINT"


def _const(const: Const) -> str:
    match const.value:
        case None:
            return f"CAST(NULL AS {_type(const.type)})"
        case bool(truth):
            return "true" if truth else "false"
        case str(text):
            return _text(text)
        case Decimal() as number:
            return f"CAST('{number:f}' AS {_type(const.type)})"
        case dt.datetime() as instant:
            return f"make_timestamptz({(instant - _EPOCH) // dt.timedelta(microseconds=1)})"
        case day:
            return f"DATE '{day.isoformat()}'"


def _pattern(pieces: Sequence[str | Wildcard]) -> str:
    special = {c: _ESCAPE + c for c in ("%", "_", _ESCAPE)}
    parts = [p.value if isinstance(p, Wildcard) else "".join(special.get(c, c) for c in p) for p in pieces]
    return f"{_text(''.join(parts))} ESCAPE {_text(_ESCAPE)}"


def _applied(op: Op, args: Sequence[str]) -> str:
    if op is Op.JOIN:  # a NULL operand makes DuckDB return an untyped value, which other functions refuse
        return f"CAST(({' || '.join(args)}) AS VARCHAR)"
    if op in _BETWEEN:
        return f"({f' {_BETWEEN[op]} '.join(args)})"
    if op in _TRIMMED:
        return f"{_TRIMMED[op]}({args[0]}, {_text(WHITE_SPACE)})"
    if op in _FUNCTIONS:
        return f"{_FUNCTIONS[op]}({', '.join(args)})"
    match op:
        case Op.NOT:
            return f"(NOT {args[0]})"
        case Op.PLUS_DAYS:
            return f"({args[0]} + CAST({args[1]} AS INTEGER))"
        case _:
            return f"({args[0]} {op.value.upper()})"  # IS NULL, IS TRUE, IS FALSE
