"""How one version of a month is told from another, and what its columns add up to.

``published_parts`` keeps a digest of each month; hashing rows costs time, so the digest of rows that come from where
they came from before is remembered, with the totals that the next publish reads back against.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from rmetrics.contents import PART, Content, Part, conformed, month_of, rows_of
from rmetrics.tables import PgTable

_OWN, _HASH, _SECOND = "_own", "_hash", "_second"
_WORD = 2**64

Totals = tuple[Decimal, ...]
"""Of some rows: how many there are, the sum of each number, the filled cells of each column; see ``totalled``."""

Remembered = Mapping[str, Mapping[str, Sequence[object]]]
"""By table and month (ISO): what the rows were made of, how many, their digest, their totals. Fit for JSON."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What tells a part from another: how many rows it has, and a digest of them that does not depend on their order.

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


class Tally:
    """Takes the digests and totals of a table's months from batches of its rows, in whatever order they pass.

    Args:
        content: what the table must hold.
    """

    def __init__(self, content: Content) -> None:
        self._content, self._table = content, content.table
        self._found: dict[dt.date, tuple[int, int, Totals]] = {}

    def marked(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The rows (with ``PART``) and the columns that ``add`` needs beside them."""
        # Two hashes of 64 bits; they depend on the library's version, and so does the digest.
        return rows.with_columns(
            (month_of(self._table) == pl.col(PART)).alias(_OWN), pl.struct(self._table.names).hash(seed=1).alias(_HASH)
        ).with_columns(pl.col(_HASH).hash(seed=2).alias(_SECOND))

    def collect(self, rows: pl.LazyFrame) -> None:
        """Adds the rows of a query.

        Raises:
            ValueError: a row does not belong to the month it is given for.
        """
        self._take(self.marked(rows).group_by(PART).agg(*self._sums()).collect(engine="streaming"))

    def add(self, batch: pl.DataFrame) -> None:
        """Adds a batch of marked rows.

        Raises:
            ValueError: a row does not belong to the month it is given for.
        """
        self._take(batch.group_by(PART).agg(*self._sums()))

    def _sums(self) -> list[pl.Expr]:
        numbers, others = numbers_and_others(self._table)
        return [
            pl.col(_OWN).all(),
            pl.col(_HASH).sum(),
            pl.col(_SECOND).sum(),
            pl.len().cast(pl.Int64),
            *(_wide(self._table, c).sum().alias(f"sum {c}") for c in numbers),
            *(pl.col(c).count().alias(f"count {c}") for c in [*numbers, *others]),
        ]

    def _take(self, sums: pl.DataFrame) -> None:
        for month, own, a, b, *totals in sums.iter_rows():
            if not own:
                raise ValueError(f"{self._table.name}: rows of another month are among those of {month}")
            first, second, before = self._found.get(month, (0, 0, nothing(self._table)))
            more = tuple(Decimal(t or 0) for t in totals)
            self._found[month] = (first + a) % _WORD, (second + b) % _WORD, added(before, more)

    def digests(self) -> dict[dt.date, Digest]:
        """The digest of every month that had rows."""
        return {
            month: Digest(int(totals[0]), f"{a:016x}{b:016x}:{pl.__version__}", totals)
            for month, (a, b, totals) in self._found.items()
        }

    def remembered(self) -> dict[str, list[object]]:
        """What to remember of every month of the content; a month without rows has none."""
        found, none = self.digests(), Digest(0, "", nothing(self._table))
        return {
            month.isoformat(): _note(_made_of(self._table, part), found.get(month, none))
            for month, part in sorted(self._content.parts.items())
        }


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
        before = remembered_digest(content.table, known, month, origin)
        if before is not None:
            found[month] = before
    if new := [m for m in made_of if m not in found]:
        tally = Tally(content)
        tally.collect(rows_of(content, new))
        found |= {m: Digest(0, "", nothing(content.table)) for m in new} | tally.digests()
    remembered = {month.isoformat(): _note(made_of[month], d) for month, d in sorted(found.items())}
    return {month: d for month, d in found.items() if d.rows}, remembered


def remembered_digest(
    table: PgTable, known: Mapping[str, Sequence[object]], month: dt.date, origin: str | None = None
) -> Digest | None:
    """What was remembered of a month; None where that is not known, or where its rows came from elsewhere.

    Args:
        table: the table.
        known: what was remembered of it.
        month: which.
        origin: what its rows must be made of; None takes any.
    """
    note = known.get(month.isoformat(), ())
    if len(note) != 4 or (origin is not None and note[0] != origin):
        return None
    totals = tuple(Decimal(str(t)) for t in note[3]) if isinstance(note[3], list) else ()
    return Digest(int(str(note[1])), str(note[2]), totals) if len(totals) == len(totalled(table)) else None


def _note(origin: str, digest: Digest) -> list[object]:
    return [origin, digest.rows, digest.digest, [str(t) for t in digest.totals]]


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


def _wide(table: PgTable, column: str) -> pl.Expr:
    """A column in a type whose sum cannot run over: that of 32 bits has 32 bits, too."""
    kind = next(c.type for c in table.columns if c.name == column)
    return pl.col(column) if kind.startswith("numeric") else pl.col(column).cast(pl.Int64)
