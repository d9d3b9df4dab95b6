"""Text cells to dates, months and instants.

Nothing is guessed: only the forms listed in the feed (and ISO dates) are understood, and nothing falls back to today.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl

from rmetrics.rules.model import Column, ColumnType

SLASHED = re.compile(r"^([0-9]{1,2})([/.-])([0-9]{1,2})[/.-][0-9]{2,4}(?:[ ,T]|$)")
FIRST_YEAR, LAST_YEAR = 1990, 2100
_FIRST_US, _LAST_US = (
    int(dt.datetime(y, 1, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000 for y in (FIRST_YEAR, LAST_YEAR + 1)
)
# An ISO stamp with seconds in its plain forms: 2026-05-01T10:00:00.123Z, 2026-05-01 10:00:00 -0500.
_PLAIN_STAMP = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?: ?(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]))?$"
)
_DAY_ZERO = dt.date(1899, 12, 30)  # day 0 of Excel's serial numbers
_WEEKDAY_RANGE = 12  # the same date falls on the same weekday again after 5, 6, 11 or (across 2100) 12 years
_TIME = ("%H", "%I", "%T", "%R")
_HAS_YEAR = ("%Y", "%y", "%D", "%F", "%C")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parser needs to know beside the cells.

    Attributes:
        zone: the business time zone; bare times are of this zone.
        currency: the company's; a cell that names another cannot be read.
        exported: the local day the file was exported on (its modification time): stamps without a year are not later.
    """

    zone: str
    exported: dt.date
    currency: str = "USD"


def date_reason(value: str, column: Column) -> str:
    """Why a cell is no date, in words."""
    found = SLASHED.match(value)
    if found and found[2] in _orders(column.formats):
        return _order_reason(int(found[1]), int(found[3]))
    known = ", ".join(column.formats) or "ISO"
    what = {ColumnType.TIMESTAMP: "date and time", ColumnType.DATE: "date", ColumnType.MONTH: "month"}
    return f"is not a {what[column.type]} in a form this feed knows (ISO, {known})"


def read_timestamps(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    """Instants in UTC; null where a cell is blank or in no form of the column."""
    values = _first_that_fits(text, _stamps(column, reading), pl.Datetime("us", "UTC"))
    return _unambiguous(text, values, column.formats)


def read_dates(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    """Days in the business zone; null where a cell is blank or in no form of the column."""
    zone = reading.zone

    def day(attempt: Callable[[pl.Series], pl.Series]) -> Callable[[pl.Series], pl.Series]:
        return lambda t: attempt(t).dt.convert_time_zone(zone).dt.date()

    values = _first_that_fits(text, (day(a) for a in _stamps(column, reading)), pl.Date())
    return _unambiguous(text, values, column.formats)


def read_months(text: pl.Series, column: Column, reading: Reading) -> pl.Series:
    """First days of months; null where a cell is blank or in no form of the column."""
    return read_dates(text.str.replace(r"^([0-9]{4}-[0-9]{2})$", "$1-01"), column, reading).dt.month_start()


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
