"""How one version of a month is told from another, and what its columns add up to.

``published_parts`` keeps a digest of each month. It is made of sums over rows, and so are the totals that a publish
reads back against: a change of rows is a change of sums, and nobody needs to hash a history to which a day was added.
"""

import datetime as dt
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
"""Of some rows: how many there are, the sum of each number, the filled cells of each column; see ``totalled``."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What tells a month from another: how many rows it has, and a digest of them that does not depend on their order.

    Attributes:
        totals: what its columns add up to; empty where only the database's word is known.
    """

    rows: int
    digest: str
    totals: Totals = field(default=(), compare=False)


def numbers_and_others(table: PgTable) -> tuple[list[str], list[str]]:
    """The columns that can be added up, and the rest."""
    numbers = [c.name for c in table.columns if c.type.startswith(("numeric", "bigint", "integer"))]
    return numbers, [c for c in table.names if c not in numbers]


def totalled(table: PgTable) -> list[str]:
    """What each of a table's totals is of, to name it in a message."""
    numbers, others = numbers_and_others(table)
    return ["rows", *numbers, *numbers, *others]


def nothing(table: PgTable) -> Totals:
    """The totals of no rows."""
    return (Decimal(0),) * len(totalled(table))


def added(*totals: Totals) -> Totals:
    """The totals of several sets of rows together."""
    return tuple(sum(values, Decimal(0)) for values in zip(*totals, strict=True))


def less(totals: Totals, gone: Totals) -> Totals:
    """The totals of what is left without some of the rows."""
    return tuple(a - b for a, b in zip(totals, gone, strict=True))


def month_sums(table: PgTable, rows: pl.LazyFrame) -> pl.DataFrame:
    """What the digests of a table's months are made of.

    Args:
        table: the published table.
        rows: with its columns; more are allowed.

    A sum that its column cannot hold, which is never published (``pipeline.amounts``), stands for none.

    Returns:
        One row per month that has rows, in the columns ``SUMS``: two sums of 64-bit hashes, which depend on the
        library's version, and the totals as text.
    """
    numbers, others = numbers_and_others(table)
    row = pl.struct(table.names).hash(seed=1).alias("a")
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


def sums_after(before: pl.DataFrame, came: pl.DataFrame, went: pl.DataFrame) -> pl.DataFrame:
    """The sums of a table's months after a change: those before, more those of rows that came, less of those gone.

    Raises:
        ValueError: more rows went than there were: the change is not one of this table.
    """
    found: dict[tuple[str, dt.date], tuple[int, int, Totals]] = {}
    for sign, sums in ((1, before), (1, came), (-1, went)):
        for table, month, first, second, text in sums.iter_rows():
            totals = _numbers(text)
            a, b, held = found.get((table, month), (0, 0, (Decimal(0),) * len(totals)))
            found[table, month] = a + sign * first, b + sign * second, added(held, tuple(sign * t for t in totals))
    if any(totals[0] < 0 for _, _, totals in found.values()):
        raise ValueError("more rows are gone than there were")
    rows = [(*key, a % _WORD, b % _WORD, _text(totals)) for key, (a, b, totals) in found.items() if totals[0]]
    return pl.DataFrame(rows, schema=SUMS, orient="row")


def digests(sums: pl.DataFrame, table: str) -> dict[dt.date, Digest]:
    """The digest of each month of a table that has rows, of their sums."""
    found = {}
    for month, a, b, text in sums.filter(pl.col("table") == table).select(PART, "a", "b", "totals").iter_rows():
        totals = _numbers(text)
        found[month] = Digest(int(totals[0]), f"{a:016x}{b:016x}:{pl.__version__}", totals)
    return found


def _text(totals: list[object] | Totals) -> str:
    return " ".join(str(t or 0) for t in totals)


def _numbers(text: str) -> Totals:
    return tuple(Decimal(t) for t in text.split(" "))


def _wide(table: PgTable, column: str) -> pl.Expr:
    """A column in a type whose sum cannot run over: that of 32 bits has 32 bits, too."""
    kind = next(c.type for c in table.columns if c.name == column)
    return pl.col(column) if kind.startswith("numeric") else pl.col(column).cast(pl.Int64)


__all__ = [
    "SUMS", "Digest", "Totals", "added", "digests", "less", "month_sums", "nothing", "numbers_and_others",
    "sums_after", "totalled",
]  # fmt: skip
