"""Patterns of LIKE: ``%`` matches any text, ``_`` one Unicode character, everything else itself."""

from rmetrics.rules.expressions.letters import lowered
from rmetrics.rules.expressions.refusal import RefusedExpressionError, clipped
from rmetrics.rules.expressions.typed import Wildcard

_WILDCARDS = {w.value: w for w in Wildcard}


def pieces_of(pattern: str, escape: str | None, *, any_case: bool) -> tuple[str | Wildcard, ...]:
    """Splits a pattern into its pieces, in order; adjacent literal texts are one piece.

    Args:
        pattern: as written.
        escape: the character that makes the next one literal; None for none.
        any_case: for ILIKE; literal texts are then in lower case.

    Raises:
        RefusedError: an escape character precedes an ordinary character, or a backslash was meant as an escape.

    >>> pieces_of("50!%_%", "!", any_case=False)
    ('50%', <Wildcard.ONE: '_'>, <Wildcard.ANY: '%'>)
    """
    if escape is None and any(f"\\{w}" in pattern for w in _WILDCARDS):
        raise RefusedExpressionError(
            f"'{clipped(pattern)}': a backslash has no meaning in LIKE; declare it: LIKE '...' ESCAPE '\\'"
        )
    pieces: list[str | Wildcard] = []
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            _add(pieces, _escaped(pattern, escape, next(characters, "")))
        elif character in _WILDCARDS:
            if not (pieces and pieces[-1] is Wildcard.ANY and character == "%"):
                pieces.append(_WILDCARDS[character])
        else:
            _add(pieces, character)
    return tuple(lowered(p) if any_case and isinstance(p, str) else p for p in pieces)


def _escaped(pattern: str, escape: str, following: str) -> str:
    if following not in {*_WILDCARDS, escape}:
        raise RefusedExpressionError(f"'{clipped(pattern)}': the escape {escape} must precede %, _ or itself")
    return following


def _add(pieces: list[str | Wildcard], text: str) -> None:
    if pieces and isinstance(pieces[-1], str):
        pieces[-1] += text
    else:
        pieces.append(text)
