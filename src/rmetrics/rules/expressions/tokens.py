"""The words and signs that an expression may contain, and its preparation for the parser.

The parser accepts all of SQL and much that is not SQL, so the tokens are filtered first: a word is a keyword, an
available function, or else the name of a column; any other sign is refused by name. Column names are quoted and
function names marked before parsing, so that a column called ``date`` or ``method`` is always a column.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmetrics.rules.expressions.functions import FUNCTIONS
from rmetrics.rules.expressions.refusal import RefusedExpressionError, clipped
from rmetrics.rules.suggest import did_you_mean

CALL = "rmetrics_"  # prefix of function names during parsing
MAX_DEPTH = 20  # the parser recurses, about 30 calls per level
MOMENTS = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPTZ"})

KEYWORDS = frozenset({
    "AND", "OR", "NOT", "IN", "IS", "NULL", "TRUE", "FALSE", "BETWEEN", "LIKE", "ILIKE", "CASE", "WHEN", "THEN", "ELSE",
    "END", "DISTINCT", "FROM",
})  # fmt: skip
SIGNS = frozenset({"(", ")", ",", "=", "<>", "!=", "<", "<=", ">", ">=", "+", "-", "||"})
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_COMMENT = re.compile(r"\s*(?:--[^\n]*(?:\n|$)\s*|/\*(?!\+).*?\*/\s*)*", re.DOTALL)
_WRONG_SIGNS: Mapping[str, str] = {
    "==": "write = to compare two values",
    "&&": "write AND",
    "|": "write OR between conditions, || to join texts",
    "&": "write AND",
    "!": "write NOT",
    "=<": "write <=",
    "=>": "write >=",
    ">>": "write > to compare two values",
    "<<": "write < to compare two values",
    ";": "an expression has no ; give one expression over the row",
    "::": "casts are not supported; compare with a value of the column's own kind",
    "*": "* is not supported, as results would have to be rounded; use + and -, or compare with the computed number",
    "/": "/ is not supported, as results would have to be rounded; use + and -, or compare with the computed number",
    "//": "// is not supported; use + and -",
    "%": "% stands for any text in LIKE '...'; the remainder of a division is not supported",
    "**": "powers are not supported; use + and -",
    "^": "powers are not supported; use + and -",
    "~": "regular expressions are not supported; use LIKE with % and _, starts_with, ends_with or contains",
    "~~": "write LIKE",
    "!~~": "write NOT LIKE",
    "?": "parameters have no value here; write the value itself",
    "$": "parameters have no value here; write the value itself",
    "@": "parameters have no value here; write the value itself",
    ":": "parameters have no value here; write the value itself",
    ".": "name the column without a table; a number needs a digit on both sides of the point",
    "[": "lists are not supported; write IN ('a', 'b')",
    "{": "structures are not supported",
    "\\": "a backslash has no meaning outside '...'; a quote inside text is written twice: 'Joe''s'",
    "`": "write a column without quotes or in double quotes, text in single quotes: '...'",
    "#": "a comment begins with --",
}
_CLOCK = "it depends on the time, but the same data must give the same figures on any day; compare with DATE '...'"
_REGEX = "regular expressions are not supported; use LIKE with % and _, starts_with, ends_with or contains"
_WINDOW = "a window function reaches beyond the row"
_CAST = "casts are not supported; compare with a value of the column's own kind"
_ROUND = "it is not supported, because results would have to be rounded"
_WRONG_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("select", "with", "exists", "any", "all", "some", "union"), "a subquery reaches beyond the row"),
    **dict.fromkeys(("over", "row_number", "rank", "dense_rank", "lag", "lead", "ntile", "first_value"), _WINDOW),
    **dict.fromkeys(("cast", "try_cast", "convert", "to_char", "to_date", "strptime", "strftime", "date_format",
                     "try_convert", "text", "integer", "numeric", "decimal", "int"), _CAST),
    **dict.fromkeys(("date", "to_timestamp", "date_trunc", "datetrunc"),
                    "a timestamp compared with a date already means its business day; compare it with DATE '...'"),
    **dict.fromkeys(("now", "today", "getdate", "sysdate", "current_date", "current_timestamp", "current_time",
                     "localtime", "localtimestamp", "get_current_timestamp"), _CLOCK),
    **dict.fromkeys(("random", "uuid", "gen_random_uuid", "nextval"), "it returns a different value each time"),
    **dict.fromkeys(("regexp", "rlike", "regexp_matches", "regexp_full_match", "regexp_replace", "glob", "similar"),
                    _REGEX),
    **dict.fromkeys(("round", "floor", "ceil", "ceiling", "div", "mod", "power", "sqrt"), _ROUND),
    **dict.fromkeys(("if", "iif", "iff", "ifelse", "decode"), "write CASE WHEN ... THEN ... ELSE ... END"),
    **dict.fromkeys(("ifnull", "nvl", "isnull"), "write coalesce(a, b), or a IS NULL"),
    **dict.fromkeys(("len", "char_length", "strlen"), "write length(text)"),
    **dict.fromkeys(("lcase", "ucase"), "write lower(text) or upper(text)"),
    **dict.fromkeys(("dayofweek", "weekday", "dow", "dayname"), "write isodow(date): Monday is 1, Sunday is 7"),
    **dict.fromkeys(("extract", "date_part", "datepart"), "write year(date), month(date), day(date), hour(timestamp)"),
    **dict.fromkeys(("instr", "position", "strpos", "charindex"), "write contains(text, 'part')"),
    **dict.fromkeys(("left", "right", "substring", "substr"), "write starts_with or ends_with, or LIKE"),
    **dict.fromkeys(("interval",), "intervals are not supported; compare with DATE '...', or subtract dates for days"),
    **dict.fromkeys(("collate",), "collations are not supported; texts are compared letter by letter"),
}  # fmt: skip
_NEVER_COLUMNS = frozenset({"select", "collate", "current_date", "current_timestamp"})  # reserved, never column names
_AGGREGATES = frozenset({
    "sum", "count", "avg", "min", "max", "first", "last", "any_value", "list", "string_agg", "bool_and", "bool_or",
    "median", "mode", "quantile", "stddev", "array_agg", "group_concat",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token: its text as written, its first and last position, and the tokenizer's type for it."""

    text: str
    start: int
    end: int
    kind: str


