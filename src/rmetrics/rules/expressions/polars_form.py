"""Typed expressions as Polars expressions."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import assert_never

import polars as pl

from rmetrics.rules.expressions import typing
from rmetrics.rules.expressions.letters import lower_case, upper_case
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

DTYPES: Mapping[ColumnType, pl.DataType] = {
    ColumnType.TEXT: pl.String(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.MONEY: pl.Decimal(18, 2),
    ColumnType.SHARE: pl.Decimal(18, 6),
    ColumnType.CURRENCY: pl.String(),
    ColumnType.TIMESTAMP: pl.Datetime("us", "UTC"),
    ColumnType.DATE: pl.Date(),
    ColumnType.MONTH: pl.Date(),
    ColumnType.DURATION: pl.Int64(),
    ColumnType.PHONE: pl.String(),
    ColumnType.BOOLEAN: pl.Boolean(),
}
_DTYPES: Mapping[Kind, pl.DataType] = {
    Kind.TEXT: pl.String(),
    Kind.DATE: pl.Date(),
    Kind.STAMP: pl.Datetime("us", "UTC"),
    Kind.TRUTH: pl.Boolean(),
    Kind.NOTHING: pl.Boolean(),
}


def expression(text: str, row: Row) -> pl.Expr:
    """Returns a condition of validated rules as an expression: true, false or null."""
    return rendered(typing.condition(text, row))


def is_true(text: str, row: Row) -> pl.Expr:
    """Returns a condition of validated rules with NULL as false."""
    return expression(text, row).fill_null(value=False)


def derived(text: str, row: Row, kind: ColumnType) -> pl.Expr:
    """Returns a derived column of validated rules as an expression, cast to its declared type."""
    return rendered(typing.derived(text, row, kind)).cast(DTYPES[kind])


def rendered(value: Value) -> pl.Expr:
    """Returns the Polars expression of a typed tree."""
    match value:
        case Field(name):
            return pl.col(name)
        case Const():
            return _const(value)
        case Converted(inner, numbers):
            return rendered(inner).cast(_number(numbers))
        case BusinessDay(inner, zone):
            return rendered(inner).dt.convert_time_zone(zone).dt.date()
        case Hour(inner, zone):
            return rendered(inner).dt.convert_time_zone(zone).dt.hour().cast(pl.Int64)
        case Matches(inner, pieces):
            return _matches(rendered(inner), pieces)
        case OneOf():
            return _one_of(value)
        case Choice(whens, otherwise):
            result = rendered(otherwise)
            for condition, then in reversed(whens):
                result = pl.when(rendered(condition)).then(rendered(then)).otherwise(result)
            return result
        case Apply(op, args):
            return _applied(op, [rendered(a) for a in args])
        case _:
            assert_never(value)


def _dtype(kind: Type) -> pl.DataType:
    return _number(kind.numbers) if kind.kind is Kind.NUMBER else _DTYPES[kind.kind]


def _number(numbers: Numbers) -> pl.DataType:
    return pl.Decimal(numbers.digits, numbers.scale) if numbers.digits else pl.Int64()


def _const(const: Const) -> pl.Expr:
    dtype, value = _dtype(const.type), const.value
    if isinstance(value, Decimal) and not const.type.numbers.digits:
        value = int(value)  # type: ignore[assignment]  # a whole number, held as an integer
    return pl.lit(value, dtype=dtype)


def _one_of(test: OneOf) -> pl.Expr:
    value = rendered(test.value)
    options = pl.lit(pl.Series([_plain(c) for c in test.candidates], dtype=_dtype(test.candidates[0].type))).implode()
    found = value.is_in(options)
    if not test.null:
        return found
    return pl.when(found).then(pl.lit(value=True)).otherwise(pl.lit(None, dtype=pl.Boolean))


def _plain(const: Const) -> bool | str | int | Decimal | dt.date | dt.datetime | None:
    whole = isinstance(const.value, Decimal) and not const.type.numbers.digits
    return int(const.value) if whole and isinstance(const.value, Decimal) else const.value


# -- texts


def _matches(text: pl.Expr, pieces: Sequence[str | Wildcard]) -> pl.Expr:
    match pieces:
        case ():
            return text == pl.lit("")
        case (str(whole),):
            return text == pl.lit(whole)
        case (str(start), Wildcard.ANY):
            return text.str.starts_with(pl.lit(start))
        case (Wildcard.ANY, str(end)):
            return text.str.ends_with(pl.lit(end))
        case (Wildcard.ANY, str(part), Wildcard.ANY):
            return text.str.contains(pl.lit(part), literal=True)
    wildcards = {Wildcard.ANY: ".*", Wildcard.ONE: "."}
    pattern = "".join(re.escape(p) if isinstance(p, str) else wildcards[p] for p in pieces)
    return text.str.contains(rf"(?s)\A(?:{pattern})\z")


def _cased(text: pl.Expr, ascii_only: pl.Expr, table: Mapping[str, str]) -> pl.Expr:
    """Maps each letter by the table; pure ASCII texts take the faster path."""
    plain = text.str.len_bytes() == text.str.len_chars()
    return pl.when(plain).then(ascii_only).otherwise(text.str.replace_many(list(table), list(table.values())))


def _lower(text: pl.Expr) -> pl.Expr:
    ascii_letters = {chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)}
    return _cased(text, text.str.to_lowercase(), {**ascii_letters, **lower_case()})


def _upper(text: pl.Expr) -> pl.Expr:
    ascii_letters = {chr(c): chr(c - 32) for c in range(ord("a"), ord("z") + 1)}
    return _cased(text, text.str.to_uppercase(), {**ascii_letters, **upper_case()})


# -- operations


def _balanced(parts: Sequence[pl.Expr], join: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> pl.Expr:
    """Joins conditions as a balanced tree: an expression as deep as their number would overflow the stack."""
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [join(p[0], p[1]) if len(p) == 2 else p[0] for p in pairs]
    return parts[0]


def _applied(op: Op, args: Sequence[pl.Expr]) -> pl.Expr:
    match op:
        case Op.AND:
            return _balanced(args, lambda a, b: a & b)
        case Op.OR:
            return _balanced(args, lambda a, b: a | b)
        case Op.COALESCE:
            return pl.coalesce(args)
        case Op.CONCAT:
            return pl.concat_str([a.fill_null("") for a in args])
        case Op.JOIN:
            return pl.concat_str(args)
        case _:
            return _UNARY[op](args[0]) if len(args) == 1 else _BINARY[op](args[0], args[1])


def _day_number(date: pl.Expr) -> pl.Expr:
    return date.cast(pl.Int32).cast(pl.Int64)


_UNARY: Mapping[Op, Callable[[pl.Expr], pl.Expr]] = {
    Op.NOT: lambda a: ~a,
    Op.IS_NULL: lambda a: a.is_null(),
    Op.IS_TRUE: lambda a: a.fill_null(value=False),
    Op.IS_FALSE: lambda a: ~a.fill_null(value=True),
    Op.LOWER: _lower,
    Op.UPPER: _upper,
    Op.TRIM: lambda a: a.str.strip_chars(WHITE_SPACE),
    Op.LTRIM: lambda a: a.str.strip_chars_start(WHITE_SPACE),
    Op.RTRIM: lambda a: a.str.strip_chars_end(WHITE_SPACE),
    Op.LENGTH: lambda a: a.str.len_chars().cast(pl.Int64),
    Op.YEAR: lambda a: a.dt.year().cast(pl.Int64),
    Op.MONTH: lambda a: a.dt.month().cast(pl.Int64),
    Op.DAY: lambda a: a.dt.day().cast(pl.Int64),
    Op.ISODOW: lambda a: a.dt.weekday().cast(pl.Int64),
}
_BINARY: Mapping[Op, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    Op.EQUAL: lambda a, b: a == b,
    Op.UNEQUAL: lambda a, b: a != b,
    Op.LESS: lambda a, b: a < b,
    Op.AT_MOST: lambda a, b: a <= b,
    Op.MORE: lambda a, b: a > b,
    Op.AT_LEAST: lambda a, b: a >= b,
    Op.SAME: lambda a, b: a.eq_missing(b),
    Op.NOT_SAME: lambda a, b: a.ne_missing(b),
    Op.STARTS_WITH: lambda a, b: a.str.starts_with(b),
    Op.ENDS_WITH: lambda a, b: a.str.ends_with(b),
    Op.CONTAINS: lambda a, b: a.str.contains(b, literal=True),
    Op.ADD: lambda a, b: a + b,
    Op.SUBTRACT: lambda a, b: a - b,
    Op.DAYS_BETWEEN: lambda a, b: _day_number(a) - _day_number(b),
    Op.PLUS_DAYS: lambda a, b: (_day_number(a) + b).cast(pl.Int32).cast(pl.Date),
}
