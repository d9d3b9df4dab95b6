"""A tree as readable SQL, for messages and explanations."""

from rmetrics.rules.expressions import tree

_PLAIN_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def sql_of(node: tree.Node) -> str:
    """Returns the SQL of a tree; parsing it yields the same tree.

    >>> from rmetrics.rules.expressions.parsing import parse
    >>> sql_of(parse("NOT (a=1 or b   like 'x%') and c<>'y'"))
    "NOT (a = 1 OR b LIKE 'x%') AND c <> 'y'"
    """
    match node:
        case tree.ColumnName(name):
            return name if set(name) <= _PLAIN_NAME else '"' + name.replace('"', '""') + '"'
        case tree.Text(value):
            return _text(value)
        case tree.Number(value):
            return f"{value:f}"
        case tree.Truth(value):
            return "TRUE" if value else "FALSE"
        case tree.Null():
            return "NULL"
        case tree.Moment(word, text):
            return f"{word} {_text(text)}"
        case tree.Call(name, args):
            return f"{name}({', '.join(sql_of(a) for a in args)})"
        case tree.Case():
            return _case(node)
        case tree.Sum(terms):
            return _sum(terms)
        case tree.Chain(parts):
            return " || ".join(_inner(p) for p in parts)
        case _:
            return _condition(node)


def _condition(
    node: tree.Joined | tree.Not | tree.Comparison | tree.In | tree.Between | tree.Like | tree.IsNull | tree.IsTruth,
) -> str:
    match node:
        case tree.Joined(word, parts):
            return f" {word} ".join(f"({sql_of(p)})" if isinstance(p, tree.Joined) else sql_of(p) for p in parts)
        case tree.Not(part):
            return f"NOT {_inner(part)}"
        case tree.Comparison(sign, left, right):
            return f"{_inner(left)} {sign} {_inner(right)}"
        case tree.In(value, candidates, negated):
            return f"{_inner(value)} {'NOT ' if negated else ''}IN ({', '.join(_inner(a) for a in candidates)})"
        case tree.Between(value, low, high):
            return f"{_inner(value)} BETWEEN {_inner(low)} AND {_inner(high)}"
        case tree.Like(value, pattern, escape, negated, any_case):
            like = f"{'NOT ' if negated else ''}{'ILIKE' if any_case else 'LIKE'}"
            return f"{_inner(value)} {like} {_inner(pattern)}" + (f" ESCAPE {_text(escape)}" if escape else "")
        case tree.IsNull(value, negated):
            return f"{_inner(value)} IS {'NOT ' if negated else ''}NULL"
        case tree.IsTruth(value, truth, negated):
            return f"{_inner(value)} IS {'NOT ' if negated else ''}{'TRUE' if truth else 'FALSE'}"


def _inner(node: tree.Node) -> str:
    """Returns an operand, in parentheses if it is an operation."""
    simple = tree.ColumnName | tree.Text | tree.Number | tree.Truth | tree.Null | tree.Moment | tree.Call | tree.Case
    return sql_of(node) if isinstance(node, simple) else f"({sql_of(node)})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _case(node: tree.Case) -> str:
    subject = f" {_inner(node.subject)}" if node.subject is not None else ""
    whens = "".join(f" WHEN {sql_of(c)} THEN {sql_of(v)}" for c, v in node.whens)
    return f"CASE{subject}{whens}" + (f" ELSE {sql_of(node.otherwise)}" if node.otherwise is not None else "") + " END"


def _sum(terms: tuple[tuple[bool, tree.Node], ...]) -> str:
    first, *rest = terms
    start = _inner(first[1]) if first[0] else f"- {_inner(first[1])}"
    return start + "".join(f" {'+' if plus else '-'} {_inner(term)}" for plus, term in rest)
