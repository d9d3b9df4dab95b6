"""The tree of an expression after typing: few kinds of nodes, with every conversion as a node.

A renderer translates each node on its own and never needs the kinds of its neighbours. Numbers are 64-bit integers or
decimals of 18 or 38 digits; numbers in one operation have the same digits and scale.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import Enum, StrEnum
from typing import TypeAlias

from rmetrics.rules.feeds import ColumnType


class Kind(StrEnum):
    """The kinds of values; values of one kind are comparable. The words appear in messages."""

    TEXT = "text"
    NUMBER = "a number"
    DATE = "a date"
    STAMP = "a timestamp"
    TRUTH = "true or false"
    NOTHING = "NULL"


@dataclass(frozen=True, slots=True)
class Numbers:
    """The representation of a number: 0 digits for a 64-bit integer, 18 or 38 for a decimal of that many digits."""

    digits: int
    scale: int


INTEGER = Numbers(0, 0)


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a value.

    Attributes:
        kind: the kind of values it is comparable with.
        numbers: the representation, for numbers.
        bound: the greatest absolute value, in units of the last decimal, for numbers.
    """

    kind: Kind
    numbers: Numbers = INTEGER
    bound: int = 0


TEXT, DATE, STAMP, TRUTH, NOTHING = (
    Type(k) for k in (Kind.TEXT, Kind.DATE, Kind.STAMP, Kind.TRUTH, Kind.NOTHING)
)  # fmt: skip
_MONEY, _SHARE = Numbers(18, 2), Numbers(18, 6)
# The range of a stored column.
STORED: Mapping[ColumnType, Type] = {
    ColumnType.TEXT: TEXT,
    ColumnType.PHONE: TEXT,
    ColumnType.INTEGER: Type(Kind.NUMBER, INTEGER, 2**63),
    ColumnType.DURATION: Type(Kind.NUMBER, INTEGER, 2**63),
    ColumnType.MONEY: Type(Kind.NUMBER, _MONEY, 10**18 - 1),
    ColumnType.SHARE: Type(Kind.NUMBER, _SHARE, 10**18 - 1),
    ColumnType.CURRENCY: TEXT,
    ColumnType.TIMESTAMP: STAMP,
    ColumnType.DATE: DATE,
    ColumnType.MONTH: DATE,
    ColumnType.BOOLEAN: TRUTH,
}
# The range of one cell of an export: ``ingest.parse`` rejects larger values. A sum of a few cells fits a stored column.
CELLS: Mapping[ColumnType, Type] = {
    **STORED,
    ColumnType.INTEGER: Type(Kind.NUMBER, INTEGER, 10**18 - 1),
    ColumnType.DURATION: Type(Kind.NUMBER, INTEGER, 10**9 - 1),
    ColumnType.MONEY: Type(Kind.NUMBER, _MONEY, 10**12 - 1),
    ColumnType.SHARE: Type(Kind.NUMBER, _SHARE, 10**9),
}


class Op(StrEnum):
    """An operation on arguments of matching types."""

    AND = "and"
    OR = "or"
    NOT = "not"
    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    SAME = "is not distinct from"
    NOT_SAME = "is distinct from"
    IS_NULL = "is null"
    IS_TRUE = "is true"
    IS_FALSE = "is false"
    COALESCE = "coalesce"
    LOWER = "lower"
    UPPER = "upper"
    TRIM = "trim"
    LTRIM = "ltrim"
    RTRIM = "rtrim"
    LENGTH = "length"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    CONTAINS = "contains"
    CONCAT = "concat"
    JOIN = "||"
    ADD = "+"
    SUBTRACT = "-"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    ISODOW = "isodow"
    DAYS_BETWEEN = "days between"
    PLUS_DAYS = "plus days"


class Wildcard(Enum):
    """The wildcards of a pattern."""

    ANY = "%"
    ONE = "_"


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the row."""

    name: str


@dataclass(frozen=True, slots=True)
class Const:
    """A constant; None is NULL of the type."""

    value: bool | str | Decimal | dt.date | dt.datetime | None
    type: Type


@dataclass(frozen=True, slots=True)
class Converted:
    """A number converted to another representation that holds it exactly."""

    value: "Value"
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class BusinessDay:
    """The day of a timestamp in the zone."""

    value: "Value"
    zone: str


@dataclass(frozen=True, slots=True)
class Hour:
    """The hour of a timestamp in the zone, a 64-bit integer."""

    value: "Value"
    zone: str


@dataclass(frozen=True, slots=True)
class Matches:
    """Whether the whole text matches a pattern: a sequence of literal texts and wildcards."""

    value: "Value"
    pieces: tuple["str | Wildcard", ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """``value IN (among)``; the constants have the value's type, and the list also contains NULL if ``null``."""

    value: "Value"
    candidates: tuple[Const, ...]
    null: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The value of the first branch whose condition is true, otherwise the default."""

    whens: tuple[tuple["Value", "Value"], ...]
    otherwise: "Value"


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation. A numeric result is a 64-bit integer; that of ADD and SUBTRACT has the type of the arguments."""

    op: Op
    args: tuple["Value", ...]


_TIMES = {Op.LOWER: 4, Op.UPPER: 4}  # how often the rendered form repeats its argument


def rendered_size(value: "Value", known: dict[int, int] | None = None) -> int:
    """Returns the number of nodes in the rendered form; repeated parts count each time.

    Args:
        value: a typed tree; the same object may occur in it several times.
        known: cache of sizes by the identity of the parts.
    """
    known = {} if known is None else known
    if id(value) not in known:
        parts = [p for f in fields(value) for p in _parts(getattr(value, f.name))]
        times = _TIMES.get(value.op, 1) if isinstance(value, Apply) else 1
        known[id(value)] = 1 + times * sum(rendered_size(p, known) for p in parts)
    return known[id(value)]


def _parts(value: object) -> Iterator["Value"]:
    if isinstance(value, tuple):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, Value):
        yield value


Value: TypeAlias = Field | Const | Converted | BusinessDay | Hour | Matches | OneOf | Choice | Apply
