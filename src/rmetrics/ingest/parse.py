"""Parses text cells as their declared types.

Each parser takes a column of trimmed text (null = blank) and returns values of the declared type; a cell with text but
no value is bad, and ``reason`` explains why. Nothing is guessed: only the forms declared in the feed (and ISO dates)
are accepted, a third decimal that is not float noise is refused, and nothing falls back to today.
"""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import polars as pl

from rmetrics.ingest.cells import whole_ids
from rmetrics.ingest.currencies import MARKS, code_of, may_be, without_mark
from rmetrics.ingest.phones import read_phones
from rmetrics.ingest.timestamps import ParseContext, read_dates, read_months, read_timestamps
from rmetrics.ingest.undated import date_reason
from rmetrics.rules.expressions.polars_form import DTYPES
from rmetrics.rules.feeds import Column, ColumnType

MAX_CENTS = 10**12  # numeric(12,2) in PostgreSQL
NOISE = Decimal("0.000001")  # tolerance for float errors of a CRM beyond the cents

_SIMPLE_MONEY = r"^-?[0-9]{1,10}(\.[0-9]{1,2})?$"
POWER_OF_TEN = re.compile(r"-?[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,3}", re.ASCII)
CUT_DIGITS = "is written as a power of ten: a spreadsheet has dropped digits; export it again and do not re-save it"
NO_NUMBER = "is not a phone number, and every row needs one"
_REPEATING = (
    ColumnType.MONEY,
    ColumnType.TIMESTAMP,
    ColumnType.DATE,
    ColumnType.MONTH,
    ColumnType.DURATION,
    ColumnType.SHARE,
)
_CENT = Decimal("0.01")
_DASHES = ("-", "\u2212", "\u2010", "\u2011", "\u2012", "\u2013", "\uff0d")  # minus signs in exports


