"""Daily figures added up over spans of days by the second engine, from the same Parquet file."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

from rmetrics.sandbox.connection import duckdb_errors, file_name, sandbox
from rmetrics.sandbox.given import create_given
from rmetrics.sandbox.quoting import ident, text


def sums_by_span(
    daily: Path,
    spans: Sequence[tuple[date, date]],
    member: str | None,
    measures: Sequence[str],
    *,
    source: str | None,
    segment: str | None,
    dimension: str | None = None,
    long: bool = False,
    temp: Path,
) -> dict[tuple[int, str | None], tuple[Decimal, ...]]:
    """Returns the sums of additive measures, by index of the span and by member.

    Args:
        daily: the Parquet file of ``daily_metrics``, or of another table.
        spans: first and last days, both included.
        member: the column whose values are the members; None: a single member, None.
        measures: columns of the file.
        source: the only source to include; None: all.
        segment: the only segment to include; None: all.
        dimension: the only dimension to include, from a table with a ``month`` column; None: the table has days.
        long: the table has a row per measure, with its ``value``, instead of a column.
        temp: folder for spilled data.

    Raises:
        LakeError: the file cannot be read.
    """
    of = "NULL" if member is None else f"d.{ident(member)}"
    date = "d.date" if dimension is None else "d.month"
    amounts = [f"CASE WHEN d.measure = {text(m)} THEN d.value END" if long else f"d.{ident(m)}" for m in measures]
    cells = ", ".join(f"coalesce(sum({amount}), 0)" for amount in amounts)
    wanted = {"source": source, "segment": segment, "dimension": dimension}
    only = "".join(f" AND d.{column} = {text(value)}" for column, value in wanted.items() if value is not None)
    with duckdb_errors("add up the days"):
        connection = sandbox([daily], temp=temp)
        try:
            numbered = [(i, first, last) for i, (first, last) in enumerate(spans)]
            create_given(connection, "spans", {"n": "BIGINT", "first": "DATE", "last": "DATE"}, numbered)
            found = connection.execute(
                f"SELECT s.n, {of}, {cells} FROM spans AS s JOIN read_parquet({text(file_name(daily))}) AS d "
                f"ON {date} >= s.first AND {date} <= s.last WHERE true{only} GROUP BY ALL"
            ).fetchall()
        finally:
            connection.close()
    return {(n, of_member): tuple(Decimal(v) for v in values) for n, of_member, *values in found}


__all__ = ["sums_by_span"]
