"""The rows that nearly counted, grouped by the reason why they did not."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from rmetrics.explain.asked import Query, RowOutcome
from rmetrics.explain.evidence import Evidence
from rmetrics.findings import count
from rmetrics.rules.expressions import tree
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.polars_form import rendered
from rmetrics.rules.expressions.typing import condition_of
from rmetrics.rules.expressions.written import sql_of
from rmetrics.rules.feeds import Feed

_VALUES = 4


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A group of rows that nearly counted.

    Attributes:
        reason: why they did not count.
        rows: their number.
        amount: what they would have added; None if unknown.
        keys: the keys of all of them.
    """

    reason: str
    rows: int
    amount: Decimal | None
    keys: tuple[str, ...] = field(repr=False, default=())


def nearly_counted(found: Evidence, rows: pl.DataFrame, asked: Query, feed: Feed | None) -> tuple[NearMiss, ...]:
    """Returns the groups of rows that nearly counted.

    Args:
        found: the evidence.
        rows: its rows of the requested source, in or near the month (``near_rows``).
        asked: the requested figure.
        feed: the evidence's feed.
    """
    groups = list[NearMiss]()
    if feed is None:  # touches; amounts without rows have no condition
        return tuple(_unfit(found, rows, None))
    groups += _group(found, rows, RowOutcome.NO_DATE, f"{feed.date} is blank, so they count in no month")
    groups += _uncounted(found, rows, feed)
    groups += _unfit(found, rows, feed)
    groups += _group(found, rows, RowOutcome.BLANK_AMOUNT, "the amount is blank")
    if found.touches:
        groups += _other_ends(found, rows)
    groups += _group(found, rows, RowOutcome.NAMED_AFTER, "another member is named first, and counts go to the first")
    groups += _by_utc(found, rows, asked)
    return tuple(groups)


def near_rows(found: Evidence, asked: Query) -> pl.LazyFrame:
    """Returns the rows of evidence that have the source and are in or near the month, or have no date."""
    day = pl.col("_day")
    near = day.is_null() | asked.within(day)
    if found.stamp is not None:
        near |= asked.within(pl.col(found.stamp).dt.date())
    worth = pl.lit(value=True) if found.near is None else found.near
    return found.rows.filter((found.of or asked).of(pl.col("_source")) & near & worth)


def _near_miss(found: Evidence, rows: pl.DataFrame, reason: str) -> Iterator[NearMiss]:
    if rows.height:
        total = rows["_amount"].sum()
        amount = None if found.scale == 0 else Decimal(int(total or 0)).scaleb(-found.scale)
        yield NearMiss(reason, rows.height, amount, tuple(rows["_key"].sort().to_list()))


def _group(found: Evidence, rows: pl.DataFrame, outcome: RowOutcome, reason: str) -> Iterator[NearMiss]:
    yield from _near_miss(found, rows.filter(pl.col("_outcome") == outcome.value), reason)


def _uncounted(found: Evidence, rows: pl.DataFrame, feed: Feed) -> Iterator[NearMiss]:
    uncounted = rows.filter(pl.col("_outcome") == RowOutcome.NOT_COUNTED.value)
    if not uncounted.height:
        return
    columns = tree.columns_in(parse(feed.where)) if feed.where else ()
    if columns:
        groups = [(_shown(v[0], columns[0], feed), g) for v, g in uncounted.group_by(pl.col(columns[0]))]
        for value, group in sorted(groups, key=lambda g: (-g[1].height, g[0])):  # independent of the order of the rows
            yield from _near_miss(found, group, f"{columns[0]} is {value}")
    else:
        yield from _near_miss(found, uncounted, RowOutcome.NOT_COUNTED.value)


