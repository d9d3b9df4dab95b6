"""Text cells to declared types.

Each parser takes a column of trimmed text (null = blank) and gives values of the declared type; a cell that has text
but no value is bad, and ``reason`` says why in words. Nothing is guessed: only the forms listed in the feed (and ISO
dates) are understood, a third decimal that is not float noise is refused, and nothing ever falls back to today.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import polars as pl

from rmetrics.rules.expressions.polars_form import DTYPES
from rmetrics.rules.model import Column, ColumnType

# How exports write "nothing here". The last is an em dash that went through Excel in the wrong encoding.
BLANKS = ("", "\u2014", "\u2013", "--", "\u201a\u00c4\u00ee")
_LONGEST_BLANK = max(len(b.encode()) for b in BLANKS)
MAX_CENTS = 10**12  # numeric(12,2) in PostgreSQL
NOISE = Decimal("0.000001")  # what float arithmetic in a CRM leaves beyond the cents
SLASHED = re.compile(r"^([0-9]{1,2})([/.-])([0-9]{1,2})[/.-][0-9]{2,4}(?:[ ,T]|$)")
FIRST_YEAR, LAST_YEAR = 1990, 2100
_FIRST_US, _LAST_US = (
    int(dt.datetime(y, 1, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000 for y in (FIRST_YEAR, LAST_YEAR + 1)
)

_SIMPLE_MONEY = r"^-?[0-9]{1,10}(\.[0-9]{1,2})?$"
POWER_OF_TEN = re.compile(r"-?[0-9](?:\.[0-9]+)?[eE]\+?[0-9]{1,3}", re.ASCII)
CUT_DIGITS = "is written as a power of ten: a spreadsheet has cut its digits; export it again and do not re-save it"
_REPEATING = (
    ColumnType.MONEY,
    ColumnType.TIMESTAMP,
    ColumnType.DATE,
    ColumnType.MONTH,
    ColumnType.DURATION,
    ColumnType.SHARE,
)
# An ISO stamp with seconds in its plain forms: 2026-05-01T10:00:00.123Z, 2026-05-01 10:00:00 -0500.
_PLAIN_STAMP = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?: ?(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]))?$"
)
# What \s means in a regular expression: Unicode's White_Space.
_SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_BETWEEN_DIGITS = [*_SPACES, *"().-+"]  # of a phone number
_CENT = Decimal("0.01")
_DAY_ZERO = dt.date(1899, 12, 30)  # day 0 of Excel's serial numbers
_WEEKDAY_RANGE = 12  # the same date falls on the same weekday again after 5, 6, 11 or (across 2100) 12 years
_TIME = ("%H", "%I", "%T", "%R")
_HAS_YEAR = ("%Y", "%y", "%D", "%F", "%C")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parser needs to know beside the cells.

    Attributes:
        zone: the business time zone; bare times are of this zone.
        exported: the local day the file was exported on (its modification time): stamps without a year are not later.
    """

    zone: str
    exported: dt.date


def clean(cells: pl.Series) -> pl.Series:
    """Cells without outer white space (no-break spaces too); what stands for nothing becomes null."""
    text = cells.str.strip_chars()
    if not (text.str.len_bytes() <= _LONGEST_BLANK).any():
        return text
    meant = pl.all_horizontal(pl.first() != blank for blank in BLANKS)  # quicker than is_in, which hashes every cell
    return pl.DataFrame([text]).select(pl.when(meant).then(pl.first())).to_series()


