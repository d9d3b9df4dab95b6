"""Parses a user's text into the tree of ``tree``, with sqlglot, which is imported on first use."""

import functools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

from rmetrics.rules.expressions.functions import FUNCTIONS
from rmetrics.rules.expressions.refusal import RefusedExpressionError, clipped
from rmetrics.rules.expressions.tokens import CALL, MOMENTS, prepared
from rmetrics.rules.expressions.tree import (
    OPPOSITE,
    Between,
    Call,
    Case,
    Chain,
    ColumnName,
    Comparison,
    In,
    IsNull,
    IsTruth,
    Joined,
    Like,
    Moment,
    Node,
    Not,
    Null,
    Number,
    Sign,
    Sum,
    Text,
    Truth,
)

MAX_TERMS = 100  # of one sum or one chain of texts
_DIGITS = 38
_COMPARED: dict[str, Sign] = {
    "EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">=", "NullSafeNEQ": "IS DISTINCT FROM",
    "NullSafeEQ": "IS NOT DISTINCT FROM",
}  # fmt: skip
# Parser nodes that are conditions even without parentheses.
_CONDITIONS = frozenset({*_COMPARED, "Like", "ILike", "Escape", "In", "Between", "Not", "And", "Or", "Is"})
# The attributes of parser nodes that are understood here; a node with any other attribute set is refused.
_PARTS = frozenset({"this", "expression", "expressions", "low", "high", "ifs", "true", "default", "quoted", "is_string",
                    "negate", "safe", "coalesce"})  # fmt: skip


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """Parses an expression into a tree.

    Args:
        text: the user's text.

    Raises:
        RefusedError: the text is not an expression of the language.

    Source: the design, section 2 (conditions).
    """
    from sqlglot import exp
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.errors import ParseError, TokenError

    dialect = DuckDB()

    def tokenize(sql: str) -> Sequence[Any]:
        try:
            return dialect.tokenize(sql)
        except TokenError as error:
            raise ValueError(str(error)) from error

    normalised = prepared(text, tokenize)
    try:
        found = dialect.parse_into(exp.Condition, normalised)
    except ParseError as error:
        raise RefusedExpressionError(f"is not an SQL expression: {_syntax(error.errors)}") from error
    except RecursionError as error:  # the parser recurses for every level
        raise RefusedExpressionError("is nested too deeply; split it, or use derived columns (sql)") from error
    if len(found) != 1 or found[0] is None:
        raise RefusedExpressionError("must be one expression over the row")
    return _node(found[0])


def _syntax(errors: Sequence[Any]) -> str:
    """Rewords the parser's error message."""
    if not errors:
        return "it is incomplete"
    first = errors[0]
    near = str(first.get("highlight") or "").removeprefix(CALL).strip('"')
    why = str(first.get("description") or "")
    if "Expecting )" in why:
        return f"a parenthesis is not closed after {clipped(near)}"
    if "missing" in why:
        return f"something is missing after {clipped(near)}"
    if "CASE" in why:
        return "CASE needs WHEN ... THEN ... and END"
    before = str(first.get("start_context") or "").replace('"', "").replace(CALL, "")[-30:]
    return (
        f"{clipped(near)!r} does not fit after {clipped(before)!r}"
        if before.strip()
        else f"{clipped(near)!r} cannot begin it"
    )


# -- node by node


def _node(found: Any) -> Node:
    """Converts one node of the parser."""
    kind = type(found).__name__
    extra = [k for k, v in found.args.items() if v and k not in _PARTS]
    if extra and kind != "In":
        raise RefusedExpressionError(f"{clipped(_text(found))}: is not part of an expression here")
    if kind in _COMPARED:
        return _compared(found, _COMPARED[kind])
    reader = _READERS.get(kind)
    if reader is None:
        raise RefusedExpressionError(
            f'{clipped(_text(found))}: is not part of an expression; see "Conditions" in docs/rules.md'
        )
    return reader(found)