def _unfit(found: Evidence, rows: pl.DataFrame, feed: Feed | None) -> Iterator[NearMiss]:
    """Yields rows that do not meet the condition: first those that fail a single part of it, then the rest."""
    remaining = rows.filter(pl.col("_outcome") == RowOutcome.UNFIT.value)
    if not remaining.height or found.condition is None or found.row is None:
        return
    condition = parse(found.condition)
    leaves = list(_leaves(condition))
    for leaf in [leaf for leaf in leaves if leaf.within_and or len(leaves) == 1]:
        without = rendered(condition_of(_without(condition, leaf.path), found.row)).fill_null(value=False)
        # Lazily, as Polars 2.1 may return one value for all rows if a condition is evaluated eagerly.
        missed = remaining.lazy().filter(without).collect()
        reason = f"{leaf.text} does not hold: {_values(missed, leaf.columns, feed)}"
        yield from _near_miss(found, missed, reason)
        remaining = remaining.lazy().filter(~without).collect()
    if remaining.height:
        first = leaves[0]
        reason = f"none of {found.condition} holds: {_values(remaining, first.columns, feed)}"
        yield from _near_miss(
            found, remaining, reason if len(found.condition) < 160 else f"{_values(remaining, first.columns, feed)}"
        )


def _other_ends(found: Evidence, rows: pl.DataFrame) -> Iterator[NearMiss]:
    """Yields touches with another outcome, grouped by its reason."""
    other = rows.filter((pl.col("_outcome") == RowOutcome.OTHER_END.value) & pl.col("_why").is_not_null())
    groups = [(str(why), group) for (why,), group in other.group_by("_why")]
    for why, group in sorted(groups, key=lambda g: (-g[1].height, g[0])):
        yield from _near_miss(found, group, why)


def _by_utc(found: Evidence, rows: pl.DataFrame, asked: Query) -> Iterator[NearMiss]:
    if found.stamp is None or found.stamp not in rows.columns:
        return
    by_utc = asked.within(pl.col(found.stamp).dt.date())
    elsewhere = rows.filter(by_utc & (pl.col("_outcome") == RowOutcome.OTHER_MONTH.value))
    when = f"{asked.month:%Y-%m} to {asked.last:%Y-%m}" if asked.last else f"{asked.month:%Y-%m}"
    reason = f"in {when} by UTC, but in another month by local time"
    yield from _near_miss(found, elsewhere, reason)


# -- parts of the condition


@dataclass(frozen=True, slots=True)
class _Leaf:
    """An operand of AND or OR: its path, its SQL, its columns, and whether it is inside an AND."""

    path: tuple[int, ...]
    text: str
    columns: tuple[str, ...]
    within_and: bool


def _leaves(node: tree.Node, path: tuple[int, ...] = (), *, within_and: bool = False) -> Iterator[_Leaf]:
    """Yields the operands that AND and OR join, from left to right."""
    if isinstance(node, tree.Joined):
        inside = within_and or node.word == "AND"
        for i, child in enumerate(node.parts):
            yield from _leaves(child, (*path, i), within_and=inside)
    else:
        yield _Leaf(path, sql_of(node), tree.columns_in(node), within_and)


def _without(node: tree.Node, path: tuple[int, ...]) -> tree.Node:
    """Returns the condition with one leaf replaced by TRUE."""
    if not path or not isinstance(node, tree.Joined):
        return tree.Truth(value=True)
    parts = tuple(_without(p, path[1:]) if i == path[0] else p for i, p in enumerate(node.parts))
    return tree.Joined(node.word, parts)


def _values(rows: pl.DataFrame, columns: tuple[str, ...], feed: Feed | None) -> str:
    """Lists the most frequent values of the first column: ``cost is 0.00 (14), blank (3)``."""
    if not columns or not rows.height or columns[0] not in rows.columns:
        return count(rows.height, "row")
    name = columns[0]
    counts = rows.group_by(name).len().sort(["len", name], descending=[True, False], nulls_last=True)
    shown = [f"{_shown(v, name, feed)} ({n})" for v, n in counts.head(_VALUES).iter_rows()]
    more = counts.height - _VALUES
    return f"{name} is {', '.join(shown)}" + (f" and {more} others" if more > 0 else "")


def _shown(value: object, column: str, feed: Feed | None) -> str:
    if value is None:
        return "blank"
    spec = feed.columns.get(column) if feed else None
    if spec is not None and not spec.publish:
        return "***"
    return value.isoformat() if isinstance(value, dt.date) else str(value)
