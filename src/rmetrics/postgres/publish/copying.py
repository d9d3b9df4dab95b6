"""Copies the rows of a query into a table with ADBC's COPY, which checks Arrow types only."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from rmetrics.errors import LakeError, PostgresError
from rmetrics.postgres.connection import Session, catalog, quoted
from rmetrics.tables import PgTable

_BATCH = 65_536


def require_types(session: Session, table: PgTable) -> None:
    """Refuses a table whose columns differ from the types we send: COPY would store garbage in them.

    Raises:
        PostgresError: a column has another type or is missing, or a column outside the rules must not be NULL.
    """
    existing = catalog(session, table.name)
    for column in table.columns:
        found = existing.get(column.name)
        if found is None or found.type != column.type:
            what = found.type if found else "missing"
            raise PostgresError(
                f"table {table.name}: column {column.name} is {what} instead of {column.type}",
                "Rename or drop this column or table (it is a copy of the lake), then sync again. If the rules were "
                f"edited: give {column.name} its former type in [feeds.{table.name}.columns].",
            )
    for name, found in existing.items():
        if found.not_null and not found.generated and name not in table.names and name != "only_row":
            raise PostgresError(
                f"table {table.name}: column {name} must not be NULL, but the rules do not fill it",
                "If the rules were edited, undo what left it out (publish_by, or the column itself), then sync."
                " If not, it may be a renamed column of rmetrics: drop it, as the table is a copy of the lake "
                f"and is filled again (ALTER TABLE {table.name} DROP COLUMN {name}), or allow NULL, then sync.",
            )


def copy(
    session: Session,
    table: PgTable,
    rows: Iterable[pl.LazyFrame],
    target: str,
    *,
    columns: Sequence[str],
    schema: str | None,
) -> None:
    """Copies some columns of some queries into a table.

    Args:
        session: in a transaction.
        table: the table whose rows they are, named in messages.
        rows: at least one query, all with the same columns; they run one after the other, and may have more columns.
        target: the name of the target table.
        columns: the columns to copy.
        schema: the target's schema; None for a temporary table.

    Raises:
        LakeError: the rows cannot be read.
        PostgresError: the server rejects them.
    """
    failed = list[Exception]()
    try:
        with reading(table.name):
            reader = _reader(rows, columns, failed)
        with reader:
            session.ingest(target, reader, schema=schema)
    except PostgresError:
        with reading(table.name):
            for error in failed:  # the driver reports only that its source failed
                raise error from None
        raise


def _reader(
    rows: Iterable[pl.LazyFrame],
    columns: Sequence[str],
    failed: list[Exception],
) -> Any:
    """Arrow batches in the plain types that ADBC can copy; errors while producing them are added to ``failed``."""
    import pyarrow as pa

    plain = pl.CompatLevel.oldest()
    pieces = iter(rows)
    first = next(pieces)
    wanted = first.collect_schema()
    schema = pl.DataFrame(schema={c: wanted[c] for c in columns}).to_arrow(compat_level=plain).schema

    def batches() -> Iterator[Any]:
        try:
            for query in itertools.chain((first,), pieces):
                for frame in query.collect_batches(chunk_size=_BATCH, lazy=True):
                    yield from frame.select(columns).to_arrow(compat_level=plain).to_batches()
        except Exception as error:  # the driver would return only its text, without its type
            failed.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


def temporary(session: Session, name: str, table: PgTable, columns: Sequence[str]) -> str:
    """Creates an empty temporary table with some of the table's columns; returns its name."""
    session.execute(
        f"CREATE TEMPORARY TABLE {quoted(name[:63])} ON COMMIT DROP AS "
        f"SELECT {', '.join(quoted(c) for c in columns)} FROM {quoted(table.name)} WITH NO DATA"
    )
    return name[:63]


@contextlib.contextmanager
def reading(table: str) -> Iterator[None]:
    """Raises failures to read a table's rows as ``LakeError``."""
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        raise LakeError(
            f"cannot read the rows of {table}: {str(error).splitlines()[0]}",
            "Run the sync again, which rebuilds damaged files of the lake. See also `rmetrics doctor --verify`.",
        ) from error
