"""Compares PostgreSQL with the expected rows, row by row and column by column."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rmetrics.postgres.connection import Session, catalog, connect, quoted
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.limits import fitting
from rmetrics.postgres.publish.months import PART, conformed, month_in_sql, month_of, polars_type, within
from rmetrics.postgres.run_log import last_good
from rmetrics.postgres.server import Database, existing_server
from rmetrics.tables import PgTable

MISSING, EXTRA = "missing in PostgreSQL", "only in PostgreSQL"
_ROWS_AT_ONCE = 250_000
_EXAMPLES = 50


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One value or one row that differs between lake and database.

    Attributes:
        key: the row's key, parts joined by slashes.
        column: the column; ``MISSING`` or ``EXTRA`` if the whole row differs.
        lake, postgres: the values as text.
    """

    table: str
    key: str
    column: str
    lake: str | None = None
    postgres: str | None = None

    def __str__(self) -> str:
        if self.column in (MISSING, EXTRA):
            return f"{self.table} {self.key}: row {self.column}"
        return f"{self.table} {self.key}: {self.column} is {self.postgres} in PostgreSQL, {self.lake} computed"


@dataclass(frozen=True, slots=True)
class TableDifferences:
    """The differences of a published table from the lake: the number of rows, and examples."""

    table: str
    rows: int
    examples: tuple[RowDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class LastPublished:
    """A session of the published database, and the run and the rules whose figures it holds."""

    session: Session
    run_id: str
    rules_hash: str


@contextlib.contextmanager
def published_session(database: Database) -> Iterator[LastPublished | None]:
    """Yields a session of the published database; None if nothing is published.

    Raises:
        PostgresError: the server cannot be reached.
    """
    with existing_server(database) as target:
        if target is None:
            yield None
            return
        with connect(target, schema=database.schema) as session:
            last = last_good(session) if has_all(session, ["sync_runs", "published_parts"]) else None
            yield LastPublished(session, last.run_id, last.rules_hash) if last else None


def table_differences(
    session: Session,
    table: PgTable,
    rows: pl.LazyFrame,
    *,
    only: pl.DataFrame | None = None,
    hidden: Sequence[str] = (),
) -> TableDifferences:
    """Compares a published table with its expected rows; rows beyond the column limits (``amounts``) are left out.

    Args:
        session: of the database.
        table: the published table.
        rows: the lake's rows for it.
        only: keys (the table's key columns) to compare; None compares everything.
        hidden: columns whose values must not be shown.
    """
    existing = catalog(session, table.name)
    missing = [n for n in table.names if n not in existing]
    if missing:
        return TableDifferences(table.name, 1, (RowDifference(table.name, "-", f"column {missing[0]} {MISSING}"),))
    wanted = conformed(table, fitting(table, rows)).with_columns(month_of(table).alias(PART))
    if only is not None:
        only = only.select(pl.col(c.name).cast(polars_type(c.type)) for c in table.columns if c.name in table.key)
        wanted = wanted.join(only.lazy(), on=list(table.key), how="semi", nulls_equal=True)
    counted = wanted.group_by(PART).len().collect()
    parts: dict[dt.date, int] = dict(counted.iter_rows())
    if only is None:
        counts = session.query(f"SELECT {month_in_sql(table, 't')}, count(*) FROM {quoted(table.name)} AS t GROUP BY 1")
        for part, count in counts:
            parts[part] = max(count, parts.get(part, 0))
    found, total = list[RowDifference](), 0
    for batch in _batches(parts):
        ours = wanted.filter(pl.col(PART).is_in(batch)).drop(PART).collect()
        theirs = _published(session, table, batch)
        if only is not None:
            theirs = theirs.join(only, on=list(table.key), how="semi", nulls_equal=True)
        for difference in _differences(table, ours, theirs, hidden):
            total += 1
            if len(found) < _EXAMPLES:
                found.append(difference)
    return TableDifferences(table.name, total, tuple(found))


def _batches(parts: Mapping[dt.date, int]) -> Iterator[list[dt.date]]:
    batch, rows = list[dt.date](), 0
    for part, count in sorted(parts.items()):
        if batch and rows + count > _ROWS_AT_ONCE:
            yield batch
            batch, rows = [], 0
        batch.append(part)
        rows += count
    if batch:
        yield batch


def _published(session: Session, table: PgTable, parts: Sequence[dt.date]) -> pl.DataFrame:
    cells = ", ".join(
        f"{quoted(c.name)}::text" if c.type.startswith("numeric") else quoted(c.name) for c in table.columns
    )
    found = session.arrow(f"SELECT {cells} FROM {quoted(table.name)} AS t WHERE {within(table, 't', parts)}")
    frame = pl.DataFrame(found)
    frame.columns = list(table.names)
    return frame.with_columns(pl.col(c.name).cast(polars_type(c.type)) for c in table.columns)


def _differences(
    table: PgTable, ours: pl.DataFrame, theirs: pl.DataFrame, hidden: Sequence[str]
) -> Iterator[RowDifference]:
    key = list(table.key)
    others = [n for n in table.names if n not in key]

    def named(frame: pl.DataFrame, what: str) -> Iterator[RowDifference]:
        for row in frame.select(key).sort(key).iter_rows():
            yield RowDifference(table.name, "/".join(str(v) for v in row), what)

    yield from named(ours.join(theirs, on=key, how="anti", nulls_equal=True), MISSING)
    yield from named(theirs.join(ours, on=key, how="anti", nulls_equal=True), EXTRA)
    both = ours.join(theirs, on=key, how="inner", nulls_equal=True, suffix=" there")
    differs = (
        pl.any_horizontal(pl.col(n).ne_missing(pl.col(f"{n} there")) for n in others) if others else pl.lit(value=False)
    )
    for row in both.filter(differs).sort(key).iter_rows(named=True):
        for name in others:
            mine, other = row[name], row[f"{name} there"]
            if mine != other:
                shown = ("***", "***") if name in hidden else (_text(mine), _text(other))
                yield RowDifference(table.name, "/".join(str(row[k]) for k in key), name, *shown)
                break


def _text(value: object) -> str:
    return "nothing" if value is None else str(value)
