"""Explains why a cell is not a date, and names the form that would read it. One cell at a time, in plain Python."""

import calendar
import datetime as dt
import re
from collections.abc import Iterator
from functools import lru_cache

from rmetrics.ingest.timestamps import FIRST_YEAR, LAST_YEAR, PIVOT, SERIAL, SLASHED, ParseContext, orders_of, zone_of
from rmetrics.rules.date_forms import EXCEL, ISO_TIME, MONTHS, US, WEEKDAYS, Form, describe, forms_of
from rmetrics.rules.feeds import Column, ColumnType

_KIND_NAMES = {ColumnType.TIMESTAMP: "date and time", ColumnType.DATE: "date", ColumnType.MONTH: "month"}
# Forms found in exports, tried when no declared form matches: each date with each time, in this order.
_DAYS = (
    "%m/%d/%Y", "%m/%d/%y", "%d/%m/%Y", "%d/%m/%y", "%Y/%m/%d", "%m-%d-%Y", "%d-%m-%Y", "%m-%d-%y", "%d-%m-%y",
    "%d.%m.%Y", "%d.%m.%y", "%m.%d.%Y", "%Y.%m.%d", "%Y%m%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %b %y",
    "%d/%b/%Y", "%d. %b %Y", "%d %b, %Y", "%b %d, %Y", "%b %d %Y", "%b %d, %y", "%b-%d-%Y", "%b/%d/%Y", "%b %o, %Y",
    "%b %o %Y", "%o %b %Y", "%Y %b %d", "%Y-%b-%d", "%a, %b %d, %Y", "%a %b %d, %Y", "%a %b %d %Y", "%a, %d %b %Y",
    "%a %d %b %Y", "%a, %d-%b-%Y", "%a %m/%d/%Y", "%a, %m/%d/%Y", "%a %d/%m/%Y", "%a %b %o", "%a %b %d", "%a, %b %d",
    "%a, %b %o", "%a %d %b", "%Y-%m-%d", "%Y-%d-%m",
)  # fmt: skip
_TIMES = (
    "", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S%.f", " %H:%M %z", " %H:%M:%S %z",
    " %I:%M %p %Z", " %I:%M:%S %p %Z", " %H.%M", " %H.%M.%S", " %I %p", "T%H%M%S", "%H%M%S", ":%H:%M:%S %z",
)  # fmt: skip
_JOINS = ("", ",", " at", " -", "T")
_MONTHS = ("%b %Y", "%b-%y", "%b-%Y", "%m/%Y", "%m-%Y", "%m.%Y", "%Y/%m", "%Y.%m", "%Y%m", "%Y %b", "%b %y", "%m/%y")
_CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([ap]\.?\s?m\.?)?$", re.IGNORECASE)
_WITHOUT_YEAR = re.compile(r"^[0-9]{1,2}[/.-][0-9]{1,2}$")


def date_reason(value: str, column: Column, reading: ParseContext | None = None) -> str:
    """Why a cell is not a date, as text that follows the header's name.

    Args:
        value: the cell, clean.
        column: as declared.
        reading: the context it was read in; None if only forms can be at fault.
    """
    fault = _declared_fault(value, column)
    if fault:
        return fault
    where = f"the formats of {reading.column if reading else 'this column'}"
    known = [(form, _fault(found, form)) for form, found in _known(value, column)]
    right = [form for form, fault in known if fault is None]
    if right:
        message = f"it looks like {describe(right[0].text)} (such as {_example(right[0].text)}); "
        message += f'add "{right[0].text}" to {where}'
        other = next((f for f in right if right[0].order and f.order and f.order[1] != right[0].order[1]), None)
        if other is not None and other.order is not None:
            message += f', or "{other.text}" if the {"day" if other.order[1] == "dm" else "month"} comes first'
        return f"has none of the declared formats: {message}"
    if known:
        return f"is not a {_KIND_NAMES[column.type]}: {known[0][1]}"
    if re.match(SERIAL, value) and EXCEL not in column.formats:
        message = f'it looks like an Excel serial number; add "{EXCEL}" to {where}'
        return f"has none of the declared formats: {message}"
    return _plain_reason(value, column)


def _plain_reason(value: str, column: Column) -> str:
    what = _KIND_NAMES[column.type]
    if _CLOCK.match(value):
        return f"is not a {what}: it is a time without a date"
    if _WITHOUT_YEAR.match(value):
        return f"is not a {what}: it has no year"
    first = "2026-07" if column.type is ColumnType.MONTH else "2026-07-31"
    known = ", ".join(dict.fromkeys([first, *(_example(f) for f in column.formats)]))
    return f"is not a {what} in a form this feed knows (such as {known})"


def _example(form: str) -> str:
    """An example of a form, for users who do not know its specifiers."""
    if form == US:
        return "7/31/2026 11:30 PM, Jul 31, 2026"
    if form == EXCEL:
        return "46234"
    day = dt.datetime(2026, 7, 31, 23, 30, 15, tzinfo=dt.UTC)
    plain = {"%o": "31st", "%h": "Jul", "%P": "pm", "%k": "23", "%l": "11", "%e": "31", "%.f": ".5", "%f": "5"}
    for specifier, text in plain.items():
        form = form.replace(specifier, text)
    return day.strftime(form)


