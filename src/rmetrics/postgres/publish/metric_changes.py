"""``metric_changes``: every published figure that changed, old and new, with its cause."""

import polars as pl

from rmetrics.postgres.connection import Session, quoted
from rmetrics.tables import PgTable

MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")


def lay_causes(session: Session, causes: pl.DataFrame | None) -> None:
    """Lays the finer causes, by month, source and metric, where ``note_changes`` finds them."""
    session.execute(
        "CREATE TEMPORARY TABLE _causes (month date, source varchar, metric varchar, cause text) ON COMMIT DROP"
    )
    if causes is not None and causes.height:
        session.ingest("_causes", causes.to_arrow(), schema=None)
        session.execute("ANALYZE pg_temp._causes")


def note_changes(session: Session, table: PgTable, stage: str, inside: str, run_id: str, cause: str) -> None:
    """Notes how the staged figures differ from those that are there.

    A key's first publish is not a change; one that comes back is.

    Args:
        session: in the publish transaction, before the figures are written.
        table: ``daily_metrics`` or ``monthly_metrics``.
        stage: the temporary table with all new rows of the months.
        inside: the SQL condition for rows ``t`` of these months.
        run_id: the run that publishes.
        cause: where no finer one is laid.
    """
    period = table.key[0]
    same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)

    def placed(of: str) -> tuple[str, str]:
        return f"date_trunc('month', {of}.{period})::date", f"{of}.date" if period == "date" else "NULL::date"

    def insert(of: str, rows: str, was: str, new: str, where: str) -> None:
        month, day = placed(of)
        pairs = ", ".join(f"('{m}', {was.format(m)}, {new.format(m)})" for m in MEASURES)
        session.execute(
            "INSERT INTO metric_changes (run_id, month, date, source, segment, metric, old_value, new_value, cause)"
            f" SELECT $1, {month}, {day}, {of}.source, {of}.segment, m.metric, m.was, m.new, coalesce(c.cause, $2) "
            f"FROM {rows} CROSS JOIN LATERAL (VALUES {pairs}) AS m (metric, was, new) "
            f"LEFT JOIN pg_temp._causes AS c ON c.month = {month} AND c.source = {of}.source "
            f"AND c.metric = m.metric WHERE {where} ORDER BY 2, 3, 4, 5, 6",
            [run_id, cause],
        )

    insert(
        "t",
        f"{quoted(table.name)} AS t LEFT JOIN pg_temp.{quoted(stage)} AS s ON {same}",
        "t.{}::numeric",
        "s.{}::numeric",
        f"{inside} AND m.was IS DISTINCT FROM m.new AND (s.source IS NOT NULL OR m.was <> 0)",
    )
    month, day = placed("s")
    insert(
        "s",
        f"pg_temp.{quoted(stage)} AS s",
        "NULL::numeric",
        "s.{}::numeric",
        f"m.new <> 0 AND NOT EXISTS (SELECT 1 FROM {quoted(table.name)} AS t WHERE {same}) AND EXISTS ("
        f"SELECT 1 FROM metric_changes AS g WHERE g.month = {month} AND g.date IS NOT DISTINCT FROM {day} "
        "AND g.source = s.source AND g.segment = s.segment AND g.new_value IS NULL AND g.run_id <> $1)",
    )
