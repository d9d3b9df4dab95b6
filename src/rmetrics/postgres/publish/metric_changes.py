"""``metric_changes``, ``member_changes``: published figures that changed, old and new, with their cause."""

from dataclasses import dataclass

import polars as pl

from rmetrics.postgres.connection import Session, quoted
from rmetrics.rules.funnel import FUNNEL, PREFIX
from rmetrics.rules.model import ALL
from rmetrics.tables import JOURNEY_METRICS, PgTable

JOURNEY_MEASURES = tuple(FUNNEL)
MAX_MEMBERS, MAX_NAMED = 10, 500  # changes of members by name: of one measure and month, and of one run
MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")


@dataclass(frozen=True, slots=True)
class FinerCauses:
    """Why figures changed, where that is known better than for the run as a whole.

    Attributes:
        figures: by month, source and metric: cause.
        members: by month, dimension and metric: cause.
    """

    figures: pl.DataFrame
    members: pl.DataFrame


def store_causes(session: Session, causes: FinerCauses | None) -> None:
    """Lays the finer causes where ``note_changes`` and ``note_member_changes`` find them."""
    for table, key in (("_causes", "source"), ("_member_causes", "dimension")):
        session.execute(
            f"CREATE TEMPORARY TABLE {table} (month date, {key} varchar, metric varchar, cause text) ON COMMIT DROP"
        )
    for table, frame in (("_causes", causes.figures), ("_member_causes", causes.members)) if causes else ():
        if frame.height:
            session.ingest(table, frame.to_arrow(), schema=None)
            session.execute(f"ANALYZE pg_temp.{table}")


