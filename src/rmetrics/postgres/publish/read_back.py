"""Compares totals of PostgreSQL's rows with those sent: COPY does not check types, so a wrong one shows in the sums.

Months written as a whole are summed as a whole. Of months in which a few rows changed, only these rows are summed: the
published totals, minus the rows as they were, plus the rows as they are, must equal the new totals. Months grow; the
rows changed in a day do not.
"""

from decimal import Decimal

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Session, quoted
from rmetrics.postgres.publish.digests import Totals, numbers_and_others, totalled
from rmetrics.tables import PgTable


class ReadBackError(PostgresError):
    """PostgreSQL's rows differ from those sent."""


def _totals_sql(table: PgTable) -> str:
    """The SQL expressions for the totals of rows ``t``."""
    numbers, others = numbers_and_others(table)
    return ", ".join(
        [
            "count(*)",
            *(f"coalesce(sum(t.{quoted(c)}), 0)::text" for c in numbers),
            *(f"count(t.{quoted(c)})" for c in [*numbers, *others]),
        ]
    )


def _totals(session: Session, sql: str) -> Totals:
    return tuple(Decimal(str(n)) for n in session.query(sql)[0])


def totals_within(session: Session, table: PgTable, inside: str) -> Totals:
    """The totals of the rows ``t`` that meet a condition."""
    return _totals(session, f"SELECT {_totals_sql(table)} FROM {quoted(table.name)} AS t WHERE {inside}")


def totals_of_keys(session: Session, table: PgTable, stage: str) -> Totals:
    """The totals of the rows whose keys are in a temporary table."""
    same = " AND ".join(f"t.{quoted(k)} = s.{quoted(k)}" for k in table.key)
    return _totals(
        session,
        f"SELECT {_totals_sql(table)} FROM pg_temp.{quoted(stage)} AS s JOIN {quoted(table.name)} AS t ON {same}",
    )


def delete_totalled(session: Session, table: PgTable, inside: str) -> Totals:
    """Deletes the rows ``t`` that meet a condition; returns their totals."""
    columns = ", ".join(f"t.{quoted(c)}" for c in table.names)
    return _totals(
        session,
        f"WITH gone AS (DELETE FROM {quoted(table.name)} AS t WHERE {inside} RETURNING {columns}) "
        f"SELECT {_totals_sql(table)} FROM gone AS t",
    )


def require_equal(table: PgTable, sent: Totals, read: Totals) -> None:
    """Compares the totals read back with those sent.

    Raises:
        ReadBackError: they differ; names the column.
    """
    for name, expected, actual in zip(totalled(table), sent, read, strict=True):
        if expected != actual:
            raise ReadBackError(
                f"table {table.name}, {name}: sent {expected}, read back {actual}",
                "Nothing was changed. Please report this with the output of `rmetrics doctor`.",
            )
