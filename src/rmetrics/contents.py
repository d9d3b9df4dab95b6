"""What a published table must hold, month by month, and how one month is told from another.

A part is the rows of one month of a table; ``NO_PART`` stands for rows without a day, and for the whole of a table that
is one part. Its digest is what ``published_parts`` keeps; hashing rows costs time, so the digest of rows that come from
where they came from before is remembered.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rmetrics.periods import NO_PART, part_of
from rmetrics.postgres import quoted
from rmetrics.tables import PgTable

PART = "_part"
_OWN = "_own"

Remembered = Mapping[str, Mapping[str, Sequence[object]]]
"""By table and month (ISO): what the rows were made of, how many there were, and their digest. Fit for JSON."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one month.

    Attributes:
        rows: a query with the table's columns; more are allowed.
        identity: a digest of where the rows come from. Equal identities, equal rows.
        before: the month as it was when it was last published, where that is still at hand: then only the rows that
            differ go to the server.
    """

    rows: pl.LazyFrame
    identity: str
    before: "Part | None" = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a table must hold: every month it has rows in."""

    table: PgTable
    parts: Mapping[dt.date, Part]

    def __post_init__(self) -> None:
        table = self.table
        if table.sums and self.parts.keys() - {NO_PART} and table.part not in table.key:
            raise ValueError(f"{table.name} is added up over months: it must be one part")


@dataclass(frozen=True, slots=True)
class Digest:
    """How many rows a part has, and a digest of them that does not depend on their order."""

    rows: int
    digest: str


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


def rows_of(content: Content, months: Iterable[dt.date]) -> pl.LazyFrame:
    """The conformed rows of some months, one after the other; ``PART`` says which."""
    table = content.table
    frames = [
        conformed(table, content.parts[month].rows).with_columns(pl.lit(month).alias(PART)) for month in sorted(months)
    ]
    if frames:
        return pl.concat(frames)
    return pl.LazyFrame(schema={**{c.name: polars_type(c.type) for c in table.columns}, PART: pl.Date})


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


def part_digests(
    content: Content, known: Mapping[str, Sequence[object]]
) -> tuple[dict[dt.date, Digest], dict[str, list[object]]]:
    """The digest of each month that has rows, and what to remember of them.

    Args:
        content: what the table must hold.
        known: what was remembered of this table; only a cache.

    Raises:
        ValueError: a row does not belong to the month it is given for.
    """
    made_of = {month: _made_of(content.table, part) for month, part in content.parts.items()}
    found: dict[dt.date, Digest] = {}
    for month, origin in made_of.items():
        before = known.get(month.isoformat(), ())
        if len(before) == 3 and before[0] == origin:
            found[month] = Digest(int(str(before[1])), str(before[2]))
    found |= _hashed(content, [m for m in made_of if m not in found])
    remembered: dict[str, list[object]] = {
        month.isoformat(): [made_of[month], d.rows, d.digest] for month, d in sorted(found.items())
    }
    return {month: d for month, d in found.items() if d.rows}, remembered


def changed_rows(
    content: Content,
    months: Iterable[dt.date],
    published: Mapping[dt.date, Digest],
    known: Mapping[str, Sequence[object]],
) -> tuple[pl.LazyFrame, bool]:
    """The rows of some months that may differ from the published ones, and whether these are all rows of the months.

    Args:
        content: what the table must hold.
        months: of which.
        published: what the database says of its months.
        known: what was remembered of this table; only a cache.
    """
    frames, whole = list[pl.LazyFrame](), True
    for month in sorted(months):
        rows, before = conformed(content.table, content.parts[month].rows), content.parts[month].before
        if before is not None and _same_columns(content.table, content.parts[month].rows, before.rows):
            earlier = Content(content.table, {month: before})
            if part_digests(earlier, known)[0].get(month) == published.get(month, Digest(0, "")):
                held = conformed(content.table, before.rows)
                rows, whole = rows.join(held, on=list(content.table.names), how="anti", nulls_equal=True), False
        frames.append(rows)
    return pl.concat(frames), whole


def _same_columns(table: PgTable, rows: pl.LazyFrame, before: pl.LazyFrame) -> bool:
    """Whether the rules have not given the table other columns since."""
    now, then = rows.collect_schema(), before.collect_schema()
    return all(name in now and now[name] == then.get(name) for name in table.names)


def _made_of(table: PgTable, part: Part) -> str:
    """Everything a part's digest depends on."""
    columns = [(c.name, c.type, c.not_null) for c in table.columns]
    meaning = json.dumps([part.identity, table.key, columns, table.part, table.sums, pl.__version__])
    return hashlib.sha256(meaning.encode()).hexdigest()


def _hashed(content: Content, months: Sequence[dt.date]) -> dict[dt.date, Digest]:
    if not months:
        return {}
    table = content.table
    row = pl.struct(table.names).hash(seed=1).alias("a")
    # Two sums of 64 bits; the hash depends on the library's version, and so does the digest.
    sums = (
        rows_of(content, months)
        .select(PART, (month_of(table) == pl.col(PART)).alias(_OWN), row)
        .group_by(PART)
        .agg(pl.len().cast(pl.Int64), pl.col(_OWN).all(), pl.col("a").sum(), pl.col("a").hash(seed=2).sum().alias("b"))
        .select(PART, "len", _OWN, "a", "b")
        .collect(engine="streaming")
    )
    found = {month: Digest(0, "") for month in months}
    for month, rows, own, a, b in sums.iter_rows():
        if not own:
            raise ValueError(f"{table.name}: rows of another month are among those of {month}")
        found[month] = Digest(rows, f"{a:016x}{b:016x}:{pl.__version__}")
    return found


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