def _declared_fault(value: str, column: Column) -> str | None:
    """The fault of a cell that has a declared form."""
    month = column.type is ColumnType.MONTH and re.fullmatch(r"[0-9]{4}-[0-9]{2}", value)
    forms = [ISO_TIME, *(f for f in forms_of(column.formats, column.type) if f.pattern)]
    found = [(f, m.groupdict()) for f in forms if (m := _compiled(f).search(f"{value}-01" if month else value))]
    without_year = "in no year up to the export does this day fall on that weekday"
    faults = [_fault(g, f) or (None if f.fields & {"Y", "y", "s"} else without_year) for f, g in found]
    slashed = SLASHED.match(value)
    orders = orders_of(column).get(slashed[2], set()) if slashed else set()
    if slashed and orders and (None in faults or _other_way(slashed, orders, column)):
        first, second = int(slashed[1]), int(slashed[3])
        if first <= 12 and second <= 12 and first != second:
            return (
                "has a day and month that could be in either order in this file; export it again without re-saving it"
            )
        if None not in faults:
            right, wrong = ("7/31/2026", "31/7/2026") if "md" in orders else ("31/7/2026", "7/31/2026")
            separator = slashed[2]
            return (
                f"has day and month in a different order than this feed declares: it has the form "
                f"{wrong.replace('/', separator)}, the feed has {right.replace('/', separator)}; see its formats"
            )
    fault = next((f for f in faults if f is not None), None)
    return f"is not a {_KIND_NAMES[column.type]}: {fault}" if fault and None not in faults else None


def _other_way(slashed: re.Match[str], orders: set[str], column: Column) -> bool:
    """Whether the cell would match a declared form with day and month swapped."""
    other = f"{slashed[3]}{slashed[2]}{slashed[1]}{slashed.string[slashed.end(3) :]}"
    forms = [f for f in forms_of(column.formats, column.type) if f.order]
    return len(orders) == 1 and any((m := _compiled(f).search(other)) and not _fault(m.groupdict(), f) for f in forms)


@lru_cache(maxsize=4096)  # the cache of re is far smaller than the number of forms tried
def _compiled(form: Form, *, begin: bool = True, end: bool = True) -> re.Pattern[str]:
    return re.compile(form.pattern[not begin :] if end else form.pattern[not begin : -1])


def _known(text: str, column: Column) -> Iterator[tuple[Form, dict[str, str | None]]]:
    """The known export forms whose shape the cell has, with its fields."""
    for form in _of_shape(re.sub("[0-9]", "0", text), column.type):
        if found := _compiled(form).search(text):
            yield form, found.groupdict()


@lru_cache(maxsize=4096)
def _of_shape(shape: str, kind: ColumnType) -> tuple[Form, ...]:
    """The forms of this shape.

    Of the thousands of combinations, builds only those whose date matches the start and whose time matches the end.
    """
    days = [d for d in _DAYS if _compiled(_form(d, kind), end=False).search(shape)]
    times = [t for t in _TIMES if not t or _compiled(_form(t, kind), begin=False).search(shape)]
    texts = [f"{d}{j}{t}" for d in days for t in times for j in (_JOINS if t.startswith(" ") else ("",))]
    texts = [*(_MONTHS if kind is ColumnType.MONTH else ()), *(t.replace("T ", "T") for t in texts)]
    return tuple(f for t in texts if _compiled(f := _form(t, kind)).search(shape))


def _form(text: str, kind: ColumnType) -> Form:
    return forms_of((text,), kind)[0]


# -- one cell's fields


def _fault(groups: dict[str, str | None], form: Form) -> str | None:
    """The fault in a cell's fields; None if there is none."""
    numbers = {n: int(t) for n, t in groups.items() if t and n in "YymdjHIMS"}
    return _wrong_day(numbers, groups) or _wrong_time(numbers, groups, form)


def _wrong_day(numbers: dict[str, int], groups: dict[str, str | None]) -> str | None:
    short = numbers.get("y")
    year = numbers.get("Y") if short is None else short + (2000 if short < PIVOT else 1900)
    name = (groups.get("b") or "")[:3].lower()
    month = MONTHS.index(name) + 1 if name in MONTHS else numbers.get("m", 1)
    day = numbers.get("d", 1)
    if not 1 <= month <= 12:
        return f"there is no month {month}"
    longest = calendar.monthrange(2000 if year is None or year < 1 else year, month)[1]
    if not 1 <= day <= longest:
        in_year = f" {year}" if month == 2 and year is not None else ""
        return f"{calendar.month_name[month]}{in_year} has {longest} days, not {day}" if day else "there is no day 0"
    if year is None:
        return None
    if not FIRST_YEAR <= year <= LAST_YEAR:
        given = f"{year}" if short is None else f"{year} (written with two digits)"
        return f"the year {given} is not between {FIRST_YEAR} and {LAST_YEAR}"
    stated = (groups.get("a") or "")[:3].lower()
    weekday = dt.date(year, month, day).weekday()
    if stated and WEEKDAYS[weekday] != stated:
        return f"{year}-{month:02}-{day:02} is a {calendar.day_name[weekday]}"
    return None


def _wrong_time(numbers: dict[str, int], groups: dict[str, str | None], form: Form) -> str | None:
    hour = numbers.get("I", numbers.get("H"))
    half = groups.get("p")
    if hour is None:
        return None
    if half is None and hour == 24:
        return "there is no hour 24; midnight is 0:00 of the next day"
    if not (1 <= hour <= 12 if half else hour <= 23):
        return f"there is no hour {hour}" + (f" {half.upper()}M" if half else "")
    for name, what in (("M", "minute"), ("S", "second")):
        if numbers.get(name, 0) > 59:
            return f"there is no {what} {numbers[name]}"
    if "M" in form.fields and "M" not in numbers and not half:
        return "the time has no minutes"
    zone = groups.get("z")
    if zone and zone_of(zone) is None:
        return (
            f"the time zone {zone!r} is unknown: UTC, GMT, American zones such as EST, EDT and ET, offsets such as "
            "-0500 and IANA names are known"
        )
    return None


__all__ = ["date_reason"]