def parse_column(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    """The values of a column of clean text; null where the cell is blank or bad."""
    parser = _PARSERS[column.type]
    if column.type in _REPEATING and _repeats(text):
        # Days and amounts repeat a thousandfold: read each spelling once.
        encoded = text.to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
        spellings = pl.Series(text.name, encoded.dictionary, dtype=pl.String)
        values = parser(spellings, column, reading).gather(pl.Series(encoded.indices, dtype=pl.UInt32))
    else:
        values = parser(text, column, reading)
    return values.alias(text.name).cast(DTYPES[column.type])


def _repeats(text: pl.Series) -> bool:
    """Whether the spellings repeat so often that it pays to read each once."""
    return int(pl.select(pl.lit(text).approx_n_unique()).item()) * 3 < len(text)


def reason(value: str, column: Column) -> str:
    """Why a cell could not be read, in words."""
    match column.type:
        case ColumnType.MONEY:
            return _money_reason(value, column.decimal, column.scale)
        case ColumnType.TIMESTAMP | ColumnType.DATE | ColumnType.MONTH:
            found = SLASHED.match(value)
            if found and found[2] in _orders(column.formats):
                return _order_reason(int(found[1]), int(found[3]))
            known = ", ".join(column.formats) or "ISO"
            what = {ColumnType.TIMESTAMP: "date and time", ColumnType.DATE: "date", ColumnType.MONTH: "month"}
            return f"is not a {what[column.type]} in a form this feed knows (ISO, {known})"
        case ColumnType.DURATION:
            return "is not a duration such as 3 Min 25 Sec, 02:23 or seconds"
        case ColumnType.INTEGER:
            return "is not a whole number"
        case ColumnType.BOOLEAN:
            return "is not yes or no"
        case ColumnType.SHARE:
            return "is not a share such as 0.35 or 35%"
        case ColumnType.TEXT | ColumnType.PHONE:
            return CUT_DIGITS


# -- money


def _money(text: pl.Series, column: Column, _: Reading) -> pl.Series:
    if column.scale != 1:
        read = {t: read_scaled(t, column.scale) for t in text.drop_nulls().unique().to_list()}
        return pl.Series(text.name, [read.get(t) for t in text.to_list()], dtype=pl.Decimal(18, 2))
    if column.decimal == ".":
        if text.str.contains(_SIMPLE_MONEY).all():
            return text.cast(pl.Decimal(18, 2))
        plain = text.str.replace(r"^(-?)\$ ?", "$1")
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
        read = {t: v for t in odd.to_list() if (v := read_money(t, column.decimal)) is not None}
        if read:
            table = pl.DataFrame(
                {"t": list(read), "v": list(read.values())}, schema={"t": pl.String, "v": pl.Decimal(18, 2)}
            )
            found = pl.DataFrame({"t": text}).join(table, on="t", how="left", maintain_order="left")["v"]
            values = values.zip_with(values.is_not_null(), found)
    return values


def read_scaled(text: str, scale: int) -> Decimal | None:
    """A whole number of parts of a unit as an amount, exact to the cent, or None.

    >>> read_scaled("12340000", 1_000_000), read_scaled("-8500", 100), read_scaled("12345678", 1_000_000)
    (Decimal('12.34'), Decimal('-85.00'), None)
    """
    if not re.fullmatch(r"-?(?:[0-9]{1,19}|[0-9]{1,3}(?:,[0-9]{3}){1,6})(?:\.0+)?", text, re.ASCII):
        return None
    value = Decimal(text.replace(",", "")) / scale
    cents = value.quantize(_CENT)
    return abs(cents) if cents == value == 0 else cents if cents == value and abs(cents) < MAX_CENTS // 100 else None


def read_money(text: str, decimal: str = ".") -> Decimal | None:
    """One amount in any of the forms exports use, exact to the cent, or None.

    >>> read_money("$1,234.50"), read_money("(12.00)"), read_money("22$")
    (Decimal('1234.50'), Decimal('-12.00'), Decimal('22.00'))
    >>> read_money("-1.1368683772162002e-13"), read_money("12.345")
    (Decimal('0.00'), None)
    >>> read_money("1.234,56", ",")
    Decimal('1234.56')
    """
    value = _amount(text, decimal)
    if value is None or abs(value) >= MAX_CENTS // 100:
        return None
    rounded = value.quantize(_CENT, ROUND_HALF_EVEN)
    if abs(rounded - value) > NOISE:
        return None
    return abs(rounded) if rounded == 0 else rounded


def _amount(text: str, decimal: str) -> Decimal | None:
    """The number as written, before any rule about cents."""
    body = re.sub(r"(?<=[0-9])\s(?=[0-9]{3}(?![0-9]))", _group(decimal), text)  # 1 234,50
    body = re.sub(r"(?<![0-9])\s+|\s+(?![0-9])", "", body).removesuffix("USD").removeprefix("USD")
    negative = body.startswith("(") and body.endswith(")")
    if negative:
        body = body[1:-1]
    for sign in ("-", "\u2212"):
        if body.startswith(sign) or (body.endswith(sign) and len(body) > 1):
            if negative:
                return None
            negative, body = True, body.removeprefix(sign) if body.startswith(sign) else body.removesuffix(sign)
    body = body.removeprefix("$").removesuffix("$")
    if body.startswith("-") and not negative:
        negative, body = True, body[1:]
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


def _money_reason(text: str, decimal: str, scale: int = 1) -> str:
    if scale != 1:
        return f"is not a whole number of cents when divided by scale = {scale}"
    value = _amount(text, decimal)
    if value is None and POWER_OF_TEN.fullmatch(text):
        return CUT_DIGITS
    if value is None:
        other = _amount(text, _group(decimal))
        hint = f'; if this export writes amounts like that, say decimal = "{_group(decimal)}" in its feed'
        return "is not an amount of money" + (hint if other is not None else "")
    if abs(value) >= MAX_CENTS // 100:
        return "is too large for an amount of money"
    return "has more than two decimals"


# -- dates


def _timestamp(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    values = _first_that_fits(text, _stamps(column, reading), pl.Datetime("us", "UTC"))
    return _unambiguous(text, values, column.formats)


def _date(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    zone = reading.zone

    def day(attempt: Callable[[pl.Series], pl.Series]) -> Callable[[pl.Series], pl.Series]:
        return lambda t: attempt(t).dt.convert_time_zone(zone).dt.date()

    values = _first_that_fits(text, (day(a) for a in _stamps(column, reading)), pl.Date())
    return _unambiguous(text, values, column.formats)


def _month(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    return _date(text.str.replace(r"^([0-9]{4}-[0-9]{2})$", "$1-01"), column, reading).dt.month_start()


def _unambiguous(text: pl.Series, values: pl.Series, formats: tuple[str, ...]) -> pl.Series:
    """The values without those whose day and month could stand either way round.

    They could where the feed declares both orders; or where it declares one, but this text holds days that fit only
    the other order, and not fewer than fit only its own: somebody has re-saved the export in another country.
    """
    for separator, orders in _orders(formats).items():
        if len(orders) == 1 and values.null_count() == text.null_count():
            continue
        first, second = _slashed(text, separator)
        either = (first <= 12) & (second <= 12) & (first != second)
        if len(orders) == 1:
            first, second = _slashed(text.unique(), separator)
            month_first, day_first = (
                int(((first <= 12) & (second > 12)).sum()),
                int(((first > 12) & (second <= 12)).sum()),
            )
            own, other = (month_first, day_first) if orders == {"md"} else (day_first, month_first)
            if other == 0 or own > other:
                continue
        values = values.set(either.fill_null(value=False), None)
    return values


def _slashed(text: pl.Series, separator: str) -> tuple[pl.Series, pl.Series]:
    """The two numbers a date with this separator begins with."""
    own = text.set(text.str.extract(SLASHED.pattern, 2).ne_missing(separator), None)
    return own.str.extract(SLASHED.pattern, 1).cast(pl.Int64), own.str.extract(SLASHED.pattern, 3).cast(pl.Int64)


def _orders(formats: tuple[str, ...]) -> dict[str, set[str]]:
    """The orders of day and month that the formats declare, by the separator they are written with."""
    orders: dict[str, set[str]] = {}
    for form in formats:
        if found := re.match(r"%([md])([/.-])%([md])[/.-]%[yY]", form):
            orders.setdefault(found[2], set()).add(found[1] + found[3])
    return orders


def _order_reason(first: int, second: int) -> str:
    if first <= 12 and second <= 12:
        return (
            "has a day and month that could stand either way round in this file; export it again without re-saving it"
        )
    if first <= 31 >= second:
        return "has day and month in another order than this feed says; see its formats"
    return "is not a date"


def _first_that_fits(
    text: pl.Series, attempts: Iterator[Callable[[pl.Series], pl.Series]], dtype: pl.DataType
) -> pl.Series:
    """Tries each form on what the ones before could not read."""
    values = pl.Series(text.name, [None], dtype=dtype).new_from_index(0, len(text))
    pending = text
    for attempt in attempts:
        if pending.null_count() == len(pending):
            break
        read = attempt(pending).cast(dtype)
        values = values.zip_with(values.is_not_null(), read)
        pending = pending.set(read.is_not_null(), None)
    return values


def _stamps(column: Column, reading: Reading) -> Iterator[Callable[[pl.Series], pl.Series]]:
    """One reader per form: clean text to UTC, null where the text is not of that form or out of range."""
    zone = column.zone or reading.zone
    yield lambda t: _in_range(_iso(t, zone))
    for form in column.formats:
        yield lambda t, form=form: _in_range(_formatted(t, form, zone, reading.exported))  # type: ignore[misc]


def _in_range(stamps: pl.Series) -> pl.Series:
    us = stamps.to_physical()  # the least and the greatest of which can be beyond Python's years
    first, last = us.min(), us.max()
    if isinstance(first, int) and isinstance(last, int) and first >= _FIRST_US and last < _LAST_US:
        return stamps
    years = stamps.dt.year()
    return stamps.set((years < FIRST_YEAR) | (years > LAST_YEAR), None)


def _iso(text: pl.Series, zone: str) -> pl.Series:
    plain = text.str.contains(_PLAIN_STAMP).fill_null(value=False)
    if not plain.any():
        return _any_iso(text, zone)
    if plain.sum() == len(text) - text.null_count():
        return _plain_iso(text, zone)
    return _plain_iso(text.set(~plain, None), zone).zip_with(plain, _any_iso(text.set(plain, None), zone))


def _plain_iso(text: pl.Series, zone: str) -> pl.Series:
    """Stamps of the form ``_PLAIN_STAMP``, read by the places their parts stand at."""
    second = text.str.slice(0, 19)
    naive = second.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us", cache=False)
    if naive.null_count() > text.null_count():
        spaced = second.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us", cache=False)
        naive = naive.zip_with(naive.is_not_null(), spaced)
    rest = text.str.slice(19)
    if rest.str.contains(".", literal=True).any():
        fraction = rest.str.extract(r"^\.([0-9]+)").str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
        naive = (naive.cast(pl.Int64) + fraction).cast(pl.Datetime("us"))
    zulu = rest.str.ends_with("Z")
    if zulu.all():
        return naive.dt.replace_time_zone("UTC")
    offsets = rest.str.extract_groups(r"([+-])([0-9]{2}):?([0-9]{2})$").struct.unnest()
    sign, hours, minutes = offsets.get_columns()
    ahead = (hours.cast(pl.Int64) * 3600 + minutes.cast(pl.Int64) * 60) * (1 - 2 * (sign == "-").cast(pl.Int64))
    aware = (ahead.is_not_null() | zulu).fill_null(value=False)
    utc = (naive.cast(pl.Int64) - ahead.fill_null(0) * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return utc if aware.sum() == len(text) - text.null_count() else utc.zip_with(aware, _local(naive, zone))


def _any_iso(text: pl.Series, zone: str) -> pl.Series:
    """Stamps and days of every ISO form, by trying one after the other."""
    text = text.set(~text.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}").fill_null(value=False), None)
    if text.null_count() == len(text):
        return _empty(len(text))
    days = _local(text.str.to_datetime("%Y-%m-%d", strict=False, time_unit="us"), zone)
    if days.null_count() == text.null_count():
        return days
    text = (
        text.str.replace("[Tt]", " ")
        .str.replace(r"(?i)\s*z$", "+0000")
        .str.replace(r"(:[0-9]{2}(?:\.[0-9]+)?)\s*([+-][0-9]{2})$", "$1${2}00")
    )
    text = text.str.replace(r"\s*([+-][0-9]{2}:?[0-9]{2})$", "$1")
    offset = text.str.contains(r":[0-9]{2}(\.[0-9]+)?[+-][0-9]{2}:?[0-9]{2}$")
    aware, bare = text.set(~offset.fill_null(value=False), None), text.set(offset.fill_null(value=False), None)
    stamps = days
    for form in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"):
        stamps = stamps.zip_with(
            stamps.is_not_null(), _local(bare.str.to_datetime(form, strict=False, time_unit="us"), zone)
        )
        utc = aware.str.to_datetime(form + "%z", strict=False, time_unit="us").dt.convert_time_zone("UTC")
        stamps = stamps.zip_with(stamps.is_not_null(), utc)
    return stamps


def _formatted(text: pl.Series, form: str, zone: str, exported: dt.date) -> pl.Series:
    if form == "excel":
        return _excel_serial(text, zone)
    if "%o" in form:  # our own: a day with its ordinal ending, 17th
        text, form = text.str.replace(r"([0-9])(st|nd|rd|th)\b", "$1"), form.replace("%o", "%d")
    if not any(p in form for p in _HAS_YEAR):
        return _year_from_weekday(text, form, zone, exported)
    if "%d" not in form and "%e" not in form and "%j" not in form and "%D" not in form and "%F" not in form:
        text, form = text + " 1", form + " %d"
    # chrono takes 25 for the year 25 under %Y, which the range check then refuses.
    if "%b" in form:
        text = text.str.replace(r"(?i)\b(jan|feb|mar|apr|jun|jul|aug|sep|oct|nov|dec)t?[a-z]*\.?", "$1")
    parsed = _to_datetime(text, form)
    if parsed.dtype == pl.Datetime("us"):
        return _local(parsed, zone)
    return parsed.dt.convert_time_zone("UTC")


def _to_datetime(text: pl.Series, form: str) -> pl.Series:
    if "%z" in form:
        text = text.str.replace(r"(?i)z$", "+0000")
    elif not any(p in form for p in _TIME):
        return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
    return text.str.to_datetime(form, strict=False, time_unit="us")


def _year_from_weekday(text: pl.Series, form: str, zone: str, exported: dt.date) -> pl.Series:
    """Stamps such as ``Wed Dec 17th, 03:21PM``: the latest year, not after the export, with that weekday."""
    stamps = _empty(len(text))
    if "%a" not in form and "%A" not in form:
        return stamps
    limit = pl.lit(exported + dt.timedelta(days=1))
    for year in range(exported.year, exported.year - _WEEKDAY_RANGE - 1, -1):
        local = _to_datetime(text + f" {year}", form + " %Y")
        local = pl.select(pl.when(pl.lit(local).dt.date() <= limit).then(pl.lit(local))).to_series()
        stamps = stamps.zip_with(stamps.is_not_null(), _local(local, zone))
        if stamps.null_count() == text.null_count():
            break
    return stamps


def _excel_serial(text: pl.Series, zone: str) -> pl.Series:
    number = text.set(~text.str.contains(r"^[0-9]{5}(\.[0-9]+)?$").fill_null(value=False), None)
    days = number.str.extract(r"^([0-9]{5})").cast(pl.Int64)
    # Twelve digits of a day are well below a microsecond; times in sheets are whole seconds.
    digits = number.str.extract(r"\.([0-9]+)$").fill_null("0").str.slice(0, 12).str.pad_end(12, "0").cast(pl.Int64)
    seconds = (digits * 864 + 5 * 10**9) // 10**10
    parts = pl.DataFrame({"days": days, "seconds": seconds})
    since = pl.duration(days=pl.col("days"), seconds=pl.col("seconds"))
    return _local(parts.select(pl.lit(_DAY_ZERO).cast(pl.Datetime("us")) + since).to_series(), zone)


def _local(naive: pl.Series, zone: str) -> pl.Series:
    """Local wall time to UTC. An hour that happens twice is taken the first time; one that was skipped moves on."""
    aware = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if aware.null_count() > naive.null_count():
        moved = naive.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        aware = aware.zip_with(aware.is_not_null(), moved)
    return aware.dt.convert_time_zone("UTC")


def _empty(height: int) -> pl.Series:
    return pl.Series([None], dtype=pl.Datetime("us", "UTC")).new_from_index(0, height)


# -- the rest


def _text(text: pl.Series, _: Column, __: Reading) -> pl.Series:
    return text


def _integer(text: pl.Series, _: Column, __: Reading) -> pl.Series:
    plain = text.str.replace_all(r"^(-?[0-9]{1,3}(?:,[0-9]{3})+)$", "$1").str.replace_all(",", "", literal=True)
    ok = text.str.contains(r"^-?([0-9]{1,18}|[0-9]{1,3}(,[0-9]{3}){1,5})$")
    return plain.set(~ok.fill_null(value=False), None).cast(pl.Int64)


def _duration(text: pl.Series, _: Column, __: Reading) -> pl.Series:
    """Whole seconds of ``3 Min 25 Sec``, ``1 Hr 2 Min``, ``02:23`` (minutes first), ``1:02:03`` or plain seconds."""
    words = (
        r"(?i)^(?:(?P<h>[0-9]{1,4}) ?h(?:(?:ou)?rs?)? ?)?(?:(?P<m>[0-9]{1,6}) ?m(?:in(?:ute)?s?)? ?)?"
        r"(?:(?P<s>[0-9]{1,7}) ?s(?:ec(?:ond)?s?)?)?$"
    )
    clock = r"^(?:(?P<h>[0-9]{1,4}):)?(?P<m>[0-9]{1,3}):(?P<s>[0-5][0-9])$"
    plain = text.str.extract(r"^([0-9]{1,9}|[0-9]{1,3}(?:,[0-9]{3}){1,2})$")  # 1,265 is how some call logs write it
    seconds = plain.str.replace_all(",", "", literal=True).cast(pl.Int64)
    for pattern in (words, clock):
        fits = text.str.contains(pattern)
        parts = text.set(~fits.fill_null(value=False), None).str.extract_groups(pattern).struct.unnest()
        total = sum((parts[n].cast(pl.Int64).fill_null(0) * k for n, k in (("h", 3600), ("m", 60), ("s", 1))), start=0)
        if isinstance(total, pl.Series):
            seconds = seconds.zip_with(seconds.is_not_null(), total.set(~fits.fill_null(value=False), None))
    return seconds


def _phone(text: pl.Series, _: Column, __: Reading) -> pl.Series:
    """Ten digits for North American numbers, +digits for others that are valid, otherwise the text as it stands."""
    digits = text.str.replace_many(_BETWEEN_DIGITS, [""])
    national = digits.str.extract(r"^1?([2-9][0-9]{9})$")
    odd = text.filter(national.is_null() & text.is_not_null()).unique()
    if len(odd) == 0:
        return national
    table = pl.DataFrame({"t": odd, "v": [_foreign(t) for t in odd.to_list()]}, schema={"t": pl.String, "v": pl.String})
    found = pl.DataFrame({"t": text}).join(table, on="t", how="left", maintain_order="left")["v"]
    return national.zip_with(national.is_not_null(), found)


def _foreign(text: str) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_possible_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _boolean(text: pl.Series, _: Column, __: Reading) -> pl.Series:
    lower = text.str.to_lowercase()
    known = lower.is_in(["yes", "y", "true", "t", "1", "no", "n", "false", "f", "0"])
    return lower.is_in(["yes", "y", "true", "t", "1"]).set(~known.fill_null(value=False), None)


def _share(text: pl.Series, column: Column, _: Reading) -> pl.Series:
    read = {t: _read_share(t, column.decimal) for t in text.drop_nulls().unique().to_list()}
    return pl.Series(text.name, [read.get(t) for t in text.to_list()], dtype=pl.Decimal(18, 6))


def _read_share(text: str, decimal: str) -> Decimal | None:
    value = _amount(text.removesuffix("%").strip(), decimal)
    if value is None:
        return None
    value = value / 100 if text.endswith("%") else value
    rounded = value.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    return rounded if abs(rounded - value) <= Decimal("0.0000000001") and abs(value) <= 1000 else None


_PARSERS: dict[ColumnType, Callable[[pl.Series, Column, Reading], pl.Series]] = {
    ColumnType.TEXT: _text,
    ColumnType.INTEGER: _integer,
    ColumnType.MONEY: _money,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.DATE: _date,
    ColumnType.MONTH: _month,
    ColumnType.DURATION: _duration,
    ColumnType.PHONE: _phone,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.SHARE: _share,
}