def _text(found: Any) -> str:
    return str(found.sql(dialect="duckdb")).replace(CALL.upper(), "").replace(CALL, "").replace('"', "")


def _operand(found: Any) -> Node:
    """Converts an operand of a comparison; a condition needs parentheses here, as readers bind it differently."""
    if type(found).__name__ in _CONDITIONS:
        raise RefusedExpressionError(f"{clipped(_text(found))}: put parentheses around a condition that is compared")
    return _node(found)


def _compared(found: Any, sign: Sign) -> Node:
    return Comparison(sign, _operand(found.this), _operand(found.expression))


def _chained(found: Any, kind: str) -> Iterator[Any]:
    """Yields the operands of a chain of one operator, from left to right, without recursion over its length."""
    stack = [found]
    while stack:
        item = stack.pop()
        while type(item).__name__ == "Paren" and type(item.this).__name__ in {kind, "Paren"}:
            item = item.this
        if type(item).__name__ == kind:
            stack += [item.expression, item.this]
        else:
            yield item


def _joined(word: Literal["AND", "OR"]) -> Callable[[Any], Node]:
    def read(found: Any) -> Node:
        parts: list[Node] = []
        for part in (_node(p) for p in _chained(found, type(found).__name__)):
            parts += part.parts if isinstance(part, Joined) and part.word == word else [part]
        return Joined(word, tuple(parts))

    return read


def _not(found: Any) -> Node:
    return negation(_node(found.this))


def negation(part: Node) -> Node:
    """Returns the negation of a condition, in its own negated form if it has one."""
    match part:
        case Comparison(sign, left, right):
            return Comparison(OPPOSITE[sign], left, right)
        case In(value, candidates, negated):
            return In(value, candidates, not negated)
        case Like(value, pattern, escape, negated, any_case):
            return Like(value, pattern, escape, not negated, any_case)
        case IsNull(value, negated):
            return IsNull(value, not negated)
        case IsTruth(value, truth, negated):
            return IsTruth(value, truth, not negated)
        case Not(inner):
            return inner
        case _:
            return Not(part)


def _is(found: Any) -> Node:
    kind, value = type(found.expression).__name__, _operand_of_is(found.this)
    if kind == "Null":
        return IsNull(value, negated=False)
    if kind == "Boolean":
        return IsTruth(value, bool(found.expression.this), negated=False)
    other = _text(found.expression)
    raise RefusedExpressionError(
        f"IS {clipped(other)}: IS must be followed by NULL, TRUE, FALSE or DISTINCT FROM; write = {clipped(other)}"
    )


def _operand_of_is(found: Any) -> Node:
    """Converts the operand of IS, which binds weaker than a comparison: ``a = b IS NULL`` means ``(a = b) IS NULL``."""
    return _node(found)


def _in(found: Any) -> Node:
    candidates = found.args.get("expressions")
    if found.args.get("query"):
        raise RefusedExpressionError("a subquery reaches beyond the row")
    if not candidates:
        raise RefusedExpressionError("IN needs a list in parentheses: IN ('a', 'b')")
    return In(_operand(found.this), tuple(_operand(a) for a in candidates), negated=False)


def _between(found: Any) -> Node:
    low, high = found.args.get("low"), found.args.get("high")
    return Between(_operand(found.this), _operand(low), _operand(high))


def _like(*, any_case: bool) -> Callable[[Any], Node]:
    def read(found: Any) -> Node:
        negated = bool(found.args.get("negate"))
        return Like(_operand(found.this), _operand(found.expression), None, negated, any_case)

    return read


def _escape(found: Any) -> Node:
    inner, escape = _node(found.this), found.expression
    if not isinstance(inner, Like) or not escape.args.get("is_string") or len(escape.this) != 1:
        raise RefusedExpressionError("ESCAPE must follow a LIKE pattern, with one character: LIKE '50!%' ESCAPE '!'")
    return Like(inner.value, inner.pattern, str(escape.this), inner.negated, inner.any_case)


