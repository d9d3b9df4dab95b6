"""Checks the conditions and derived columns when the rules load: what is an error, and what deserves a warning.

Source: the design, section 2 (conditions).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.rules.expressions import tree, typing
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.refusal import RefusedExpressionError
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.expressions.written import sql_of
from rmetrics.rules.feeds import ColumnType


@dataclass(frozen=True, slots=True)
class CheckedCondition:
    """The result of checking a condition.

    Attributes:
        problem: why it is refused; empty if it is valid.
        columns: the columns it uses.
        blank_unsafe: (operator, column) pairs that silently exclude rows where the column is blank.
        never: parts that are never true, whatever the row holds, each with the probable intention.
    """

    problem: str = ""
    columns: tuple[str, ...] = ()
    blank_unsafe: tuple[tuple[str, str], ...] = ()
    never: tuple[str, ...] = ()


def read_condition(text: str, row: Row, *, kind: ColumnType | None = None) -> CheckedCondition:
    """Parses and type-checks an expression.

    Args:
        text: the SQL expression.
        row: the columns it may use.
        kind: the type of the derived column it computes; None for a condition.
    """
    try:
        if kind is None:
            typing.condition(text, row)
        else:
            typing.derived(text, row, kind)
        node = parse(text)
    except RefusedExpressionError as refusal:
        return CheckedCondition(problem=str(refusal))
    nodes = list(tree.walk(node))
    guarded = set(tree.columns_in(*(n for n in nodes if _guards(n))))
    unsafe = tuple(dict.fromkeys(u for n in nodes for u in _unsafe(n) if u[1] not in guarded))
    return CheckedCondition(
        columns=tree.columns_in(node), blank_unsafe=unsafe, never=tuple(m for n in nodes for m in _never(n))
    )


def _guards(node: tree.Node) -> bool:
    """Whether the node handles blanks explicitly."""
    return isinstance(node, tree.IsNull) or (isinstance(node, tree.Call) and node.name == "coalesce")


def _unsafe(node: tree.Node) -> Iterator[tuple[str, str]]:
    """Yields (operator, column) for tests that are not true for a blank, although readers expect them to be."""
    match node:
        case tree.Comparison("<>", left, right):
            tested, operator = tree.columns_in(left, right), "<>"
        case tree.In(value, _, True):
            tested, operator = tree.columns_in(value), "NOT IN"
        case tree.Like(value, _, _, True, any_case):
            tested, operator = tree.columns_in(value), "NOT ILIKE" if any_case else "NOT LIKE"
        case _:
            return
    yield from ((operator, column) for column in tested)


def _never(node: tree.Node) -> Iterator[str]:
    match node:
        case tree.Comparison("IS DISTINCT FROM" | "IS NOT DISTINCT FROM"):
            return
        case tree.Comparison(sign, left, right) if tree.Null() in (left, right):
            other = sql_of(right if left == tree.Null() else left)
            right_form = f"{other} IS {'NOT ' if sign == '<>' else ''}NULL"
            yield f"{sql_of(node)} is true for no row; write {right_form}"
        case tree.In(value, candidates, True) if tree.Null() in candidates:
            yield f"{sql_of(value)} NOT IN (..., NULL) is true for no row; remove NULL from the list"
