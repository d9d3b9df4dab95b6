"""Digests that distinguish versions of a month, and totals of its columns.

``published_parts`` keeps a digest of each month. Like the totals for the read-back, it consists of sums over rows: a
change of rows changes the sums, so a day added to a history does not require hashing the whole history.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from rmetrics.postgres.publish.months import PART, conformed, month_of
from rmetrics.tables import PgTable

SUMS = {
    "table": pl.String(),
    PART: pl.Date(),
    "a": pl.UInt64(),
    "b": pl.UInt64(),
    "totals": pl.String(),
}
_WORD = 2**64

Totals = tuple[Decimal, ...]
"""Of some rows: their number, the sum of each numeric column, the non-null cells of each column; see ``totalled``."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Identifies the contents of a month: the number of rows and an order-independent digest of them.

    Attributes:
        totals: of its columns; empty if known only from the database's bookkeeping.
    """

    rows: int
    digest: str
    totals: Totals = field(default=(), compare=False)


def numbers_and_others(table: PgTable) -> tuple[list[str], list[str]]:
    """The numeric columns, which can be summed, and the others."""
    numbers = [c.name for c in table.columns if c.type.startswith(("numeric", "bigint", "integer"))]
    return numbers, [c for c in table.names if c not in numbers]


def totalled(table: PgTable) -> list[str]:
    """The labels of a table's totals, for messages."""
    numbers, others = numbers_and_others(table)
    return ["rows", *numbers, *numbers, *others]


def nothing(table: PgTable) -> Totals:
    """The totals of an empty set of rows."""
    return (Decimal(0),) * len(totalled(table))


def added(*totals: Totals) -> Totals:
    """The totals of several sets of rows combined."""
    return tuple(sum(values, Decimal(0)) for values in zip(*totals, strict=True))


def less(totals: Totals, removed: Totals) -> Totals:
    """The totals after some of the rows are removed."""
    return tuple(a - b for a, b in zip(totals, removed, strict=True))


def month_sums(table: PgTable, rows: pl.LazyFrame) -> pl.DataFrame:
    """The sums from which the digests of a table's months are made.

    A sum that does not fit its column, which is never published (``pipeline.verify.amounts``), counts as null.

    Args:
        table: the published table.
        rows: with its columns; more are allowed.

    Returns:
        One row per month that has rows, in the columns ``SUMS``: two sums of 64-bit hashes, which depend on the version
        of Polars, and the totals as text.
    """
    numbers, others = numbers_and_others(table)
    row = pl.struct(table.names).hash(seed=_seed(table)).alias("a")
    sums = (
        conformed(table, rows, strict=False)
        .with_columns(month_of(table).alias(PART), row)
        .group_by(PART)
        .agg(
            pl.col("a").sum(),
            pl.col("a").hash(seed=2).sum().alias("b"),
            pl.len().cast(pl.Int64).alias("rows"),
            *(_wide(table, c).sum().alias(f"sum {c}") for c in numbers),
            *(pl.col(c).count().alias(f"count {c}") for c in [*numbers, *others]),
        )
        .collect(engine="streaming")
    )
    found = [(table.name, month, a, b, _text(totals)) for month, a, b, *totals in sums.iter_rows()]
    return pl.DataFrame(found, schema=SUMS, orient="row")


def _seed(table: PgTable) -> int:
    """A seed made from the column names: the same values in other columns are different rows."""
    return int.from_bytes(hashlib.blake2b("\n".join(table.names).encode(), digest_size=8).digest())


def sums_together(sums: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The sums of tables from those of disjoint sets of their rows."""
    nothing_more = pl.DataFrame(schema=SUMS)
    return sums_after(pl.concat(sums), nothing_more, nothing_more)


def sums_after(before: pl.DataFrame, new_rows: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
    """The sums of a table's months after a change: the earlier ones plus those of new rows minus those of removed rows.

    Raises:
        ValueError: more rows were removed than existed: the change belongs to another table.
    """
    found: dict[tuple[str, dt.date], tuple[int, int, Totals]] = {}
    for sign, sums in ((1, before), (1, new_rows), (-1, removed)):
        for table, month, first, second, text in sums.iter_rows():
            totals = _numbers(text)
            a, b, so_far = found.get((table, month), (0, 0, (Decimal(0),) * len(totals)))
            found[table, month] = a + sign * first, b + sign * second, added(so_far, tuple(sign * t for t in totals))
    if any(totals[0] < 0 for _, _, totals in found.values()):
        raise ValueError("more rows are gone than there were")
    rows = [(*key, a % _WORD, b % _WORD, _text(totals)) for key, (a, b, totals) in found.items() if totals[0]]
    return pl.DataFrame(rows, schema=SUMS, orient="row")


def digests(sums: pl.DataFrame, table: PgTable) -> dict[dt.date, Digest]:
    """The digests of a table's months that have rows, from their sums."""
    found = {}
    for month, a, b, text in sums.filter(pl.col("table") == table.name).select(PART, "a", "b", "totals").iter_rows():
        totals = _numbers(text)
        found[month] = Digest(int(totals[0]), f"{a:016x}{b:016x}:{pl.__version__}{_date_column(table)}", totals)
    return found


def are_months_of(table: PgTable, published: Mapping[dt.date, Digest]) -> bool:
    """Whether published digests tell in which month a row of the table is now.

    They do not after an edit of the rules that takes the months from another column, nor if they are empty.
    """
    return all(d.digest.endswith(_date_column(table)) for d in published.values())


def _date_column(table: PgTable) -> str:
    return f":{table.part or ''}"


def _text(totals: list[object] | Totals) -> str:
    return " ".join(str(t or 0) for t in totals)


def _numbers(text: str) -> Totals:
    return tuple(Decimal(t) for t in text.split(" "))


def _wide(table: PgTable, column: str) -> pl.Expr:
    """A column in a type whose sum cannot overflow: Polars sums 32-bit integers in 32 bits."""
    kind = next(c.type for c in table.columns if c.name == column)
    return pl.col(column) if kind.startswith("numeric") else pl.col(column).cast(pl.Int64)


__all__ = [
    "SUMS", "Digest", "Totals", "added", "are_months_of", "digests", "less", "month_sums", "nothing",
    "numbers_and_others", "sums_after", "sums_together", "totalled",
]  # fmt: skip