def note_changes(session: Session, table: PgTable, stage: str, inside: str, run_id: str, cause: str) -> None:
    """Records how the staged figures differ from the published ones.

    The first figures of a month are not changes, nor are those of a day, as long as no later day of its month is
    published. A source or segment that joins later is a change, as is one that returns: the changes of a day add up to
    the change of its total. Journeys grow for months as their jobs are paid, so only those with a stored cause are
    recorded: those that an edited rule restated.

    Args:
        session: in the publish transaction, before the figures are written.
        table: ``daily_metrics``, ``monthly_metrics`` or ``journey_metrics``.
        stage: the temporary table with all new rows of the months.
        inside: the SQL condition for rows ``t`` of these months.
        run_id: the publishing run.
        cause: the default where no specific cause is stored.
    """
    period, journeys = table.key[0], table.name == JOURNEY_METRICS
    names = {f"{PREFIX}{m}": m for m in JOURNEY_MEASURES} if journeys else {m: m for m in MEASURES}

    def segment(of: str) -> str:
        return f"'{ALL}'" if journeys else f"{of}.segment"

    same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in table.key)

    def placed(of: str) -> tuple[str, str]:
        return f"date_trunc('month', {of}.{period})::date", f"{of}.date" if period == "date" else "NULL::date"

    def insert(of: str, rows: str, was: str, new: str, where: str) -> None:
        month, day = placed(of)
        pairs = ", ".join(f"('{n}', {was.format(m)}, {new.format(m)})" for n, m in names.items())
        session.execute(
            "INSERT INTO metric_changes (run_id, month, date, source, segment, metric, old_value, new_value, cause)"
            f" SELECT $1, {month}, {day}, {of}.source, {segment(of)}, m.metric, m.was, m.new, coalesce(c.cause, $2) "
            f"FROM {rows} CROSS JOIN LATERAL (VALUES {pairs}) AS m (metric, was, new) "
            f"{'' if journeys else 'LEFT '}JOIN pg_temp._causes AS c ON c.month = {month} AND c.source = {of}.source "
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
    of_these = f"g.metric LIKE '{PREFIX}%'" if journeys else f"g.metric NOT LIKE '{PREFIX}%'"
    late = (
        "FALSE"
        if journeys
        else (
            f"EXISTS (SELECT 1 FROM {quoted(table.name)} AS p WHERE p.{period} >= s.{period} "
            f"AND date_trunc('month', p.{period}) = date_trunc('month', s.{period}))"
        )
    )
    insert(
        "s",
        f"pg_temp.{quoted(stage)} AS s",
        "NULL::numeric",
        "s.{}::numeric",
        f"m.new <> 0 AND NOT EXISTS (SELECT 1 FROM {quoted(table.name)} AS t WHERE {same}) AND ({late} "
        "OR EXISTS (SELECT 1 FROM metric_changes AS g "
        f"WHERE g.month = {month} AND g.date IS NOT DISTINCT FROM {day} "
        f"AND g.source = s.source AND g.segment = {segment('s')} AND g.new_value IS NULL "
        f"AND {of_these} AND g.run_id <> $1))",
    )


def note_measure_changes(session: Session, stage: str, inside: str, run_id: str, cause: str) -> None:
    """Records how the staged figures of the company's own measures differ, by day and by month.

    As with the shipped measures, the first figures of a measure are not changes.

    Args:
        session: in the publish transaction, before the figures are written.
        stage: the temporary table with all new rows of the months.
        inside: the SQL condition for rows ``t`` of these months.
        run_id: the publishing run.
        cause: the default where no specific cause is stored.
    """
    first = "date_trunc('month', t.date)::date"
    for day in ("t.date", "NULL::date"):
        key = f"{first} AS month, {day} AS date, t.source, t.segment, t.measure"
        by = "GROUP BY 1, 2, 3, 4, 5"
        columns = ("month", "date", "source", "segment", "measure")
        same = " AND ".join(f"a.{c} IS NOT DISTINCT FROM b.{c}" for c in columns)
        session.execute(
            f"WITH was AS (SELECT {key}, sum(t.value) AS value FROM measure_daily AS t WHERE {inside} {by}), "
            f"new AS (SELECT {key}, sum(t.value) AS value FROM pg_temp.{quoted(stage)} AS t {by}), "
            "both_sides AS ("
            "SELECT a.month, a.date, a.source, a.segment, a.measure, a.value AS was, b.value AS new "
            f"FROM was AS a LEFT JOIN new AS b ON {same} WHERE a.value IS DISTINCT FROM b.value UNION ALL "
            "SELECT a.month, a.date, a.source, a.segment, a.measure, NULL, a.value FROM new AS a "
            f"WHERE NOT EXISTS (SELECT 1 FROM was AS b WHERE {same}) AND (EXISTS ("
            "SELECT 1 FROM was AS p WHERE p.month = a.month AND (a.date IS NULL OR p.date >= a.date) "
            "AND p.measure = a.measure) OR EXISTS (SELECT 1 FROM metric_changes AS g "
            "WHERE g.month = a.month AND g.date IS NOT DISTINCT FROM a.date "
            "AND g.source = a.source AND g.segment = a.segment AND g.metric = a.measure AND g.new_value IS NULL "
            "AND g.run_id <> $1))) "
            "INSERT INTO metric_changes (run_id, month, date, source, segment, metric, old_value, new_value, cause) "
            "SELECT $1, m.month, m.date, m.source, m.segment, m.measure, m.was, m.new, coalesce(c.cause, $2) "
            "FROM both_sides AS m LEFT JOIN pg_temp._causes AS c ON c.month = m.month AND c.source = m.source "
            "AND c.metric = m.measure ORDER BY 2, 3, 4, 5, 6",
            [run_id, cause],
        )


def note_member_changes(session: Session, stage: str, inside: str, run_id: str, cause: str) -> None:
    """Notes how the staged figures of members differ from those that are there.

    The first figures of a measure in a month are no change, nor is a dimension that the rules no longer have. A measure
    has its largest changes by name, and the others together; where a run changes more than ``MAX_NAMED``, as an edited
    rule may, all are told together.

    Args:
        session: in the publish transaction, before the figures are written.
        stage: the temporary table with all new rows of the months.
        inside: the SQL condition for rows ``t`` of these months.
        run_id: the run that publishes.
        cause: where no finer one is laid.
    """
    key = "month, dimension, member, measure"
    session.execute(
        f"WITH was AS (SELECT {key}, value FROM dimension_monthly AS t WHERE {inside}), "
        f"new AS (SELECT {key}, value FROM pg_temp.{quoted(stage)}), "
        f"changed AS (SELECT {key}, was.value AS was, new.value AS new, row_number() OVER ("
        "PARTITION BY month, dimension, measure "
        "ORDER BY abs(coalesce(new.value, 0) - coalesce(was.value, 0)) DESC, member) AS place "
        f"FROM was FULL JOIN new USING ({key}) WHERE was.value IS DISTINCT FROM new.value "
        "AND (month, dimension, measure) IN (SELECT month, dimension, measure FROM was) "
        "AND (month, dimension) IN (SELECT month, dimension FROM new)), "
        f"named AS (SELECT CASE WHEN count(*) <= {MAX_NAMED} THEN {MAX_MEMBERS} ELSE 0 END AS most "
        f"FROM changed WHERE place <= {MAX_MEMBERS}), "
        "told AS (SELECT month, dimension, member, 1 AS members, measure, was, new, place FROM changed, named "
        "WHERE place <= most UNION ALL SELECT month, dimension, NULL, count(*)::integer, measure, sum(was), sum(new), "
        "min(place) FROM changed, named WHERE place > most GROUP BY month, dimension, measure) "
        "INSERT INTO member_changes (run_id, month, dimension, member, members, metric, old_value, new_value, cause) "
        "SELECT $1, m.month, m.dimension, m.member, m.members, m.measure, m.was, m.new, coalesce(c.cause, $2) "
        "FROM told AS m LEFT JOIN pg_temp._member_causes AS c ON c.month = m.month AND c.dimension = m.dimension "
        "AND c.metric = m.measure ORDER BY m.month, m.dimension, m.measure, m.place",
        [run_id, cause],
    )
