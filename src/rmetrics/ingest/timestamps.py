"""Parses text cells as dates, months and instants.

Nothing is guessed: only ISO dates and the forms declared in the feed (``rules.date_forms``) are read, a zone is
honoured or the cell refused, and nothing falls back to today. Every parser takes clean text (null = blank) and returns
null for a cell it cannot read; ``ingest.undated`` explains why.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import polars as pl

from rmetrics.rules.date_forms import EXCEL, FIXED_ZONES, ISO_TIME, MONTHS, PLACES, WEEKDAYS, Form, forms_of
from rmetrics.rules.feeds import Column
from rmetrics.rules.model import is_zone

SLASHED = re.compile(r"^([0-9]{1,2})([/.-])([0-9]{1,2})[/.-][0-9]{2,4}(?:[\s,T]|$)")
FIRST_YEAR, LAST_YEAR = 1990, 2100
PIVOT = 69  # two-digit years: 69 to 99 are in the 1900s, as in POSIX
_FIRST_US, _LAST_US = (
    int(dt.datetime(y, 1, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000 for y in (FIRST_YEAR, LAST_YEAR + 1)
)
# An ISO timestamp with seconds in its plain forms: 2026-05-01T10:00:00.123Z, 2026-05-01 10:00:00 -0500.
_PLAIN_STAMP = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    r"(?: ?(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]))?$"
)
SERIAL = r"^[0-9]{5}(\.[0-9]+)?$"
_DAY_ZERO = dt.date(1899, 12, 30)  # day 0 of Excel's serial numbers
_EPOCH = dt.date(1970, 1, 1)
_WEEKDAY_RANGE = 12  # years: a date has the same weekday again after 5, 6, 11 or (across 2100) 12
_FEW = 500  # up to this many cells, a loop is faster than the engine
_OFFSET = re.compile(r"^(?:gmt|utc)?\s?([+\-\u2212])([0-9]{1,2}):?([0-9]{2})?$")
_STAMP = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class ParseContext:
    """The context a parser needs besides the cells.

    If the cells come from several exports, ``exported``, ``latest`` and ``export`` have one value per cell.

    Attributes:
        zone: the business time zone; times without a zone are in it.
        currency: the company's; a cell in another currency cannot be read.
        latest: the latest possible date of a row; None for no limit.
        exported: the local day of the export (its modification time); timestamps without a year are not later.
        column: the column's name in the rules, for messages.
        export: the export of each cell; None if all come from one.
    """

    zone: str
    exported: dt.date | pl.Series
    currency: str = "USD"
    column: str = "this column"
    latest: dt.date | pl.Series | None = None
    export: pl.Series | None = None


def read_timestamps(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    """Instants in UTC; null if a cell is blank or in none of the column's forms."""
    return _stamps(text, column, reading)


