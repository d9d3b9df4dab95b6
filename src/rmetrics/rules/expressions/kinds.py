"""How values of different kinds combine in a comparison or result, and the messages for kinds that cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rmetrics.rules.expressions import tree
from rmetrics.rules.expressions.refusal import RefusedExpressionError, clipped
from rmetrics.rules.expressions.typed import (
    DATE,
    INTEGER,
    TRUTH,
    BusinessDay,
    Const,
    Converted,
    Kind,
    Numbers,
    Type,
    Value,
)
from rmetrics.rules.expressions.written import sql_of

DIGITS = 38


@dataclass(frozen=True, slots=True)
class TypedNode:
    """A node with its typed form."""

    node: tree.Node
    value: Value
    type: Type

    @property
    def kind(self) -> Kind:
        """The kind of its values."""
        return self.type.kind


def fit(found: TypedNode, numbers: Numbers) -> TypedNode:
    """Returns the same number in another representation."""
    bound = found.type.bound * 10 ** (numbers.scale - found.type.numbers.scale)
    kind = Type(Kind.NUMBER, numbers, bound)
    if found.type.numbers == numbers:
        return found
    if isinstance(found.value, Const):
        return TypedNode(found.node, Const(found.value.value, kind), kind)
    return TypedNode(found.node, Converted(found.value, numbers), kind)


def common(types: Sequence[Type], node: tree.Node, factor: int = 1) -> Numbers:
    """Returns the common representation of several numbers, wide enough for ``factor`` times the greatest of them."""
    scale = max(t.numbers.scale for t in types)
    bound = factor * max(t.bound * 10 ** (scale - t.numbers.scale) for t in types)
    if all(t.numbers == INTEGER for t in types) and bound < 2**63 + (factor == 1):
        return INTEGER
    if bound < 10**18 and factor == 1:
        return Numbers(18, scale)
    if bound < 10**DIGITS:
        return Numbers(DIGITS, scale)
    raise RefusedExpressionError(
        f"{clipped(sql_of(node))}: the numbers have more than {DIGITS} digits in total; use fewer decimals"
    )


def business_day(found: TypedNode, zone: str) -> TypedNode:
    """Returns the business day of a timestamp, as a date."""
    return TypedNode(found.node, BusinessDay(found.value, zone), DATE)


def as_truth(found: TypedNode) -> Value:
    """Returns the value of a condition; NULL for a bare NULL."""
    return Const(None, TRUTH) if found.kind is Kind.NOTHING else found.value


def named(found: TypedNode) -> str:
    """Returns a node and its kind in words, for an error message."""
    what = {Kind.TRUTH: "a condition" if not isinstance(found.node, tree.ColumnName | tree.Truth) else "true or false"}
    return f"{clipped(sql_of(found.node), 40)} is {what.get(found.kind, found.kind)}"


def mixed(first: TypedNode, second: TypedNode) -> RefusedExpressionError:
    """Returns the error for two values of different kinds, with a correction."""
    return RefusedExpressionError(
        f"{named(first)}, {named(second)}: {_right(first, second) or _right(second, first) or _ADVICE}"
    )


_ADVICE = "only values of one kind can be compared or combined"


def _right(one: TypedNode, other: TypedNode) -> str:
    """Returns the correction for ``one`` combined with ``other``; empty if none is known."""
    match one.kind, one.node:
        case Kind.TEXT, tree.Text(value) if other.kind is Kind.NUMBER:
            plain = value.strip().replace(",", "").lstrip("$")
            return f"write {plain} without quotes" if _is_number(plain) else "write a number without quotes"
        case Kind.NUMBER, tree.Number() if other.kind is Kind.TEXT:
            return f"write '{sql_of(one.node)}' in single quotes"
        case Kind.TEXT, tree.Text(value) if other.kind is Kind.TRUTH:
            name = clipped(sql_of(other.node), 40)
            return f"write {name} or NOT {name}" if isinstance(other.node, tree.ColumnName) else "write TRUE or FALSE"
        case Kind.NUMBER, tree.Number() if other.kind is Kind.TRUTH:
            return "write TRUE or FALSE"
        case Kind.NUMBER, tree.Number() if other.kind in {Kind.DATE, Kind.STAMP}:
            return "write a date as DATE '2024-11-03'"
    return ""


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False


def typed_null(found: TypedNode, kind: Type) -> Value:
    """Returns the value; a bare NULL becomes a NULL of the given type."""
    return Const(None, kind) if found.kind is Kind.NOTHING else found.value
