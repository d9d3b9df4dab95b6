"""One row per key: the newest export wins, column by column.

A blank cell in the newest export blanks the value; a column missing from the newest export keeps its older value.
The absence of a row never deletes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from rmetrics.positions import COUNTED, FILE, LINE, PARTS
from rmetrics.rules.dated import Dated
from rmetrics.rules.expressions.polars_form import DTYPES, derived, is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ROW_ID, Feed
from rmetrics.rules.rows import feed_row, mapped_row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TypedExport:
    """The typed rows of one export, or of several with the same columns.

    Attributes:
        rows: the columns of the export, and ``_line``; for several exports also ``_file``.
        columns: which of the feed's mapped columns those are.
        ranks: the ranks of the exports, from old to new, unique; ``_file`` of their rows.
    """

    rows: pl.LazyFrame
    columns: tuple[str, ...]
    ranks: tuple[int, ...]


def all_versions(exports: Sequence[TypedExport], feed: Feed, base: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Returns all versions of all rows, in the columns of ``newest_rows``."""
    columns = typed_columns(feed)
    frames = [_aligned(e, columns, summed=feed.repeats == "sum") for e in exports]
    if base is not None:
        frames.append(base.select(*columns, LINE, PARTS, FILE))
    if not frames:
        return pl.LazyFrame(schema={**columns, LINE: pl.Int64(), PARTS: pl.Int64(), FILE: pl.UInt32()})
    return pl.concat(frames)


def newest_rows(exports: Sequence[TypedExport], feed: Feed, base: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Returns the newest version of every row.

    Args:
        exports: the typed exports of one feed, in any order.
        feed: the feed; its ``key_columns`` are the key, in which null counts as a value.
        base: the result of this function for older exports, for all their rows or for some keys; None for none.

    Returns:
        One row per key: all mapped columns (null if no export had them), ``_file``, ``_line`` and ``_parts`` (number of
        lines that make up the row) of the newest version. An empty frame with the same columns for no exports.

    Source: the design, section 1 (newest wins, absence never deletes).
    """
    every, key = all_versions(exports, feed, base), list(feed.key_columns)
    # Most keys occur once: only the others need the costly merge by column.
    repeated = every.group_by(key).len().filter(pl.col("len") > 1).select(key)
    single = every.join(repeated, on=key, how="anti", nulls_equal=True)
    versions = every.join(repeated, on=key, how="semi", nulls_equal=True)
    return pl.concat([single, put_together(versions, exports, feed)])


def put_together(versions: pl.LazyFrame, exports: Sequence[TypedExport], feed: Feed) -> pl.LazyFrame:
    """Returns one row per key, each column from the newest export that has it.

    Args:
        versions: rows of ``all_versions``: all versions of some keys.
        exports: the exports that they come from.
        feed: the feed.
    """
    key, age = list(feed.key_columns), [FILE, LINE]
    return (
        versions.group_by(key)
        .agg(
            *(_latest(n, exports).alias(n) for n in typed_columns(feed) if n not in key),
            *(pl.col(n).sort_by(age).last() for n in (LINE, PARTS, FILE)),
        )
        .select(*typed_columns(feed), LINE, PARTS, FILE)
    )


def typed_columns(feed: Feed) -> dict[str, pl.DataType]:
    """Returns the mapped columns of a feed's rows and their types, after the generated id of feeds without one."""
    made_up: dict[str, pl.DataType] = {k: pl.String() for k in feed.key_columns if k not in feed.mapped}
    return {**made_up, **{n: DTYPES[c.type] for n, c in feed.mapped.items()}}


def _aligned(export: TypedExport, columns: dict[str, pl.DataType], *, summed: bool) -> pl.LazyFrame:
    present = {*export.columns, ROW_ID}
    return export.rows.select(
        *((pl.col(n) if n in present else pl.lit(None, dtype=t)).alias(n) for n, t in columns.items()),
        pl.col(LINE),
        pl.col(PARTS) if summed else pl.lit(1, dtype=pl.Int64).alias(PARTS),
        pl.lit(export.ranks[0], dtype=pl.UInt32).alias(FILE) if len(export.ranks) == 1 else pl.col(FILE),
    )


def _latest(name: str, exports: Sequence[TypedExport]) -> pl.Expr:
    """Value of the newest export that has the column; merged older rows (``base``) already hold its older value."""
    missing = [rank for e in exports if name not in e.columns for rank in e.ranks]
    value, age = pl.col(name), [pl.col(FILE), pl.col(LINE)]
    if not missing:
        return value.sort_by(age).last()
    has = ~pl.col(FILE).is_in(missing)
    return value.filter(has).sort_by(*(a.filter(has) for a in age)).last()


def feed_rows(newest: pl.LazyFrame, feed: Feed, where: Dated[str | None], zone: str) -> pl.LazyFrame:
    """Adds derived columns, the business date and whether the row counts.

    Args:
        newest: one row per key.
        feed: the feed.
        where: the feed's condition for rows that count, in force by business date.
        zone: the business time zone.

    Returns:
        The same rows with the derived columns, ``feed.business_date`` (null if the date is blank) and ``counted``
        (never null).
    """
    mapped, row = mapped_row(feed, zone), feed_row(feed, zone)
    computed = [derived(c.sql, mapped, c.type).alias(n) for n, c in feed.derived.items() if c.sql]
    date = pl.col(feed.date)
    if feed.business_date != feed.date:
        date = date.dt.convert_time_zone(zone).dt.date()
    rows = newest.with_columns(computed).with_columns(date.alias(feed.business_date))
    counted = in_force(where, pl.col(feed.business_date), lambda w: _holds(w, row))
    return rows.with_columns(counted.alias(COUNTED))


def _holds(where: str | None, row: Row) -> pl.Expr:
    return pl.lit(value=True) if where is None else is_true(where, row)


def in_force(dated: Dated[T], day: pl.Expr, value: Callable[[T], pl.Expr]) -> pl.Expr:
    """Expression of the version in force on ``day``; rows without a day follow the latest version."""
    versions = list(dated.versions)
    result = value(versions[0][1])
    for start, version in versions[1:]:
        result = pl.when(day >= pl.lit(start)).then(value(version)).otherwise(result)
    if len(versions) == 1:
        return result
    return pl.when(day.is_null()).then(value(dated.latest)).otherwise(result)