def parse_column(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    """The values of a column of clean text; null if the cell is blank or bad."""
    parser = _PARSERS[column.type]
    if column.type in _REPEATING and reading.export is None and _repeats(text):
        # Days and amounts repeat thousands of times: parse each spelling once.
        encoded = text.to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
        spellings = pl.Series(text.name, encoded.dictionary, dtype=pl.String)
        values = parser(spellings, column, reading).gather(pl.Series(encoded.indices, dtype=pl.UInt32))
    else:
        values = parser(text, column, reading)
    return values.alias(text.name).cast(DTYPES[column.type])


def _repeats(text: pl.Series) -> bool:
    """Whether the spellings repeat often enough that parsing each once pays off."""
    return int(pl.select(pl.lit(text).approx_n_unique()).item()) * 3 < len(text)


def reason(value: str, column: Column, reading: ParseContext) -> str:
    """Why a cell could not be parsed, as a message."""
    currency = reading.currency
    match column.type:
        case ColumnType.MONEY:
            return _money_reason(value, column, currency)
        case ColumnType.CURRENCY:
            return f"is not {currency}, the company's currency ([business] currency): amounts are not converted"
        case ColumnType.TIMESTAMP | ColumnType.DATE | ColumnType.MONTH:
            return date_reason(value, column, reading)
        case ColumnType.DURATION:
            return "is not a duration such as 3 Min 25 Sec, 02:23 or seconds"
        case ColumnType.INTEGER:
            return "is not a whole number"
        case ColumnType.BOOLEAN:
            return "is not yes or no"
        case ColumnType.SHARE:
            return "is not a share from 0 to 1, such as 0.35 or 35%"
        case ColumnType.TEXT | ColumnType.PHONE:
            return CUT_DIGITS if column.type is ColumnType.TEXT else NO_NUMBER


# -- money


def _money(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    values = _amounts(text, column, reading.currency)
    if (limit := column.most) is not None and not _within(values, limit):
        return values.set((values.abs() > limit).fill_null(value=False), None)
    return values


def _within(values: pl.Series, limit: Decimal) -> bool:
    low, high = values.min(), values.max()
    return low is None or bool(-limit <= low and high <= limit)  # type: ignore[operator]


def _amounts(text: pl.Series, column: Column, currency: str) -> pl.Series:
    if column.scale != 1:
        read = {t: read_scaled(t, column.scale) for t in text.drop_nulls().unique().to_list()}
        return pl.Series(text.name, [read.get(t) for t in text.to_list()], dtype=pl.Decimal(18, 2))
    if column.decimal == ".":
        if text.str.contains(_SIMPLE_MONEY).all():
            return text.cast(pl.Decimal(18, 2))
        plain = text.str.replace(r"^(-?)\$ ?", "$1") if may_be("$", currency) else text
        plain = (
            plain.set(plain.str.contains(r"^-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$"), None).fill_null(
                plain.str.replace_all(",", "", literal=True)
            )
            if text.str.contains(",", literal=True).any()
            else plain
        )
    else:
        plain = text
    simple = plain.str.contains(_SIMPLE_MONEY) if column.decimal == "." else text.str.contains(r"^-?[0-9]{1,10}$")
    odd = text.filter(~simple.fill_null(value=True)).unique()
    values = plain.set(~simple.fill_null(value=False), None).cast(pl.Decimal(18, 2))
    if len(odd):
        read = {t: v for t in odd.to_list() if (v := read_money(t, column.decimal, currency)) is not None}
        if read:
            table = pl.DataFrame(
                {"t": list(read), "v": list(read.values())}, schema={"t": pl.String, "v": pl.Decimal(18, 2)}
            )
            found = pl.DataFrame({"t": text}).join(table, on="t", how="left", maintain_order="left")["v"]
            values = values.zip_with(values.is_not_null(), found)
    return values


def read_scaled(text: str, scale: int) -> Decimal | None:
    """Converts whole fractions of a unit, such as millionths, to an amount exact to the cent, or None.

    >>> read_scaled("12340000", 1_000_000), read_scaled("-8500", 100), read_scaled("12345678", 1_000_000)
    (Decimal('12.34'), Decimal('-85.00'), None)
    """
    if not re.fullmatch(r"-?(?:[0-9]{1,19}|[0-9]{1,3}(?:,[0-9]{3}){1,6})(?:\.0+)?", text, re.ASCII):
        return None
    value = Decimal(text.replace(",", "")) / scale
    cents = value.quantize(_CENT)
    return abs(cents) if cents == value == 0 else cents if cents == value and abs(cents) < MAX_CENTS // 100 else None


def read_money(text: str, decimal: str = ".", currency: str = "USD") -> Decimal | None:
    """Parses an amount in any of the forms in exports, exact to the cent; None if unreadable or in another currency.

    >>> read_money("$1,234.50"), read_money("(12.00)"), read_money("22$")
    (Decimal('1234.50'), Decimal('-12.00'), Decimal('22.00'))
    >>> read_money("-1.1368683772162002e-13"), read_money("12.345")
    (Decimal('0.00'), None)
    >>> read_money("1.234,56", ",")
    Decimal('1234.56')
    """
    if not may_be(without_mark(text)[1], currency):
        return None
    value = _amount(text, decimal)
    if value is None or abs(value) >= MAX_CENTS // 100:
        return None
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN)
    if abs(rounded - value) > NOISE:
        return None
    return abs(rounded) if rounded == 0 else rounded


def _amount(text: str, decimal: str) -> Decimal | None:
    """The number as written, before the limits on decimals and size."""
    body, mark = without_mark(text)
    body = re.sub(r"(?<=[0-9])\s(?=[0-9]{3}(?![0-9]))", _group(decimal), body.strip())  # 1 234,50
    body = re.sub(r"(?<![0-9])\s+|\s+(?![0-9])", "", body)
    if mark and body and body[0] in _DASHES and body.strip(body[0]) == "":
        return Decimal(0)  # zero in a spreadsheet's accounting format
    negative = body.startswith("(") and body.endswith(")")
    body = body[1:-1] if negative else body.removeprefix("+")
    for sign in _DASHES:
        if body.startswith(sign) or (body.endswith(sign) and len(body) > 1):
            if negative:
                return None
            negative, body = True, body.removeprefix(sign) if body.startswith(sign) else body.removesuffix(sign)
    group = _group(decimal)
    number = rf"(?:\d{{1,3}}(?:{re.escape(group)}\d{{3}})+|\d+)(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+"
    if not re.fullmatch(rf"(?:{number})(?:[eE]-\d{{1,3}})?", body, re.ASCII):
        return None
    try:
        value = Decimal(body.replace(group, "").replace(decimal, "."))
    except InvalidOperation:
        return None
    return -value if negative else value


def _group(decimal: str) -> str:
    return "," if decimal == "." else "."


def _money_reason(text: str, column: Column, currency: str) -> str:
    decimal = column.decimal
    if column.scale != 1 and read_scaled(text, column.scale) is None:
        return f"is not a whole number of cents when divided by scale = {column.scale}"
    if (mark := without_mark(text)[1]) and not may_be(mark, currency):
        named = " or ".join(sorted(MARKS.get(mark, {mark})))
        return f"is in {named}, but [business] currency is {currency}: amounts are not converted"
    value = _amount(text, decimal)
    if value is None and POWER_OF_TEN.fullmatch(text):
        return CUT_DIGITS
    if value is None:
        other = _amount(text, _group(decimal))
        hint = f'; if this export writes amounts this way, set decimal = "{_group(decimal)}" in its feed'
        return "is not an amount of money" + (hint if other is not None else "")
    if abs(value) >= MAX_CENTS // 100:
        return "is too large for an amount of money"
    if column.most is not None and abs(value) / column.scale > column.most:
        return f"is more than {column.most:,f}; if it is correct, raise `most` of this column in its feed"
    return "has more than two decimals"


# -- the rest


def _text(text: pl.Series, _: Column, __: ParseContext) -> pl.Series:
    return whole_ids(text)


def _currency(text: pl.Series, _: Column, reading: ParseContext) -> pl.Series:
    """The code if it is the company's currency; bad if it is another."""
    codes = {t: code_of(t, reading.currency) for t in text.drop_nulls().unique().to_list()}
    return text.replace_strict(codes, default=None, return_dtype=pl.String)


def _integer(text: pl.Series, _: Column, __: ParseContext) -> pl.Series:
    plain = text.str.replace_all(",", "", literal=True)
    plain = plain.str.replace(r"\.0+$", "")  # spreadsheets may add it to whole numbers
    ok = text.str.contains(r"^-?([0-9]{1,18}|[0-9]{1,3}(,[0-9]{3}){1,5})(\.0+)?$")
    return plain.set(~ok.fill_null(value=False), None).cast(pl.Int64)


def _duration(text: pl.Series, _: Column, __: ParseContext) -> pl.Series:
    """Whole seconds from ``3 Min 25 Sec``, ``1 Hr 2 Min``, ``02:23`` (minutes first), ``1:02:03`` or plain seconds."""
    words = (
        r"(?i)^(?:(?P<h>[0-9]{1,4}) ?h(?:(?:ou)?rs?)? ?)?(?:(?P<m>[0-9]{1,6}) ?m(?:in(?:ute)?s?)? ?)?"
        r"(?:(?P<s>[0-9]{1,7}) ?s(?:ec(?:ond)?s?)?)?$"
    )
    clock = r"^(?:(?P<h>[0-9]{1,4}):)?(?P<m>[0-9]{1,3}):(?P<s>[0-5][0-9])$"
    plain = text.str.extract(r"^([0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})$")  # some call logs write 1,265
    seconds = plain.str.replace_all(",", "", literal=True).cast(pl.Int64)
    for pattern in (words, clock):
        fits = text.str.contains(pattern)
        parts = text.set(~fits.fill_null(value=False), None).str.extract_groups(pattern).struct.unnest()
        total = sum((parts[n].cast(pl.Int64).fill_null(0) * k for n, k in (("h", 3600), ("m", 60), ("s", 1))), start=0)
        if isinstance(total, pl.Series):
            seconds = seconds.zip_with(seconds.is_not_null(), total.set(~fits.fill_null(value=False), None))
    return seconds


def _phone(text: pl.Series, _: Column, __: ParseContext) -> pl.Series:
    return read_phones(text)


def _boolean(text: pl.Series, _: Column, __: ParseContext) -> pl.Series:
    lower = text.str.to_lowercase()
    known = lower.is_in(["yes", "y", "true", "t", "1", "no", "n", "false", "f", "0"])
    return lower.is_in(["yes", "y", "true", "t", "1"]).set(~known.fill_null(value=False), None)


def _share(text: pl.Series, column: Column, _: ParseContext) -> pl.Series:
    read = {t: _read_share(t, column.decimal) for t in text.drop_nulls().unique().to_list()}
    return pl.Series(text.name, [read.get(t) for t in text.to_list()], dtype=pl.Decimal(18, 6))


def _read_share(text: str, decimal: str) -> Decimal | None:
    value = _amount(text.removesuffix("%").strip(), decimal)
    if value is None:
        return None
    value = value / 100 if text.endswith("%") else value
    rounded = value.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    return rounded if abs(rounded - value) <= Decimal("0.0000000001") and 0 <= value <= 1 else None


_PARSERS: dict[ColumnType, Callable[[pl.Series, Column, ParseContext], pl.Series]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.MONEY: _money,
    ColumnType.TIMESTAMP: read_timestamps,
    ColumnType.DATE: read_dates,
    ColumnType.MONTH: read_months,
    ColumnType.DURATION: _duration,
    ColumnType.PHONE: _phone,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.SHARE: _share,
    ColumnType.CURRENCY: _currency,
}