def prepared(text: str, tokenize: Callable[[str], Sequence[Any]]) -> str:
    """Returns the text prepared for the parser: columns quoted, functions marked, comments removed.

    Args:
        text: the user's text.
        tokenize: the parser's tokenizer; raises ValueError.

    Raises:
        RefusedError: the text contains a word or sign that is not part of the language.
    """
    _check_characters(text)
    pieces = _pieces(text, tokenize)
    _check_gaps(text, pieces)
    _check_depth(pieces)
    return " ".join(_normalised(pieces))


def _check_characters(text: str) -> None:
    if "\x00" in text:
        raise RefusedExpressionError("contains a NUL character; remove it")
    outside = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", " ", text)
    for quotes, right in (("\u2018\u2019\u201a\u201b\u00b4", "'text'"), ("\u201c\u201d\u201e\u00ab\u00bb", "'text'")):
        for quote in quotes:
            if quote in outside:
                raise RefusedExpressionError(
                    f"{quote} is a typographic quote; put text in straight single quotes: {right}"
                )
    for dash in "\u2212\u2013\u2014":
        if dash in outside:
            raise RefusedExpressionError(f"{dash} is a typographic dash; write -")


def _pieces(text: str, tokenize: Callable[[str], Sequence[Any]]) -> list[_Piece]:
    try:
        tokens = tokenize(text)
    except ValueError as error:
        if "\\'" in text:
            raise RefusedExpressionError(
                "a backslash does not escape a quote; a quote inside text is written twice: 'Joe''s'"
            ) from error
        raise RefusedExpressionError("is not an SQL expression: a quote or a comment is not closed") from error
    return [_Piece(text[t.start : t.end + 1], t.start, t.end, t.token_type.name) for t in tokens]


def _check_gaps(text: str, pieces: Sequence[_Piece]) -> None:
    """Refuses text skipped by the tokenizer, unless it is white space or an SQL comment."""
    ends = [-1, *(p.end for p in pieces)]
    starts = [*(p.start for p in pieces), len(text)]
    for end, start in zip(ends, starts, strict=True):
        if not _COMMENT.fullmatch(text[end + 1 : start]):
            raise RefusedExpressionError(
                f"{clipped(text[end + 1 : start])!r} is not part of an expression; a comment begins with --"
            )
    if not pieces:
        raise RefusedExpressionError("is empty: write an expression over the row")


