"""Costs per day, source and segment, including the spreading of monthly amounts.

Table in ``_work``: ``costs`` (day, source, segment, cents; several rows per key).

Source: the design, section 3 (cost).
"""

import datetime as dt
from itertools import count

import duckdb

from rmetrics.checks.jobs import last_day
from rmetrics.checks.leads import SourceVersion, counted_rows, own_days, source_versions
from rmetrics.rules.model import Cost, Rules
from rmetrics.rules.names import TARGETS
from rmetrics.sandbox.quoting import day, ident, text, whole_cents, work

IDLE_MONTHS = 12  # between two months with a lead or job: no fee is due in a stretch this long
_MONTH = "CAST(date_trunc('month', {}) AS DATE)"


def create_costs(connection: duckdb.DuckDBPyConnection, rules: Rules, newest: dt.date | None) -> None:
    """Creates ``costs``; needs the feeds' views, ``activity`` and ``leads``. No fee is due after ``newest``."""
    connection.execute(
        f"CREATE TABLE {work('costs')} (day DATE, source VARCHAR, segment VARCHAR, cents HUGEINT);"
        f"CREATE TABLE {work('month_amounts')} (part INTEGER, source VARCHAR, segment VARCHAR, month DATE, "
        f"cents HUGEINT, start DATE, until DATE)"
    )
    versions = source_versions(rules)
    end = last_day(connection, rules, _not_data(versions))
    end = min(end, newest) if end and newest else end
    _idle(connection, end)
    numbers = count()
    for version in versions:
        for cost in version.rule.cost:
            _cost(connection, rules, version, cost, part=next(numbers), end=end)
    _spread(connection, rules, end)


def _idle(connection: duckdb.DuckDBPyConnection, end: dt.date | None) -> None:
    """Creates ``idle``: the months of gaps of a year or more without a lead or job, in which no fee is due."""
    last = "" if end is None else f" UNION SELECT {_MONTH.format(day(end))}"
    of_day = _MONTH.format("day")
    connection.execute(
        f"CREATE TABLE {work('idle')} AS WITH months AS (SELECT {of_day} AS month FROM {work('activity')} "
        f"UNION SELECT {of_day} FROM {work('leads')}{last}), "
        f"stretches AS (SELECT month, lead(month) OVER (ORDER BY month) AS next FROM months WHERE month IS NOT NULL) "
        f"SELECT CAST(unnest(generate_series(month + INTERVAL 1 MONTH, next - INTERVAL 1 MONTH, INTERVAL 1 MONTH)) "
        f"AS DATE) AS month FROM stretches WHERE date_diff('month', month, next) > {IDLE_MONTHS}"
    )


def _not_data(versions: list[SourceVersion]) -> frozenset[str]:
    """Feeds whose dates do not extend the data's last day: targets, and amounts spread over a month."""
    return frozenset({TARGETS} | {c.feed for v in versions for c in v.rule.cost if c.feed and c.spread})


def _cost(
    connection: duckdb.DuckDBPyConnection,
    rules: Rules,
    version: SourceVersion,
    cost: Cost,
    *,
    part: int,
    end: dt.date | None,
) -> None:
    """Adds one part of a source's cost to ``costs``, or to ``month_amounts`` if it must be spread."""
    source, segment = text(version.name), text(version.rule.segment)
    if cost.feed is not None:
        date = ident(rules.feeds[cost.feed].business_date)
        amount = f"sum({whole_cents(ident(cost.sum or ''))})"
        rows = counted_rows(rules, version, cost.feed, cost.where)
        if cost.spread is None:
            insert = f"{work('costs')} SELECT {date}, {source}, {segment}, coalesce({amount}, 0) FROM {rows} GROUP BY 1"
        else:
            insert = (
                f"{work('month_amounts')} SELECT {part}, {source}, {segment}, {_MONTH.format(date)}, "
                f"coalesce({amount}, 0), NULL, NULL FROM {rows} GROUP BY 4"
            )
    elif cost.monthly is not None:
        first = _first_day(connection, version.name)
        if first is None or end is None:
            return
        start, until = (f"CAST({'NULL' if d is None else day(d)} AS DATE)" for d in (version.start, version.until))
        months = f"generate_series({_MONTH.format(day(first))}, {_MONTH.format(day(end))}, INTERVAL 1 MONTH)"
        insert = (
            f"{work('month_amounts')} SELECT {part}, {source}, {segment}, CAST(month AS DATE), "
            f"{_cents(cost.monthly)}, {start}, {until} FROM (SELECT unnest({months}) AS month) "
            f"WHERE CAST(month AS DATE) NOT IN (SELECT month FROM {work('idle')})"
        )
    else:
        table, measure, price = _price(cost)
        insert = (
            f"{work('costs')} SELECT day, source, segment, {measure} * {_cents(price)} FROM {own_days(version, table)}"
        )
    connection.execute(f"INSERT INTO {insert}")


