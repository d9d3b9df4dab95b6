"""Sums too large for the published tables: which they are, and the largest amounts they consist of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from rmetrics.errors import CheckError, withdrawal_hint
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.local import published_pieces
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.postgres.limits import LIMITS, amounts, beyond
from rmetrics.postgres.publish.months import added_up
from rmetrics.rules import Rules
from rmetrics.rules.rows import summed_columns
from rmetrics.tables import DAILY, MONTHLY, PgTable

_SHOWN = 5
HINT = (
    "Lower `most` of this column in its feed, so that such cells are rejected; correct the export; or withdraw it: "
    "rmetrics exports withdraw NAME"
)


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Sums of one column that are too large.

    Attributes:
        table, column: where they would be published.
        rows: how many.
        key: of the first of them, column by column.
        limit: the smallest value that its column cannot hold.
    """

    table: str
    column: str
    rows: int
    key: tuple[tuple[str, object], ...]
    limit: Decimal

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key)
        return f"{self.column} in {self.table} ({key}) is {self.limit:,} or more, which exceeds the range of the table"


def refuse_large_sums(
    rules: Rules, computed: Computed, tables: Sequence[PgTable], *, published: str | None = None
) -> None:
    """Refuses to publish if a sum does not fit its column.

    Args:
        rules: the rules in force.
        computed: the computation to publish.
        tables: the tables to publish to.
        published: digest of what the figures in the database depend on. If an increment is based on them, only its
            rows are checked.

    Raises:
        CheckError: names table, column and key of the first, and the exports and lines of the largest amounts.
    """
    base = computed.before.snapshot.inputs if computed.before else None
    on_published = published is not None and base == published
    changes = computed.increment.changes if computed.increment and on_published else {}
    if first := next(large_sums(computed.rows, tables, {n: c.rows for n, c in changes.items()}), None):
        found = _largest(rules, computed)
        largest = "; ".join(words for _, words in found)
        hint = f"{HINT}. {withdrawal_hint({found[0][0]})}" if found else HINT
        raise CheckError(f"{first}; nothing was published. The largest amounts in the exports: {largest}", hint)


def large_sums(
    rows: Rows, tables: Sequence[PgTable], changed: Mapping[str, pl.LazyFrame] | None = None
) -> Iterator[TooLarge]:
    """Yields the sums that do not fit their columns: those of months and days first, because they name the source.

    Args:
        rows: the rows of a computation.
        tables: the published tables.
        changed: by table, the rows to check; all rows of the other tables are checked.
    """
    changed_rows = changed or {}
    order = (MONTHLY, DAILY)
    exact = [t for t in tables if any(c.type in LIMITS for c in t.columns)]
    for table in sorted(exact, key=lambda t: order.index(t.name) if t.name in order else len(order)):
        pieces = [changed_rows[table.name]] if table.name in changed_rows else published_pieces(rows, table)
        large = [_beyond_limits(table, added_up(table, piece)) for piece in pieces]
        for column, limit in amounts(table, large[0].lazy()).items():
            keys = pl.concat(f.filter(beyond(column, limit)).select(table.key) for f in large).sort(table.key)
            if keys.height:
                key = tuple(zip(table.key, keys.row(0), strict=True))
                yield TooLarge(table.name, column, keys.height, key, limit)


def _beyond_limits(table: PgTable, rows: pl.LazyFrame) -> pl.DataFrame:
    """Returns the rows with a sum that does not fit its column: the key, and the sums."""
    limits = amounts(table, rows)
    too_large = [beyond(column, limit) for column, limit in limits.items()]
    columns = dict.fromkeys([*table.key, *limits])
    return rows.select(*columns).filter(pl.any_horizontal(pl.lit(value=False), *too_large)).collect(engine="streaming")


def largest_amounts(rules: Rules, computed: Computed) -> Iterator[str]:
    """Yields the largest amounts that are summed, by export and line; no other cell's text."""
    yield from (words for _, words in _largest(rules, computed))


def _largest(rules: Rules, computed: Computed) -> list[tuple[str, str]]:
    """Returns the exports of the largest amounts, and each amount in words."""
    names = {p.rank: p.raw.name for p in computed.placed}
    found: list[tuple[Decimal, str, str]] = []
    for feed, column in sorted(summed_columns(rules)):
        rows = computed.rows.scan(feed)
        if column not in rows.collect_schema().names():
            continue
        size = pl.col(column).abs().alias("size")
        top = rows.select(size, column, "_file", "_line").drop_nulls().top_k(_SHOWN, by="size").collect()
        for amount, signed, file, line in top.iter_rows():
            found.append((amount, names[file], f"{names[file]} line {line}, {column} {signed:,}"))
    found.sort(key=lambda f: -f[0])
    return [(export, words) for _, export, words in found[:_SHOWN]]