def _check_depth(pieces: Sequence[_Piece]) -> None:
    depth = prefixes = 0
    for piece in pieces:
        word = piece.text.upper()
        prefixes = prefixes + 1 if word in {"NOT", "-", "+"} else 0
        depth += (word in {"(", "CASE"}) - (word in {")", "END"})
        if max(depth, prefixes) > MAX_DEPTH:
            raise RefusedExpressionError(
                f"is nested more than {MAX_DEPTH} levels deep; split it, or use derived columns (sql)"
            )


def _normalised(pieces: Sequence[_Piece]) -> Iterator[str]:
    for i, piece in enumerate(pieces):
        before = pieces[i - 1] if i else None
        after = pieces[i + 1] if i + 1 < len(pieces) else None
        yield _one(piece, before, after)


def _one(piece: _Piece, before: _Piece | None, after: _Piece | None) -> str:
    """Returns one token in its prepared form."""
    text = piece.text
    if text.startswith("'") and piece.kind == "STRING":
        if before is not None and before.kind in {"STRING", "BYTE_STRING"}:
            both = f"{clipped(before.text)} {clipped(text)}"
            raise RefusedExpressionError(f"two adjacent texts: {both}; write IN ('a', 'b') or join them with ||")
        if before is not None and before.end + 1 == piece.start and _WORD.fullmatch(before.text):
            raise RefusedExpressionError(
                f"{clipped(before.text + text)}: write text in single quotes, without a letter before them"
            )
        return f"{text})" if before is not None and before.text.upper() in MOMENTS else text
    if text.startswith('"'):
        return f'"{CALL}{text[1:]}'
    if piece.kind == "NUMBER":
        return _number(text, after)
    if _WORD.fullmatch(text):
        return _word(text, before, after)
    return _sign(text, after)


def _number(text: str, after: _Piece | None) -> str:
    if not _NUMBER.fullmatch(text) or (after is not None and _WORD.fullmatch(after.text) and after.text[0] in "_xX"):
        raise RefusedExpressionError(f"{text} is not a number; use a form such as 1200 or 12.50")
    return text


def _sign(text: str, after: _Piece | None) -> str:
    pair = text + (after.text if after is not None and after.text in {"<", ">"} else "")
    for found in (pair, text):
        if found in _WRONG_SIGNS:
            raise RefusedExpressionError(f"found {found} : {_WRONG_SIGNS[found]}")
    if text in SIGNS:
        return text
    near = next((v for k, v in _WRONG_SIGNS.items() if text.startswith(k)), "")
    raise RefusedExpressionError(f"{clipped(text)!r} is not part of an expression{': ' + near if near else ''}")


def _word(text: str, before: _Piece | None, after: _Piece | None) -> str:
    word, following = text.upper(), after.text if after is not None else ""
    literal = after is not None and after.kind == "STRING"
    if word in {"DISTINCT", "FROM"}:
        return _distinct(word, before)
    if word in KEYWORDS:
        return word
    if word in MOMENTS and literal:
        return f"{CALL}{word}("
    if word == "ESCAPE" and literal:
        return word
    if following == "(":
        return _function(text)
    if following == ".":
        raise RefusedExpressionError(f"found {text}. : name the column without a table")
    if text.lower() in _NEVER_COLUMNS or (literal and text.lower() in {"interval", "glob"}):
        raise RefusedExpressionError(f"found {text} : {_WRONG_WORDS[text.lower()]}")
    if word in {"ISNULL", "NOTNULL", "UNKNOWN"}:
        raise RefusedExpressionError(f"{text}: write IS NULL or IS NOT NULL")
    return f'"{text}"'


def _distinct(word: str, before: _Piece | None) -> str:
    wanted = {"IS", "NOT"} if word == "DISTINCT" else {"DISTINCT"}
    if before is None or before.text.upper() not in wanted:
        raise RefusedExpressionError(
            f"{word} is allowed only in IS DISTINCT FROM and IS NOT DISTINCT FROM; a subquery reaches beyond the row"
        )
    return word


def _function(text: str) -> str:
    name = text.lower()
    if name in FUNCTIONS:
        return CALL + name
    if name in _AGGREGATES:
        raise RefusedExpressionError(f"{name}() is an aggregate and reaches beyond the row")
    if name in _WRONG_WORDS:
        raise RefusedExpressionError(f"{name}(): {_WRONG_WORDS[name]}")
    near = did_you_mean(name, FUNCTIONS, near=True)
    raise RefusedExpressionError(
        f"{name}() is not a function of the rules{near}; functions: {', '.join(sorted(FUNCTIONS))}"
    )
