"""A tree as a sentence; ``None`` if a part has no plain words."""

from rmetrics.rules.expressions import tree

_COMPARED: dict[tree.Sign, str] = {
    "=": "is",
    "<>": "is filled and is not",
    "IS DISTINCT FROM": "is not",
    "IS NOT DISTINCT FROM": "is",
    ">": "is more than",
    "<": "is less than",
    ">=": "is at least",
    "<=": "is at most",
}
_OF_DAY = {"year": "the year", "month": "the month", "day": "the day of the month", "hour": "the hour"}


def sentence(node: tree.Node) -> str | None:
    """Returns a whole condition in words."""
    return _joined(node, top=True) if isinstance(node, tree.Joined) else _words(node)


def _words(node: tree.Node) -> str | None:
    match node:
        case tree.Joined():
            return _joined(node, top=False)
        case tree.Comparison(sign, left, right):
            return _filled("{} {} {}", _words(left), _COMPARED[sign], _words(right))
        case tree.Between(value, low, high):
            return _filled("{} is from {} to {}", _words(value), _words(low), _words(high))
        case tree.In(value, candidates, negated):
            options = _listed([_words(a) for a in candidates])
            return _filled("{} is filled and is none of {}" if negated else "{} is {}", _words(value), options)
        case tree.IsNull(value, negated):
            return _filled("{} is filled" if negated else "{} is blank", _words(value))
        case tree.IsTruth(value, truth, negated):
            return _filled("{} is {}{}", _words(value), "not " if negated else "", "true" if truth else "false")
        case tree.Not(part):
            return _filled("not {}", _words(part))
        case tree.Like(value, tree.Text(pattern), escape, negated, any_case):
            return None if escape else _like(_words(value), pattern, negated=negated, any_case=any_case)
        case tree.Call(name, args):
            return _call(name, [_words(a) for a in args])
        case _:
            return _value(node)


def _value(node: tree.Node) -> str | None:
    match node:
        case tree.ColumnName(name):
            return name
        case tree.Text(value):
            return value or '""'
        case tree.Number(value):
            return f"{value:f}"
        case tree.Truth(value):
            return str(value).lower()
        case tree.Null():
            return "blank"
        case tree.Moment(_, text):
            return text
    return None


def _filled(form: str, *parts: str | None) -> str | None:
    """Fills the form with its parts; None if one of them has no words."""
    return None if None in parts else form.format(*parts)


def _joined(node: tree.Joined, *, top: bool) -> str | None:
    parts = [_words(p) for p in node.parts]
    if any(p is None for p in parts):
        return None
    words = (" and " if node.word == "AND" else ", or ").join(p for p in parts if p is not None)
    return words if top else f"({words})"


def _listed(parts: list[str | None]) -> str | None:
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} or {known[-1]}"


def _like(value: str | None, pattern: str, *, negated: bool, any_case: bool) -> str | None:
    if value is None:
        return None
    case = " (in any case)" if any_case else ""
    body = pattern.strip("%")
    if "%" in body or "_" in body:
        return f"{value} is {'filled and not ' if negated else ''}like {pattern}{case}"
    verbs = {(True, True): "contains", (False, True): "begins with", (True, False): "ends with", (False, False): "is"}
    verb = verbs[pattern.startswith("%"), pattern.endswith("%")]
    return f"{value} is filled and not: {verb} {body}{case}" if negated else f"{value} {verb} {body}{case}"


def _call(name: str, args: list[str | None]) -> str | None:
    first, *rest = args
    match name, len(args):
        case (("lower" | "upper"), 1):
            return _filled("{} (in " + name + " case)", first)
        case "trim", 1:
            return _filled("{} (without surrounding spaces)", first)
        case "starts_with", 2:
            return _filled("{} begins with {}", first, rest[0])
        case "ends_with", 2:
            return _filled("{} ends with {}", first, rest[0])
        case "contains", 2:
            return _filled("{} contains {}", first, rest[0])
        case "coalesce", count if count > 1:
            return _filled("{} (if blank, {})", first, _listed(rest))
        case (("year" | "month" | "day" | "hour"), 1):
            return _filled(_OF_DAY[name] + " of {}", first)
        case "isodow", 1:
            return _filled("the weekday of {} (Monday 1 to Sunday 7)", first)
    return None
