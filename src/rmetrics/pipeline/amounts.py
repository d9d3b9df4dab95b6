"""Sums that the published tables cannot hold: refused in words, with the cells they most likely come from."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import polars as pl

from rmetrics.errors import CheckError
from rmetrics.lake import Lake
from rmetrics.pipeline.compute import Computed
from rmetrics.pipeline.tables import table_rows
from rmetrics.rules import Rules
from rmetrics.rules.model import ColumnType
from rmetrics.tables import PgTable

_MONEY, _LIMIT = "numeric(12,2)", Decimal(10) ** 10
_SHOWN = 3


def refuse_large_sums(lake: Lake, rules: Rules, computed: Computed, tables: Sequence[PgTable]) -> None:
    """Refuses to publish where a sum does not fit its column.

    Raises:
        CheckError: names table, column and key of the first, and the export and line of the largest amounts.
    """
    for table in tables:
        try:
            require_sums_fit(table, table_rows(lake, table))
        except CheckError as error:
            largest = "; ".join(_largest(rules, computed))
            raise CheckError(f"{error.message}. The largest amounts in the exports: {largest}", error.hint) from None


def require_sums_fit(table: PgTable, rows: pl.LazyFrame) -> None:
    """Refuses rows with an amount that the published table cannot hold.

    Raises:
        CheckError: names table, column and key of the first.
    """
    there = rows.collect_schema().names()
    for column in (c.name for c in table.columns if c.type == _MONEY and c.name in there):
        first = rows.filter(pl.col(column).abs() >= _LIMIT).select(*table.key, column).head(1).collect()
        if first.height:
            key = ", ".join(f"{k} {v}" for k, v in zip(table.key, first.row(0), strict=False))
            raise CheckError(
                f"{column} in {table.name} ({key}) is {_LIMIT:,} or more, which the table cannot hold; "
                "nothing was published",
                "Lower most of that column in its feed, so that such cells are rejected; correct the export; "
                "or take it back: rmetrics exports withdraw NAME",
            )


def _largest(rules: Rules, computed: Computed) -> Iterator[str]:
    """The largest amount of each money column that could make such a sum, by export and line; no other cell's text."""
    names = {p.rank: p.raw.name for p in computed.placed}
    found: list[tuple[Decimal, str]] = []
    for name, feed in rules.feeds.items():
        money = {c for c, spec in feed.mapped.items() if spec.type is ColumnType.MONEY}
        rows = computed.snapshot.scan(name)
        for column in (c for c in rows.collect_schema().names() if c in money):
            top = rows.select(pl.col(column).abs().alias("a"), "_file", "_line").drop_nulls().top_k(1, by="a").collect()
            if top.height:
                amount, file, line = top.row(0)
                found.append((amount, f"{names.get(file, '?')} line {line}, {column} {amount:,}"))
    found.sort(key=lambda f: -f[0])
    yield from (told for _, told in found[:_SHOWN])
