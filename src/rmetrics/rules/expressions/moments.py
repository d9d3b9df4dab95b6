"""Dates and timestamps as written in expressions."""

import datetime as dt
import re
from zoneinfo import ZoneInfo

from rmetrics.rules.expressions.refusal import RefusedExpressionError, clipped

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


def looks_like_day(text: str) -> bool:
    """Whether a text has the form of a date."""
    return _DAY.fullmatch(text) is not None


def looks_like_moment(text: str) -> bool:
    """Whether a text has the form of a date with a time of day."""
    return _MOMENT.fullmatch(text) is not None


def day_of(text: str) -> dt.date:
    """Parses a date such as ``2024-11-03``.

    Raises:
        RefusedError: the text has another form, or there is no such day.
    """
    if not looks_like_day(text):
        hint = "; with a time of day, write TIMESTAMP '...'" if looks_like_moment(text) else ""
        raise RefusedExpressionError(f"'{clipped(text)}' is not a date: use the form DATE '2024-11-03'{hint}")
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise RefusedExpressionError(f"'{text}' is not a date: there is no such day") from error


def instant_of(text: str, zone: str, word: str) -> dt.datetime:
    """Parses a timestamp such as ``2024-11-03 14:30:00`` as UTC; without an offset it is local time in the zone.

    Raises:
        RefusedError: the text has another form, there is no such time, or the local time is ambiguous or skipped.
    """
    found = _MOMENT.fullmatch(f"{text} 00:00" if looks_like_day(text) else text)
    if found is None:
        raise RefusedExpressionError(f"'{clipped(text)}' is not a timestamp: use the form {word} '2024-11-03 14:30:00'")
    day, clock, offset = found.groups()
    try:
        naive = dt.datetime.fromisoformat(f"{day} {clock}")
        if offset is not None:
            return dt.datetime.fromisoformat(f"{naive.isoformat()}{_colon(offset)}").astimezone(dt.UTC)
        return _from_wall_clock(naive, zone, text)
    except (ValueError, OverflowError) as error:
        raise RefusedExpressionError(f"'{text}' is not a timestamp: there is no such time") from error


def _colon(offset: str) -> str:
    plain = offset.replace(":", "").replace("Z", "+00")
    return f"{plain[:3]}:{plain[3:] or '00'}"


def _from_wall_clock(naive: dt.datetime, zone: str, text: str) -> dt.datetime:
    first, second = (naive.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        back = first.astimezone(dt.UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        times = "twice" if back == naive else "at no time"
        forms = " or ".join(sorted({f"TIMESTAMPTZ '{text}{t.isoformat()[-6:]}'" for t in (first, second)}))
        raise RefusedExpressionError(f"the clocks of {zone} showed '{text}' {times}: add the offset, {forms}")
    return first.astimezone(dt.UTC)
