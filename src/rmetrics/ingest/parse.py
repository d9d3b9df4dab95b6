"""Parses text cells as their declared types.

Each parser takes a column of trimmed text (null = blank) and returns values of the declared type; a cell with text but
no value is bad, and ``reason`` explains why. Nothing is guessed: only the forms declared in the feed (and ISO dates)
are accepted.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl

from rmetrics.ingest.amounts import CUT_DIGITS, amount_of, money_reason, read_amounts
from rmetrics.ingest.cells import whole_ids
from rmetrics.ingest.currencies import code_of
from rmetrics.ingest.phones import read_phones
from rmetrics.ingest.timestamps import ParseContext, read_dates, read_months, read_timestamps
from rmetrics.ingest.undated import date_reason
from rmetrics.rules.expressions.polars_form import DTYPES
from rmetrics.rules.feeds import Column, ColumnType

NO_NUMBER = "is not a phone number, and every row needs one"
_REPEATING = (
    ColumnType.MONEY,
    ColumnType.TIMESTAMP,
    ColumnType.DATE,
    ColumnType.MONTH,
    ColumnType.DURATION,
    ColumnType.SHARE,
)


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
            return money_reason(value, column, currency)
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
    value = amount_of(text.removesuffix("%").strip(), decimal)
    if value is None:
        return None
    value = value / 100 if text.endswith("%") else value
    rounded = value.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    return rounded if abs(rounded - value) <= Decimal("0.0000000001") and 0 <= value <= 1 else None


_PARSERS: dict[ColumnType, Callable[[pl.Series, Column, ParseContext], pl.Series]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.MONEY: read_amounts,
    ColumnType.TIMESTAMP: read_timestamps,
    ColumnType.DATE: read_dates,
    ColumnType.MONTH: read_months,
    ColumnType.DURATION: _duration,
    ColumnType.PHONE: _phone,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.SHARE: _share,
    ColumnType.CURRENCY: _currency,
}