def _case(found: Any) -> Node:
    subject, default = found.args.get("this"), found.args.get("default")
    whens = tuple((_node(i.this), _node(i.args["true"])) for i in found.args["ifs"])
    return Case(_node(subject) if subject else None, whens, _node(default) if default else None)


def _sum(found: Any) -> Node:
    terms: list[tuple[bool, Node]] = []
    item = found
    while type(item).__name__ in {"Add", "Sub"}:
        terms.append((type(item).__name__ == "Add", _operand(item.expression)))
        item = item.this
    _count(terms)
    return Sum(((True, _operand(item)), *reversed(terms)))


def _count(parts: Sequence[object]) -> None:
    if len(parts) > MAX_TERMS:
        raise RefusedExpressionError(f"joins more than {MAX_TERMS} values; use derived columns (sql)")


def _minus(found: Any) -> Node:
    inner = _operand(found.this)
    if isinstance(inner, Number):
        return Number(inner.value.copy_negate())
    return Sum(((False, inner),))


def _chain(found: Any) -> Node:
    parts = tuple(_operand(p) for p in _chained(found, "DPipe"))
    _count(parts)
    return Chain(parts)


def _literal(found: Any) -> Node:
    if found.args.get("is_string"):
        return Text(str(found.this))
    value = Decimal(str(found.this))
    exponent = int(value.as_tuple().exponent)
    whole = max(0, len(value.as_tuple().digits) + exponent)
    if whole + max(0, -exponent) > _DIGITS:
        raise RefusedExpressionError(f"{clipped(str(found.this))}: a number has at most {_DIGITS} digits here")
    return Number(Decimal(f"{value:f}"))


def _column(found: Any) -> Node:
    name = found.this
    if type(name).__name__ != "Identifier":
        raise RefusedExpressionError(f"{clipped(_text(found))}: is not a value of the row")
    text = str(name.this)
    return ColumnName(text.removeprefix(CALL), quoted=text.startswith(CALL))


def _call(found: Any) -> Node:
    name = str(found.this).removeprefix(CALL)
    args = found.args.get("expressions") or []
    if name in MOMENTS:
        return Moment(_moment(name), str(args[0].this))
    function = FUNCTIONS[name]
    if len(args) < function.min_args or (function.max_args is not None and len(args) > function.max_args):
        raise RefusedExpressionError(
            f"{name}() takes {_arity(function.min_args, function.max_args)}, found {len(args)}: write {function.form}"
        )
    return Call(name, tuple(_operand_of_call(a) for a in args))


def _operand_of_call(found: Any) -> Node:
    return _node(found)


def _moment(name: str) -> Literal["DATE", "TIMESTAMP", "TIMESTAMPTZ"]:
    words: tuple[Literal["DATE", "TIMESTAMP", "TIMESTAMPTZ"], ...] = ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
    return next(w for w in words if w == name)


def _arity(min_args: int, max_args: int | None) -> str:
    if max_args is None:
        return f"{min_args} or more values"
    return f"{min_args} value{'' if min_args == 1 else 's'}"


_READERS: dict[str, Callable[[Any], Node]] = {
    "And": _joined("AND"),
    "Or": _joined("OR"),
    "Not": _not,
    "Paren": lambda found: _node(found.this),
    "Is": _is,
    "In": _in,
    "Between": _between,
    "Like": _like(any_case=False),
    "ILike": _like(any_case=True),
    "Escape": _escape,
    "Case": _case,
    "Add": _sum,
    "Sub": _sum,
    "Neg": _minus,
    "DPipe": _chain,
    "Literal": _literal,
    "Boolean": lambda found: Truth(bool(found.this)),
    "Null": lambda _: Null(),
    "Column": _column,
    "Anonymous": _call,
}
