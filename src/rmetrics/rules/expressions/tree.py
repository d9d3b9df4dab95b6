"""The tree of an expression as written: names and values without types.

Negations are part of the node they negate (``NOT a = 1`` is ``a <> 1``); a chain of one operator is a single node.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Literal, TypeAlias

Sign: TypeAlias = Literal["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]
OPPOSITE: dict[Sign, Sign] = {
    "=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">",
    "IS DISTINCT FROM": "IS NOT DISTINCT FROM", "IS NOT DISTINCT FROM": "IS DISTINCT FROM",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnName:
    """A column of the row. ``quoted``: the user wrote it in double quotes."""

    name: str
    quoted: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Text:
    """A text in single quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number, with its decimals exactly as written."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Truth:
    """TRUE or FALSE."""

    value: bool


@dataclass(frozen=True, slots=True)
class Null:
    """NULL."""


@dataclass(frozen=True, slots=True)
class Moment:
    """``DATE '...'``, ``TIMESTAMP '...'`` or ``TIMESTAMPTZ '...'``; the text is parsed during typing."""

    word: Literal["DATE", "TIMESTAMP", "TIMESTAMPTZ"]
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions joined by AND or by OR."""

    word: Literal["AND", "OR"]
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """NOT before a node without a negated form."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two values."""

    sign: Sign
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class In:
    """``value [NOT] IN (among)``."""

    value: "Node"
    candidates: tuple["Node", ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Between:
    """``value BETWEEN low AND high``, both ends included."""

    value: "Node"
    low: "Node"
    high: "Node"


@dataclass(frozen=True, slots=True)
class Like:
    """``value [NOT] LIKE pattern [ESCAPE escape]``; ``any_case`` for ILIKE."""

    value: "Node"
    pattern: "Node"
    escape: str | None
    negated: bool
    any_case: bool


@dataclass(frozen=True, slots=True)
class IsNull:
    """``value IS [NOT] NULL``."""

    value: "Node"
    negated: bool


@dataclass(frozen=True, slots=True)
class IsTruth:
    """``value IS [NOT] TRUE`` or ``FALSE``: never NULL."""

    value: "Node"
    truth: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class Case:
    """``CASE [subject] WHEN ... THEN ... [ELSE ...] END``."""

    subject: "Node | None"
    whens: tuple[tuple["Node", "Node"], ...]
    otherwise: "Node | None"


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms added (True) or subtracted (False), from left to right."""

    terms: tuple[tuple[bool, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Texts joined by ``||``."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of ``functions.FUNCTIONS``."""

    name: str
    args: tuple["Node", ...]


Node: TypeAlias = (
    ColumnName | Text | Number | Truth | Null | Moment | Joined | Not | Comparison | In | Between | Like | IsNull
    | IsTruth | Case | Sum | Chain | Call
)  # fmt: skip


def children(node: Node) -> Iterator[Node]:
    """Yields the direct children of a node, in written order."""
    for part in fields(node):
        yield from _nodes(getattr(node, part.name))


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)
    elif isinstance(value, Node):
        yield value


def walk(node: Node) -> Iterator[Node]:
    """Yields a node and all its descendants, from left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def columns_in(*nodes: Node) -> tuple[str, ...]:
    """Returns the distinct columns in the nodes, in order of appearance."""
    return tuple(dict.fromkeys(n.name for node in nodes for n in walk(node) if isinstance(n, ColumnName)))