def _price(cost: Cost) -> tuple[str, str, object]:
    """Table, measure and unit price of a cost."""
    if cost.per_lead is not None:
        return "leads", "leads", cost.per_lead
    if cost.per_unit is not None:
        return "activity", "units", cost.per_unit
    return "activity", "repairs", cost.per_repair


def _cents(price: object) -> str:
    return f"CAST(CAST({text(str(price))} AS DECIMAL(18, 2)) * 100 AS HUGEINT)"


def _first_day(connection: duckdb.DuckDBPyConnection, source: str) -> dt.date | None:
    """Day of the source's first job or lead."""
    row = connection.execute(
        f"SELECT min(day) FROM (SELECT day, source FROM {work('activity')} UNION ALL "
        f"SELECT day, source FROM {work('leads')}) WHERE source = $1",
        [source],
    ).fetchone()
    return row[0] if row else None


def _spread(connection: duckdb.DuckDBPyConnection, rules: Rules, end: dt.date | None) -> None:
    """Splits each month's amount over its days, then each day's over the segments of the source's leads that day."""
    last = "CAST(last_day(month) AS DATE)"
    if end is not None:
        last = f"CASE WHEN month = {_MONTH.format(day(end))} THEN {day(end)} ELSE {last} END"
    order = " ".join(f"WHEN {text(name)} THEN {i}" for i, name in enumerate(rules.segment_order))
    # Whole cents only: cents left over by a division go to the earliest days, or to the largest remainders.
    connection.execute(
        f"""
        INSERT INTO {work("costs")}
        WITH months AS (
            SELECT *, {last} AS last, date_diff('day', month, {last}) + 1 AS days
            FROM {work("month_amounts")} WHERE cents <> 0
        ), numbered AS (
            SELECT *, unnest(range(days)) AS number FROM months
        ), day_amounts AS (
            SELECT part, source, segment, start, until, sign(cents) AS sign,
                   CAST(month + CAST(number AS INTEGER) AS DATE) AS day,
                   abs(cents) // days + CAST(number < abs(cents) % days AS INTEGER) AS cents
            FROM numbered
        ), weighed AS (
            SELECT d.part, d.source, d.sign, d.day, d.cents, coalesce(l.segment, d.segment) AS segment,
                   coalesce(l.leads, 1) AS weight,
                   sum(coalesce(l.leads, 1)) OVER (PARTITION BY d.part, d.day) AS whole
            FROM day_amounts d LEFT JOIN {work("leads")} l ON l.source = d.source AND l.day = d.day
            WHERE d.cents > 0 AND (d.start IS NULL OR d.day >= d.start) AND (d.until IS NULL OR d.day < d.until)
        ), shared AS (
            SELECT *, cents * weight // whole AS share,
                   row_number() OVER (PARTITION BY part, day
                                      ORDER BY cents * weight % whole DESC, CASE segment {order} END) AS place
            FROM weighed
        )
        SELECT day, source, segment,
               sign * (share + CAST(place <= cents - sum(share) OVER (PARTITION BY part, day) AS INTEGER))
        FROM shared
        """
    )
