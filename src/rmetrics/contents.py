"""What a published table must hold, month by month, and how one month is told from another.

The rows of a table are told apart by month; ``NO_PART`` stands for rows without a day, and for the whole of a table
that has no months. A month's digest is what ``published_parts`` keeps. It is made of sums over rows (``month_sums``),
so a change of rows is a change of sums, and nobody needs to hash a history to which a day was added.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.periods import NO_PART, part_of
from rmetrics.postgres import quoted
from rmetrics.tables import PgTable

PART = "_part"
SUMS = {"table": pl.String(), PART: pl.Date(), "rows": pl.Int64(), "a": pl.UInt64(), "b": pl.UInt64()}
_WRAP = 2**64


@dataclass(frozen=True, slots=True)
class Digest:
    """How many rows a month has, and a digest of them that does not depend on their order."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a table's rows are other than they were.

    Attributes:
        before: the digest of each month as it was.
        rows: the rows that came or are not what they were, in the table's columns.
    """

    before: Mapping[dt.date, Digest]
    rows: pl.LazyFrame


@dataclass(frozen=True, slots=True)
class Content:
    """What a table must hold.

    Attributes:
        table: its name, columns and key.
        digests: of every month that has rows.
        months: gives the rows of some months, with the table's columns; more are allowed.
        change: what changed since another state of the table, where that is known: where the database is in that state,
            only the rows that differ need to go to the server.
    """

    table: PgTable
    digests: Mapping[dt.date, Digest]
    months: Callable[[Collection[dt.date]], pl.LazyFrame]
    change: Change | None = None

    def __post_init__(self) -> None:
        table = self.table
        if table.sums and self.digests.keys() - {NO_PART} and table.part not in table.key:
            raise ValueError(f"{table.name} is added up over months: it must have none")

    def rows(self, months: Collection[dt.date]) -> pl.LazyFrame:
        """The conformed rows of some months."""
        if not months:
            return pl.LazyFrame(schema={c.name: polars_type(c.type) for c in self.table.columns})
        return conformed(self.table, self.months(months))

    def differing(self, months: Collection[dt.date], published: Mapping[dt.date, Digest]) -> tuple[pl.LazyFrame, bool]:
        """The rows of some months that may differ from the published ones, and whether these are all their rows."""
        change = self.change
        if change is not None and all(published.get(m) == change.before.get(m) for m in months):
            return conformed(self.table, change.rows), False
        return self.rows(months), True


def conformed(table: PgTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows with exactly the table's columns and types, added up where the table asks for it."""
    return added_up(table, rows).select(pl.col(c.name).cast(polars_type(c.type)) for c in table.columns)


def added_up(table: PgTable, rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row per key where the table holds sums of its rows; the rows as they are where it does not."""
    if not table.sums:
        return rows
    others = [c.name for c in table.columns if c.name not in table.key]
    rows = rows.group_by(table.key).agg(
        *(pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()).alias(n) for n in others)
    )
    return rows.filter(pl.all_horizontal(pl.col(c.name).is_not_null() for c in table.columns if c.not_null))


def month_of(table: PgTable) -> pl.Expr:
    """The part a row belongs to."""
    return pl.lit(NO_PART) if table.part is None else part_of(pl.col(table.part))


def polars_type(pg_type: str) -> pl.DataType:
    """The type whose Arrow form ADBC's COPY stores unchanged in a column of this PostgreSQL type."""
    if pg_type.startswith("numeric("):
        precision, scale = (int(p) for p in pg_type[8:-1].split(","))
        return pl.Decimal(precision, scale)
    return {
        "character varying": pl.String(),
        "text": pl.String(),
        "date": pl.Date(),
        "timestamp with time zone": pl.Datetime("us", "UTC"),
        "integer": pl.Int32(),
        "bigint": pl.Int64(),
        "boolean": pl.Boolean(),
    }[pg_type]


def month_sums(table: PgTable, rows: pl.LazyFrame) -> pl.DataFrame:
    """What the digests of a table's months are made of: ``SUMS``, one row per month that has rows.

    The hash of a row depends on the library's version, and so does the digest.
    """
    row = pl.struct(table.names).hash(seed=1).alias("a")
    return (
        conformed(table, rows)
        .select(month_of(table).alias(PART), row)
        .group_by(PART)
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("a").sum(), pl.col("a").hash(seed=2).sum().alias("b"))
        .select(pl.lit(table.name).alias("table"), PART, "rows", "a", "b")
        .cast(SUMS)  # type: ignore[arg-type]
        .collect(engine="streaming")
    )


def sums_after(before: pl.DataFrame, came: pl.DataFrame, went: pl.DataFrame) -> pl.DataFrame:
    """The sums of a table's months after a change: those before, more those of rows that came, less of those gone.

    Raises:
        ValueError: more rows went than there were: the change is not one of this table.
    """
    found: dict[tuple[str, dt.date], list[int]] = {}
    for sign, sums in ((1, before), (1, came), (-1, went)):
        for table, month, *numbers in sums.iter_rows():
            held = found.setdefault((table, month), [0, 0, 0])
            for i, number in enumerate(numbers):
                held[i] += sign * number
    if any(rows < 0 for rows, _, _ in found.values()):
        raise ValueError("more rows are gone than there were")
    rows = [(*key, n, a % _WRAP, b % _WRAP) for key, (n, a, b) in found.items() if n]
    return pl.DataFrame(rows, schema=SUMS, orient="row")


def digests(sums: pl.DataFrame, table: str) -> dict[dt.date, Digest]:
    """The digest of each month of a table that has rows, of their sums."""
    found = sums.filter(pl.col("table") == table).select(PART, "rows", "a", "b")
    return {month: Digest(rows, f"{a:016x}{b:016x}:{pl.__version__}") for month, rows, a, b in found.iter_rows()}


def within(table: PgTable, alias: str, months: Iterable[dt.date]) -> str:
    """The SQL condition for rows of some months, in ranges of the date that an index can find."""
    wanted = sorted(set(months))
    if table.part is None:
        return "true" if NO_PART in wanted else "false"
    column = f"{alias}.{quoted(table.part)}"
    numbers = [m.year * 12 + m.month - 1 for m in wanted]
    firsts = [n for n in numbers if n - 1 not in numbers]
    lasts = [n for n in numbers if n + 1 not in numbers]
    found = [
        f"{column} >= {_first_day(first)} AND {column} < {_first_day(last + 1)}"
        for first, last in zip(firsts, lasts, strict=True)
    ]
    if NO_PART in wanted:
        found.append(f"{column} IS NULL")
    return "(" + " OR ".join(found) + ")" if found else "false"


def month_in_sql(table: PgTable, alias: str) -> str:
    """SQL of the part a row belongs to, as ``month_of`` gives it."""
    if table.part is None:
        return f"DATE '{NO_PART}'"
    return f"coalesce(date_trunc('month', {alias}.{quoted(table.part)})::date, DATE '{NO_PART}')"


def _first_day(month: int) -> str:
    return f"DATE '{month // 12:04}-{month % 12 + 1:02}-01'"  # of the year 10000 too, which Python's dates lack
