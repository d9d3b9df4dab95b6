"""The date forms that a column may declare: the meaning of each specifier, and the reasons to refuse a form.

A form is text such as ``%m/%d/%Y %I:%M %p``, or one of two names: ``us`` (as American spreadsheets write dates) and
``excel`` (serial numbers). It compiles to a regular expression with one named group per field, which both the engine
and Python's ``re`` accept. Only the specifiers in ``SPECIFIERS`` are supported; all others are refused when the rules
load, so that every form that loads can read the values written with it.

The fields: ``Y`` year, ``y`` its last two digits, ``m`` month, ``b`` its name, ``d`` day, ``a`` weekday, ``j`` day of
the year, ``H`` 24-hour clock, ``I`` 12-hour clock, ``M`` minute, ``S`` second, ``f`` fraction, ``p`` the letter a or p,
``z`` zone, ``s`` seconds since 1970. In the ``us`` forms, ``H`` is a 12-hour clock if ``p`` is present.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rmetrics.rules.feeds import ColumnType

US, EXCEL = "us", "excel"
NAMED: Mapping[str, str] = {
    US: "dates as in American spreadsheets: month first, or the name of the month, with or without a time",
    EXCEL: "Excel serial numbers, such as 46000.5",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Each specifier: its meaning, and an example of the text it reads. A test compares the list with docs/rules.md.
SPECIFIERS: Mapping[str, tuple[str, str]] = {
    "%Y": ("year of four digits", "2026"),
    "%y": ("year of two digits: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068", "26"),
    "%m": ("month as a number, with or without a leading zero", "07"),
    "%b": ("name of the month, short or full", "Jul"),
    "%B": ("the same", "July"),
    "%h": ("the same", "Jul"),
    "%d": ("day of the month, with or without a leading zero", "31"),
    "%e": ("the same", "31"),
    "%o": ("day of the month, with or without its ordinal ending", "31st"),
    "%j": ("day of the year", "212"),
    "%a": ("weekday, short or full; it must match the date", "Fri"),
    "%A": ("the same", "Friday"),
    "%H": ("hour, 0 to 23, with or without a leading zero", "23"),
    "%k": ("the same", "23"),
    "%I": ("hour, 1 to 12, with or without a leading zero; needs %p", "11"),
    "%l": ("the same", "11"),
    "%M": ("minute", "30"),
    "%S": ("second", "15"),
    "%f": ("digits of a fraction of a second, after a point in the format", "250"),
    "%.f": ("a fraction of a second with its point, or nothing", ".250"),
    "%p": ("AM or PM, in any case, with or without points", "PM"),
    "%P": ("the same", "pm"),
    "%z": ("offset from UTC, or a zone as under %Z", "-0400"),
    "%Z": ("name of a zone: UTC, GMT, an American one such as EDT or ET, or an IANA name", "EDT"),
    "%s": ("seconds since 1970; not combined with others", "1785555015"),
    "%F": ("short for %Y-%m-%d", "2026-07-31"),
    "%D": ("short for %m/%d/%y", "07/31/26"),
    "%T": ("short for %H:%M:%S", "23:30:15"),
    "%R": ("short for %H:%M", "23:30"),
    "%r": ("short for %I:%M:%S %p", "11:30:15 PM"),
    "%%": ("a percent sign", "%"),
}
_SHORT = {"%F": "%Y-%m-%d", "%D": "%m/%d/%y", "%T": "%H:%M:%S", "%R": "%H:%M", "%r": "%I:%M:%S %p"}
_FIELD = {
    **{s: s[1] for s in ("%Y", "%y", "%m", "%b", "%d", "%j", "%a", "%H", "%I", "%M", "%S", "%p", "%z", "%s", "%f")},
    "%B": "b",
    "%h": "b",
    "%e": "d",
    "%o": "d",
    "%A": "a",
    "%k": "H",
    "%l": "I",
    "%P": "p",
    "%Z": "z",
    "%.f": "f",
}
# Specifiers of other programs that are not supported here, with their replacement.
_INSTEAD: Mapping[str, str] = {
    "%c": "%a %b %d %H:%M:%S %Y",
    "%x": "%m/%d/%y",
    "%X": "%H:%M:%S",
    "%v": "%d-%b-%Y",
    "%C": "%Y",
    "%G": "%Y",
    "%g": "%y",
    "%n": " ",
    "%t": " ",
    "%E": "%Y",
    "%O": "%d",
    "%L": "%f",
    "%N": "%f",
    "%3f": "%f",
    "%6f": "%f",
    "%9f": "%f",
    "%.3f": "%.f",
    "%.6f": "%.f",
    "%.9f": "%.f",
    "%:z": "%z",
    "%::z": "%z",
    "%:::z": "%z",
    "%#z": "%z",
    "%i": "%M",
}
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY = r"mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_OFFSET = r"(?:(?:gmt|utc)\s?)?[+\-\u2212](?:[0-9]{2}:?[0-9]{2}|[0-9]{1,2})"
_ZONE_NAME = r"[a-z]+(?:/[a-z0-9_+\-]+)+|[a-z]+(?: [a-z]+){0,2}"
ZONE = rf"(?:{_OFFSET}(?:\s?\([^()]*\))?|{_ZONE_NAME}|\((?:{_ZONE_NAME})\))"
_HALF = r"(?P<p>[ap])\.?\s?m\b\.?"
_DIGITS = {"Y": "[0-9]{4}", "M": "[0-9]{2}", "S": "[0-9]{2}", "f": "[0-9]{1,9}", "s": "[0-9]{9,10}", "j": "[0-9]{1,3}"}
_WIDTH = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3}
_NUMBERS = frozenset("YymdHIMSfsj")
_CLOCK = frozenset("HIMSfp")
_EXAMPLE = "a format of the specifiers in docs/rules.md, for instance %m/%d/%Y %I:%M %p"
_TOKEN = re.compile(r"%(?:[-_0]?[A-Za-z%]|:{1,3}z|#z|\.[0-9]?f|[0-9]f|.|$)|\s+|[^%\s]+", re.DOTALL)
_DATED = (ColumnType.TIMESTAMP, ColumnType.DATE, ColumnType.MONTH)

# Zones by the names used in exports. A fixed zone is an offset from UTC in hours; a name that does not distinguish
# standard from daylight time maps to a place.
FIXED_ZONES: Mapping[str, int] = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "coordinated universal time": 0, "greenwich mean time": 0,
    "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6, "pst": -8, "pdt": -7,
    "akst": -9, "akdt": -8, "hst": -10, "hdt": -9, "ast": -4, "adt": -3,
    "eastern standard time": -5, "eastern daylight time": -4, "central standard time": -6, "central daylight time": -5,
    "mountain standard time": -7, "mountain daylight time": -6, "pacific standard time": -8,
    "pacific daylight time": -7, "alaska standard time": -9, "alaska daylight time": -8,
    "hawaii standard time": -10, "atlantic standard time": -4, "atlantic daylight time": -3,
}  # fmt: skip
PLACES: Mapping[str, str] = {
    "et": "America/New_York", "ct": "America/Chicago", "mt": "America/Denver", "pt": "America/Los_Angeles",
    "akt": "America/Anchorage", "ht": "Pacific/Honolulu",
    "eastern": "America/New_York", "central": "America/Chicago", "mountain": "America/Denver",
    "pacific": "America/Los_Angeles", "eastern time": "America/New_York", "central time": "America/Chicago",
    "mountain time": "America/Denver", "pacific time": "America/Los_Angeles",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """A compiled form.

    Attributes:
        text: as declared.
        pattern: matches a cell of this form, with a named group per field; "" for serial numbers.
        fields: the names of the groups.
        order: for a form that begins with numeric day and month: the separator, and "md" or "dm".
    """

    text: str
    pattern: str
    fields: frozenset[str]
    order: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    """A specifier (with a field), white space, or other literal text."""

    text: str
    field: str = ""
    flag: str = ""

    @property
    def blank(self) -> bool:
        return not self.field and self.text.isspace()


def forms_of(formats: tuple[str, ...], kind: ColumnType) -> tuple[Form, ...]:
    """Returns the forms of a column in the order they are tried, without ISO, which every column accepts."""
    return tuple(form for text in formats for form in _forms(text, kind))


@lru_cache(maxsize=1024)
def _forms(text: str, kind: ColumnType) -> tuple[Form, ...]:
    if text == EXCEL:
        return (Form(EXCEL, "", frozenset()),)
    if text == US:
        return tuple(_family(kind))
    tokens = _tokens(text)
    return (Form(text, rf"^(?i:{_pattern(tokens)})$", frozenset(t.field for t in tokens if t.field), _order(tokens)),)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    for part in _TOKEN.findall(text):
        flag = part[1] if len(part) == 3 and part[1] in "-_0" else ""
        plain = f"%{part[2]}" if flag else part
        if plain in _SHORT:
            found += _tokens(_SHORT[plain])
        elif plain == "%%":
            found.append(_Token("%"))
        elif part.startswith("%"):
            found.append(_Token(plain, _FIELD.get(plain, "?"), flag))
        else:
            found.append(_Token(part))
    return found


def _pattern(tokens: list[_Token]) -> str:
    parts = []
    for i, token in enumerate(tokens):
        before, after = tokens[i - 1] if i else None, tokens[i + 1] if i + 1 < len(tokens) else None
        if token.blank:
            # White space may only be missing where its neighbours cannot run together: "3 PM", but not "12 30".
            parts.append(r"\s+" if _kind(before, -1) == _kind(after, 0) != "" else r"\s*")
        elif not token.field:
            parts.append(re.escape(token.text))
        else:
            parts.append(_group(token, tight="0" in (_kind(before, -1), _kind(after, 0))))
    return "".join(parts)


def _kind(token: _Token | None, end: int) -> str:
    """Returns "0" if the token starts (``end`` 0) or ends (-1) with a digit, "a" for a letter, "" for anything else."""
    if token is None or token.blank:
        return ""
    if token.field:
        return "" if token.text == "%.f" else "0" if token.field in _NUMBERS else "a"
    return "0" if token.text[end].isdigit() else "a" if token.text[end].isalpha() else ""


def _group(token: _Token, *, tight: bool) -> str:
    name = token.field
    if token.text == "%.f":
        return r"(?:[.,](?P<f>[0-9]{1,9}))?"
    if token.text == "%o":
        return r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?"
    if name == "p":
        return r"\s?" + _HALF
    texts = {"b": rf"(?P<b>{_MONTH})\.?", "a": rf"(?P<a>{_WEEKDAY})\.?", "z": rf"(?P<z>{ZONE})"}
    if name in texts:
        return texts[name]
    # Next to another digit a number must have its full width, or its end would be ambiguous.
    if tight and name in _WIDTH and not token.flag:
        return f"(?P<{name}>[0-9]{{{_WIDTH[name]}}})"
    digits = "[0-9]{1,2}" if token.flag in {"-", "_"} and name in "MS" else _DIGITS.get(name, "[0-9]{1,2}")
    digits = "[0-9]{2}" if name == "y" and not token.flag else digits
    pad = r"\s?" if token.flag == "_" or token.text in {"%e", "%k", "%l"} else ""
    return f"{pad}(?P<{name}>{digits})"


def _order(tokens: list[_Token]) -> tuple[str, str] | None:
    fields = [t for t in tokens if t.field != "a"]
    fields = fields[next((i for i, t in enumerate(fields) if t.field), 0) :]
    if len(fields) < 5 or {fields[0].field, fields[2].field} != {"m", "d"} or fields[4].field not in {"y", "Y"}:
        return None
    first = fields[1].text.strip()
    return (first, fields[0].field + fields[2].field) if first in {"/", "-", "."} and not fields[1].field else None


# -- the forms of American spreadsheets

# An optional time, in any of its forms.
_TIME = (
    rf"(?:(?:,?\s+at\s+|,?\s+|,|t)(?P<H>[0-9]{{1,2}})(?::(?P<M>[0-9]{{2}})(?::(?P<S>[0-9]{{2}})"
    rf"(?:[.,](?P<f>[0-9]{{1,9}}))?)?)?(?:\s*{_HALF})?(?:\s*(?P<z>{ZONE}))?)?"
)
_YEAR = r"(?:(?P<Y>[0-9]{4})|(?P<y>[0-9]{2}))"
_NAMED_DAY = rf"(?:(?P<a>{_WEEKDAY})\.?,?\s+)?"
_ORDINAL = r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?"
_US_DAYS: tuple[tuple[str, str, tuple[str, str] | None], ...] = (
    (rf"{_NAMED_DAY}(?P<m>[0-9]{{1,2}})/(?P<d>[0-9]{{1,2}})/{_YEAR}", "amdYy", ("/", "md")),
    (rf"{_NAMED_DAY}(?P<b>{_MONTH})\.?\s+{_ORDINAL},?\s+(?P<Y>[0-9]{{4}})", "abdY", None),
    (rf"{_NAMED_DAY}{_ORDINAL}(?:\s+|-)(?P<b>{_MONTH})\.?(?:,?\s+|-){_YEAR}", "adbYy", None),
    (r"(?P<Y>[0-9]{4})/(?P<m>[0-9]{1,2})/(?P<d>[0-9]{1,2})", "Ymd", None),
)
_US_MONTHS: tuple[tuple[str, str], ...] = (
    (rf"(?P<b>{_MONTH})\.?(?:(?:,?\s+|-)(?P<Y>[0-9]{{4}})|(?:-|\s?['\u2019])(?P<y>[0-9]{{2}}))", "bYy"),
    (r"(?P<m>[0-9]{1,2})/(?P<Y>[0-9]{4})", "mY"),
)
# ISO dates with more than a plain time: 2026-07-31 11:30 PM, 2026-08-01 02:30:00 UTC. Every column accepts it.
ISO_TIME = Form("ISO", rf"^(?i:(?P<Y>[0-9]{{4}})-(?P<m>[0-9]{{2}})-(?P<d>[0-9]{{2}}){_TIME})$", frozenset("YmdHMSfpz"))


def _family(kind: ColumnType) -> list[Form]:
    found = [Form(US, rf"^(?i:{p}{_TIME})$", frozenset(f) | set("HMSfpz"), order) for p, f, order in _US_DAYS]
    if kind is ColumnType.MONTH:
        found += [Form(US, rf"^(?i:{p})$", frozenset(f)) for p, f in _US_MONTHS]
    return found


# -- validation of a form


def form_problem(text: str, kind: ColumnType, *, whole_months: bool = False) -> str | None:
    """Returns why a column of this type cannot use the form, with a form that works; None if it can.

    Args:
        text: the form as declared.
        kind: timestamp, date or month.
        whole_months: whether a date column may hold months, read as their first day.
    """
    if text in NAMED:
        return None
    if "%" not in text:
        return (
            f"{text!r} is not a date format such as %Y-%m-%d (or {US}, for {NAMED[US]}; or {EXCEL}, for serial numbers)"
        )
    problem = _specifier_problem(text) or _clash(text) or _gap(text, kind, whole_months=whole_months) or _joint(text)
    return None if problem is None else f"{text!r} {problem}"


def _specifier_problem(text: str) -> str | None:
    for part in _TOKEN.findall(text):
        if not part.startswith("%"):
            continue
        plain = f"%{part[2:]}" if len(part) == 3 and part[1] in "-_0" else part
        if plain in SPECIFIERS and (plain == part or _FIELD.get(plain, "") in _WIDTH):
            continue
        if part == "%":
            return "ends with a single %; write %% for a percent sign"
        if plain in SPECIFIERS:
            return f"has {part}: only numbers can be padded; write {plain}"
        instead = _INSTEAD.get(plain)
        if instead == " ":
            return f"has {part}; write a blank"
        return f"has {part}, which is unknown; write {instead or _EXAMPLE}"
    return None


def _clash(text: str) -> str | None:
    """Returns the problem of specifiers that contradict each other."""
    tokens = [t for t in _tokens(text) if t.field]
    names = [t.field for t in tokens]
    shown = {t.field: t.text for t in reversed(tokens)}
    fields = set(names)
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            return f"has {' and '.join(t.text for t in tokens if t.field == name)}, which are equivalent; remove one"
    for one, other in (("Y", "y"), ("m", "b"), ("H", "I")):
        if {one, other} <= fields:
            return f"has both {shown[one]} and {shown[other]}; remove one"
    if "s" in fields and len(fields) > 1:
        return "has %s with other specifiers; use %s alone"
    if "j" in fields and fields & set("mbd"):
        return "has %j, the day of the year, with a month or a day; remove one"
    if "p" in fields and "H" in fields:
        right = re.sub(r"%([-_0]?)[HkRT]", lambda m: {"R": "%I:%M", "T": "%I:%M:%S"}.get(m[0][-1], f"%{m[1]}I"), text)
        return f"has the 24-hour {shown['H']} with {shown['p']}; write {right!r}"
    if "I" in fields and "p" not in fields:
        right = re.sub(r"%([-_0]?)[Il]", r"%\1H", text)
        return f"has the 12-hour {shown['I']} without %p; add %p, or for a 24-hour time write {right!r}"
    return None


def _gap(text: str, kind: ColumnType, *, whole_months: bool) -> str | None:
    """Returns the problem of a form with missing parts."""
    fields = {t.field for t in _tokens(text) if t.field}
    if fields == {"s"}:
        return None
    hour, day = fields & set("HI"), bool(fields & set("dj"))
    if not fields & set("Yymbdja"):
        return f"is a time without a date; write for instance {f'%m/%d/%Y {text}'!r}"
    for needs, without in (("p", hour), ("M", hour), ("S", fields & {"M"}), ("f", fields & {"S"}), ("z", hour)):
        if needs in fields and not without:
            what = {"p": "%p without an hour", "M": "minutes without an hour", "S": "seconds without minutes",
                    "f": "a fraction without seconds", "z": "a zone without a time"}  # fmt: skip
            return f"has {what[needs]}; a time is written such as %H:%M, %H:%M:%S or %I:%M %p"
    if not fields & set("Yy") and not ("a" in fields and "d" in fields and fields & set("mb")):
        return "has no year; add %Y, or the weekday %a beside day and month, from which the year follows"
    if not fields & set("mbj"):
        return "has no month; add %m, or %b for its name"
    if not day and kind is not ColumnType.MONTH and not (whole_months and kind is ColumnType.DATE):
        return f'has no day, but a {kind} needs one; add %d, or set type = "month"'
    return None


def _joint(text: str) -> str | None:
    """Returns the problem of adjacent numbers whose boundary is ambiguous."""
    tokens = _tokens(text)
    for token, after in pairwise(tokens):
        if (token.field == "z" and _kind(after, 0) == "0") or (token.field == "p" and _kind(after, 0) == "a"):
            return f"has {token.text}{after.text}: the end of the first is ambiguous; put a blank between them"
        adjacent = _kind(token, -1) == _kind(after, 0) == "0"
        loose = [
            t for t in (token, after) if t.field and (t.flag in {"-", "_"} or t.field in "fs" or t.text in _PADDED)
        ]
        if adjacent and loose:
            return f"has {token.text}{after.text}: the end of the first is ambiguous; put a blank between them"
    return None


_PADDED = {"%e", "%k", "%l", "%o"}


def describe(text: str) -> str:
    """Returns a form in words: ``month/day/year with a 24-hour time``."""
    words = {"Y": "year", "y": "year of two digits", "m": "month", "b": "month's name", "d": "day", "a": "weekday"}
    tokens = _tokens(text)
    first = next((i for i, t in enumerate(tokens) if t.field in _CLOCK), len(tokens))
    date = "".join(words.get(t.field, "") if t.field else t.text for t in tokens[:first]).strip(" ,T")
    fields = {t.field for t in tokens}
    time = " with an AM/PM time" if "p" in fields else " with a 24-hour time" if "H" in fields else ""
    return date + time + (" and a zone" if "z" in fields else "")


__all__ = ["EXCEL", "FIXED_ZONES", "ISO_TIME", "MONTHS", "NAMED", "PLACES", "SPECIFIERS", "US", "WEEKDAYS", "Form",
           "describe", "form_problem", "forms_of"]  # fmt: skip
