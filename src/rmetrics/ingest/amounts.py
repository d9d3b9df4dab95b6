"""Amounts of money in cells: exact to the cent, or none.

Only the forms declared in the feed are accepted; a third decimal that is not float noise is refused, and so is any
currency other than the company's.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import polars as pl

from rmetrics.ingest.currencies import MARKS, may_be, without_mark
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.rules.feeds import Column

MAX_CENTS = 10**12  # numeric(12,2) in PostgreSQL
_NOISE = Decimal("0.000001")  # tolerance for float errors of a CRM beyond the cents

_SIMPLE_MONEY = r"^-?[0-9]{1,10}(\.[0-9]{1,2})?$"
_POWER_OF_TEN = re.compile(r"-?[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,3}", re.ASCII)
CUT_DIGITS = "is written as a power of ten: a spreadsheet has dropped digits; export it again and do not re-save it"
_CENT = Decimal("0.01")
_DASHES = ("-", "\u2212", "\u2010", "\u2011", "\u2012", "\u2013", "\uff0d")  # minus signs in exports


def read_amounts(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    """The amounts of a column of clean text; null if the cell is blank or bad, or beyond the column's ``most``."""
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
    value = amount_of(text, decimal)
    if value is None or abs(value) >= MAX_CENTS // 100:
        return None
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN)
    if abs(rounded - value) > _NOISE:
        return None
    return abs(rounded) if rounded == 0 else rounded


def amount_of(text: str, decimal: str) -> Decimal | None:
    """The number as written, before the limits on decimals and size; None if it is not a number."""
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


def money_reason(text: str, column: Column, currency: str) -> str:
    """Explains why a cell is not an amount."""
    decimal = column.decimal
    if column.scale != 1 and read_scaled(text, column.scale) is None:
        return f"is not a whole number of cents when divided by scale = {column.scale}"
    if (mark := without_mark(text)[1]) and not may_be(mark, currency):
        named = " or ".join(sorted(MARKS.get(mark, {mark})))
        return f"is in {named}, but [business] currency is {currency}: amounts are not converted"
    value = amount_of(text, decimal)
    if value is None and _POWER_OF_TEN.fullmatch(text):
        return CUT_DIGITS
    if value is None:
        other = amount_of(text, _group(decimal))
        hint = f'; if this export writes amounts this way, set decimal = "{_group(decimal)}" in its feed'
        return "is not an amount of money" + (hint if other is not None else "")
    if abs(value) >= MAX_CENTS // 100:
        return "is too large for an amount of money"
    if column.most is not None and abs(value) / column.scale > column.most:
        return f"is more than {column.most:,f}; if it is correct, raise `most` of this column in its feed"
    return "has more than two decimals"