def read_dates(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    """Days in the business zone; null if a cell is blank or in none of the column's forms."""
    return _stamps(text, column, reading).dt.convert_time_zone(reading.zone).dt.date()


def read_months(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    """First days of months; null if a cell is blank or in none of the column's forms."""
    return read_dates(text.str.replace(r"^([0-9]{4}-[0-9]{2})$", "$1-01"), column, reading).dt.month_start()


# -- forms in order


def _stamps(text: pl.Series, column: Column, reading: ParseContext) -> pl.Series:
    """Instants; each form is tried on the cells that the earlier ones could not read."""
    values, pending = _empty(len(text)).alias(text.name), text
    for pattern, attempt in _attempts(column, reading):
        if pending.null_count() == len(pending):
            break
        if not _occurs(pattern, pending):
            continue
        read = _in_range(attempt(pending))
        values = values.zip_with(values.is_not_null(), read)
        pending = pending.set(read.is_not_null(), None)
    return _unambiguous(text, values, column, reading.export)


def _occurs(pattern: str, cells: pl.Series) -> bool:
    if len(cells) > _FEW:
        return bool(cells.str.contains(pattern).any())
    matches = _compiled(pattern).search
    return any(matches(c) for c in cells.to_list() if c is not None)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _attempts(column: Column, reading: ParseContext) -> Iterator[tuple[str, Callable[[pl.Series], pl.Series]]]:
    """For each form, a pattern for its cells and a parser: clean text to UTC, null if the text has another form."""
    zone = column.zone or reading.zone
    yield _PLAIN_STAMP, partial(_plain_iso, zone=zone)
    yield ISO_TIME.pattern, partial(_formed, form=ISO_TIME, zone=zone, exported=reading.exported)
    for form in forms_of(column.formats, column.type):
        if form.text == EXCEL:
            yield SERIAL, partial(_excel_serial, zone=zone)
        else:
            yield form.pattern, partial(_formed, form=form, zone=zone, exported=reading.exported)


def _in_range(stamps: pl.Series) -> pl.Series:
    us = stamps.to_physical()  # minimum and maximum may be outside Python's range of years
    first, last = us.min(), us.max()
    if isinstance(first, int) and isinstance(last, int) and first >= _FIRST_US and last < _LAST_US:
        return stamps
    years = stamps.dt.year()
    return stamps.set((years < FIRST_YEAR) | (years > LAST_YEAR), None)


# -- ambiguous order of day and month


def _unambiguous(text: pl.Series, values: pl.Series, column: Column, export: pl.Series | None) -> pl.Series:
    """The values without those whose order of day and month is ambiguous.

    A value is ambiguous if the feed declares both orders; or if it declares one, but the export contains days that fit
    only the other order, and at least as many as fit only the declared one: it was re-saved in another locale.
    """
    for separator, orders in orders_of(column).items():
        if len(orders) == 1 and values.null_count() == text.null_count():
            continue
        first, second = _slashed(text, separator)
        either = (first <= 12) & (second <= 12) & (first != second)
        if len(orders) == 1:
            either = either & _in_other_order(text, separator, orders == {"md"}, export)
        values = values.set(either.fill_null(value=False), None)
    return values


def _in_other_order(text: pl.Series, separator: str, month_first: bool, export: pl.Series | None) -> pl.Series:  # noqa: FBT001
    """Whether a cell's export has days that fit only the other order, at least as many as fit only the declared one."""
    one = pl.Series([0], dtype=pl.Int64).new_from_index(0, len(text)) if export is None else export
    spellings = pl.DataFrame({"export": one, "text": text}).unique()
    first, second = _slashed(spellings["text"], separator)
    own, other = (first <= 12) & (second > 12), (first > 12) & (second <= 12)
    own, other = (own, other) if month_first else (other, own)
    counted = spellings.with_columns(own.alias("own"), other.alias("other")).group_by("export")
    sums = counted.agg(pl.col("own").sum(), pl.col("other").sum())
    mixed = sums.filter((pl.col("other") > 0) & (pl.col("own") <= pl.col("other")))["export"]
    return one.is_in(mixed.implode())


def _slashed(text: pl.Series, separator: str) -> tuple[pl.Series, pl.Series]:
    """The first two numbers of dates with this separator."""
    own = text.set(text.str.extract(SLASHED.pattern, 2).ne_missing(separator), None)
    return own.str.extract(SLASHED.pattern, 1).cast(pl.Int64), own.str.extract(SLASHED.pattern, 3).cast(pl.Int64)


def orders_of(column: Column) -> dict[str, set[str]]:
    """The orders of day and month in a column's forms, by separator."""
    orders: dict[str, set[str]] = {}
    for form in forms_of(column.formats, column.type):
        if form.order:
            orders.setdefault(form.order[0], set()).add(form.order[1])
    return orders


# -- plain ISO timestamps


def _plain_iso(text: pl.Series, zone: str) -> pl.Series:
    """Parses timestamps in the form ``_PLAIN_STAMP`` by fixed positions."""
    plain = text.str.contains(_PLAIN_STAMP)
    text = text if plain.all() else text.set(~plain, None)
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
    offset = (hours.cast(pl.Int64) * 3600 + minutes.cast(pl.Int64) * 60) * (1 - 2 * (sign == "-").cast(pl.Int64))
    aware = (offset.is_not_null() | zulu).fill_null(value=False)
    utc = (naive.cast(pl.Int64) - offset.fill_null(0) * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return utc if aware.sum() == len(text) - text.null_count() else utc.zip_with(aware, local(naive, zone))


# -- forms by their fields


def _formed(text: pl.Series, form: Form, zone: str, exported: dt.date | pl.Series) -> pl.Series:
    """Converts cells of one form to UTC."""
    groups = text.str.extract_groups(form.pattern).struct.unnest()
    groups = groups.select(pl.col(n) for n in groups.columns if groups[n].null_count() < groups.height)
    if not groups.width:
        return _empty(len(text))
    if "s" in groups.columns:
        return (groups["s"].cast(pl.Int64) * 1_000_000).cast(_STAMP)
    fields = groups.select(_numbers(groups.columns))
    has_year = form.fields & {"Y", "y"}
    day = _calendar(fields, pl.col("Y")) if has_year else _latest_with_weekday(fields, exported)
    clock = _microseconds(fields.columns, minutes="M" in form.fields)
    naive = fields.select((day.cast(pl.Int64) * 86_400_000_000 + clock).cast(pl.Datetime("us"))).to_series()
    return _zoned(naive, groups["z"], zone) if "z" in groups.columns else local(naive, zone)


def _numbers(found: list[str]) -> Iterator[pl.Expr]:
    """The fields as numbers, with month and weekday names translated and AM/PM as a boolean."""
    for name in set(found) & set("mdjHIMS"):
        yield pl.col(name).cast(pl.Int32)
    years = [pl.col("Y").cast(pl.Int32)] if "Y" in found else []
    if "y" in found:
        short = pl.col("y").cast(pl.Int32)
        years.append(short + pl.when(short < PIVOT).then(2000).otherwise(1900))
    if years:
        yield pl.coalesce(years).alias("Y")
    for name, names in (("b", MONTHS), ("a", WEEKDAYS)):
        if name in found:
            known = {n: i for i, n in enumerate(names, 1)}
            short = pl.col(name).str.slice(0, 3).str.to_lowercase()
            number = short.replace_strict(known, default=None, return_dtype=pl.Int32)
            yield number.alias("m" if name == "b" else "a")
    if "p" in found:
        yield pl.col("p").str.to_lowercase().eq("p").alias("p")
    if "f" in found:
        yield pl.col("f").str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64)


def _calendar(frame: pl.DataFrame, year: pl.Expr) -> pl.Series:
    """The days of these fields in a year; null if the year has no such day, or its weekday differs."""
    month = pl.col("m") if "m" in frame.columns else pl.lit(1)
    day = pl.col("d") if "d" in frame.columns else pl.lit(1)
    valid = month.is_between(1, 12) & year.is_between(1, 9999)
    first = pl.date(pl.when(valid).then(year), pl.when(valid).then(month), 1)
    if "j" in frame.columns:
        leap = first.dt.is_leap_year()
        found = pl.when(pl.col("j").is_between(1, 365 + leap.cast(pl.Int32))).then(
            first + pl.duration(days=pl.col("j") - 1)
        )
    else:
        found = pl.when(day.is_between(1, first.dt.days_in_month())).then(first + pl.duration(days=day - 1))
    if "a" in frame.columns:
        stated = pl.col("a")
        found = pl.when(stated.is_null() | (found.dt.weekday() == stated)).then(found)
    return frame.select(found.cast(pl.Date).alias("day")).to_series()


def _latest_with_weekday(fields: pl.DataFrame, exported: dt.date | pl.Series) -> pl.Series:
    """Days without a year, such as Wed Dec 17th: in the latest year, not after the export, with that weekday."""
    days = pl.Series("day", [None], dtype=pl.Date).new_from_index(0, fields.height)
    wanted = fields.height - fields["d"].null_count()
    limit: Any = exported + dt.timedelta(days=1)
    if isinstance(exported, pl.Series):
        fields, year = fields.with_columns(exported.dt.year().alias("year")), pl.col("year")
    else:
        year = pl.lit(exported.year, dtype=pl.Int32)
    for back in range(_WEEKDAY_RANGE + 1):
        found = _calendar(fields, year - back)
        days = days.zip_with(days.is_not_null(), found.set(found > limit, None))
        if days.len() - days.null_count() == wanted:
            break
    return days


def _microseconds(found: list[str], *, minutes: bool) -> pl.Expr:
    """The time of day of a frame of fields: null for impossible times, 0 for cells without a time."""
    none = pl.lit(None, dtype=pl.Int32)
    minute, second = (pl.col(n) if n in found else none for n in "MS")
    hour = pl.col("I") if "I" in found else pl.col("H") if "H" in found else none
    half = pl.col("p") if "p" in found else pl.lit(None, dtype=pl.Boolean)
    twelve = hour % 12 + half.cast(pl.Int32) * 12
    right = pl.when(half.is_null()).then(hour.is_between(0, 23)).otherwise(hour.is_between(1, 12))
    right = right & minute.fill_null(0).is_between(0, 59) & second.fill_null(0).is_between(0, 59)
    if minutes:  # in forms with optional minutes, only a time with AM or PM may omit them
        right = right & (minute.is_not_null() | half.is_not_null())
    seconds = (pl.coalesce(twelve, hour).cast(pl.Int64) * 60 + minute.fill_null(0)) * 60 + second.fill_null(0)
    fraction = pl.col("f").fill_null(0) if "f" in found else pl.lit(0, dtype=pl.Int64)
    return pl.when(hour.is_null()).then(0).when(right).then(seconds * 1_000_000 + fraction).cast(pl.Int64)


# -- zones


def _zoned(naive: pl.Series, names: pl.Series, zone: str) -> pl.Series:
    """Wall times in their own zones, converted to UTC; null if the zone is unknown."""
    utc = local(naive.set(names.is_not_null(), None), zone)
    for name in names.drop_nulls().unique().to_list():
        offset = zone_of(name)
        here = names == name
        if offset is None:
            continue
        of_zone = naive.set(~here.fill_null(value=False), None)
        if isinstance(offset, str):
            found = local(of_zone, offset)
        else:
            found = (of_zone.cast(pl.Int64) - int(offset.total_seconds()) * 1_000_000).cast(_STAMP)
        utc = utc.zip_with(utc.is_not_null(), found)
    return utc


@lru_cache(maxsize=4096)
def zone_of(text: str) -> dt.timedelta | str | None:
    """The offset of a zone from UTC, or the IANA name of a place; None if the zone is unknown.

    >>> zone_of("GMT-0400 (Eastern Daylight Time)") == zone_of("EDT") == dt.timedelta(hours=-4)
    True
    >>> zone_of("PT"), zone_of("XYZ")
    ('America/Los_Angeles', None)
    """
    outer, _, inner = text.strip().partition("(")
    given = outer.strip() or inner.rstrip(") ").strip()
    name = given.lower()
    if found := _OFFSET.match(name):
        hours, minutes = int(found[2]), int(found[3] or 0)
        offset = dt.timedelta(hours=hours, minutes=minutes) * (1 if found[1] == "+" else -1)
        return offset if hours <= 23 and minutes <= 59 else None
    if name in FIXED_ZONES:
        return dt.timedelta(hours=FIXED_ZONES[name])
    if name in PLACES:
        return PLACES[name]
    return given if "/" in given and is_zone(given) else None


def local(naive: pl.Series, zone: str) -> pl.Series:
    """Converts local wall time to UTC: the earlier instant of a repeated hour; a skipped hour moves forward."""
    aware = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if aware.null_count() > naive.null_count():
        moved = naive.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        aware = aware.zip_with(aware.is_not_null(), moved)
    return aware.dt.convert_time_zone("UTC")


def _excel_serial(text: pl.Series, zone: str) -> pl.Series:
    number = text.set(~text.str.contains(SERIAL).fill_null(value=False), None)
    days = number.str.extract(r"^([0-9]{5})").cast(pl.Int64)
    # Twelve decimals of a day are far more precise than a microsecond; times in sheets are whole seconds.
    digits = number.str.extract(r"\.([0-9]+)$").fill_null("0").str.slice(0, 12).str.pad_end(12, "0").cast(pl.Int64)
    seconds = (digits * 864 + 5 * 10**9) // 10**10
    parts = pl.DataFrame({"days": days, "seconds": seconds})
    since = pl.duration(days=pl.col("days"), seconds=pl.col("seconds"))
    return local(parts.select(pl.lit(_DAY_ZERO).cast(pl.Datetime("us")) + since).to_series(), zone)


def _empty(height: int) -> pl.Series:
    return pl.Series([None], dtype=_STAMP).new_from_index(0, height)


__all__ = ["FIRST_YEAR", "LAST_YEAR", "SERIAL", "SLASHED", "ParseContext", "local", "orders_of", "read_dates",
           "read_months", "read_timestamps", "zone_of"]  # fmt: skip
