"""Turns a server's response into rows of text. Pure.

Every number stays the text that the server sent, in JMESPath too, so that no digit is lost.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import jmespath

from rmetrics.concealed import concealed_in_rows
from rmetrics.rules.pulls import ListPull

Row = dict[str, str]
_PAGE = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_MAX_DIGITS = 60


class UnusableAnswerError(Exception):
    """A response that cannot be used; the next attempt may bring a usable one."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """The content of one response.

    Attributes:
        rows: cells by header.
        total: number of rows in the whole list as declared by the server; None without one.
        next: cursor of the next page; None on the last one.
    """

    rows: tuple[Row, ...]
    total: int | None = None
    next: str | None = None


def exact_json(body: bytes) -> Any:
    """Parses a JSON document, keeping each number as its exact text.

    Raises:
        UnusableAnswerError: it is not JSON or is cut off, or an object has a key twice.
    """
    if _PAGE.match(body[:200]):
        raise UnusableAnswerError("is a web page, not JSON: a login may be required")
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_number,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError:
        raise UnusableAnswerError("is not UTF-8 text") from None
    except RecursionError:
        raise UnusableAnswerError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        cut = "is truncated" if error.pos >= len(error.doc.rstrip()) - 1 else "is not JSON"
        raise UnusableAnswerError(f"{cut} ({len(body):,} bytes)") from None


def _number(text: str) -> str:
    if "e" not in text and "E" not in text:
        return text
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > _MAX_DIGITS:
        raise UnusableAnswerError("has a number that is too large")
    return format(value, "f")


def _no_number(text: str) -> str:
    raise UnusableAnswerError(f"has {text} as a number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnusableAnswerError("has an object with the same key twice")
    return found


def found(path: str | None, document: Any) -> Any:
    """Evaluates a JMESPath; None without a path.

    Raises:
        UnusableAnswerError: the path does not apply to the document.
    """
    if path is None:
        return None
    try:
        return jmespath.search(path, document)
    except jmespath.exceptions.JMESPathError as error:
        raise UnusableAnswerError(f"does not fit {path!r}: {type(error).__name__}") from None


def read_page(pull: ListPull, document: Any) -> ListPage:
    """Extracts rows, total and cursor from one response.

    Raises:
        UnusableAnswerError: the response reports an error, or rows, total or cursor are not as declared.
    """
    if pull.failed and found(pull.failed, document):
        raise UnusableAnswerError(f"reports an error under {pull.failed}")
    rows = found(pull.rows, document)
    if not isinstance(rows, list):
        raise UnusableAnswerError(f"has no list under {pull.rows}")
    if not all(isinstance(r, dict) for r in rows):
        raise UnusableAnswerError(f"has values that are not objects under {pull.rows}")
    return ListPage(tuple(_row(pull, r) for r in rows), _total(pull, document), _next(pull, document))


def _total(pull: ListPull, document: Any) -> int | None:
    if pull.total is None:
        return None
    value = found(pull.total, document)
    if not isinstance(value, str) or not value.isdecimal():
        raise UnusableAnswerError(f"has no number under {pull.total}")
    return int(value)


def _next(pull: ListPull, document: Any) -> str | None:
    paging = pull.paging
    if paging.next is None:
        return None
    value = found(paging.next, document)
    if paging.more is not None:
        more = found(paging.more, document)
        if not isinstance(more, bool):
            raise UnusableAnswerError(f"has neither true nor false under {paging.more}")
        if more and not value:
            raise UnusableAnswerError(f"announces more rows, but has nothing under {paging.next}")
        value = value if more else None
    if value is None or value is False or value == "":
        return None
    if not isinstance(value, str):
        raise UnusableAnswerError(f"has no text under {paging.next}")
    return str(value)


# -- rows


def flattened(value: Mapping[str, Any], prefix: str = "") -> Row:
    """Flattens an object: nested keys joined by a dot, lists of plain values by a comma, other lists as JSON.

    >>> flattened({"id": "1", "client": {"zip": "02139"}, "tags": ["a", "b"], "paid": True, "note": None})
    {'id': '1', 'client.zip': '02139', 'tags': 'a, b', 'paid': 'true', 'note': ''}
    """
    row: Row = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            row |= flattened(inner, f"{prefix}{key}.")
        else:
            row[f"{prefix}{key}"] = cell(inner)
    return row


def cell(value: Any) -> str:
    """Converts a value to text."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return concealed_in_rows(str(value).replace("\x00", "\ufffd"))
        case list() if not any(isinstance(v, list | dict) for v in value):
            return ", ".join(cell(v) for v in value)
        case list() | dict():
            return concealed_in_rows(json.dumps(value, ensure_ascii=False))
        case _:
            return str(value)


def _row(pull: ListPull, value: Mapping[str, Any]) -> Row:
    row = {h: cell(found(p, value)) for h, p in pull.columns.items()} if pull.columns else flattened(value)
    for header, decimals in pull.scale.items():
        if row.get(header):
            row[header] = _scaled(header, row[header], decimals)
    for header in pull.stamps:
        if row.get(header) and pull.zone:
            row[header] = _zoned(header, row[header], ZoneInfo(pull.zone))
    return row


def _scaled(header: str, text: str, decimals: int) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise UnusableAnswerError(f"has a value that is not a number in {header}") from None
    if not value.is_finite() or len(value.as_tuple().digits) > _MAX_DIGITS:
        raise UnusableAnswerError(f"has a value that is not a number in {header}")
    sign, digits, exponent = value.as_tuple()
    plain = format(Decimal((sign, digits, int(exponent) - decimals)), "f")
    integer, _, rest = plain.partition(".")
    rest = rest.rstrip("0")
    return f"{integer}.{rest.ljust(2, '0')}"


def _zoned(header: str, text: str, zone: ZoneInfo) -> str:
    try:
        stamp = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UnusableAnswerError(f"has a time in {header} that is not in the form 2026-01-31T23:30:00") from None
    return text if stamp.tzinfo else stamp.replace(tzinfo=zone).isoformat(sep=" ")


def headers_of(pull: ListPull, rows: Sequence[Row]) -> tuple[str, ...]:
    """Returns the columns of a file with these rows: as declared, otherwise in order of appearance."""
    return tuple(pull.columns) or tuple(dict.fromkeys(h for row in rows for h in row))
