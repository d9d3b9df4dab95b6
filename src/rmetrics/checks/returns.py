"""Returning customers in SQL: an independent counterpart of ``metrics.returns``.

Table ``_work.returns``: ``_pos`` of the job, and a column of days for each ``[returns.NAME]``; jobs without any are
left out.

Source: the design, sections 7 (customers are followed by their numbers) and 8 (what measures may read).
"""

import duckdb

from rmetrics.checks.jobs import marked_jobs
from rmetrics.checks.phones import phone_keys
from rmetrics.rules.journeys import SHARED_WITHIN, Journeys
from rmetrics.rules.measure_tables import Return
from rmetrics.rules.measures import customer_column, return_row
from rmetrics.rules.model import Rules
from rmetrics.sandbox.quoting import holds, ident, in_force, text, work


def create_returns(connection: duckdb.DuckDBPyConnection, rules: Rules, *, blank: bool = False) -> None:
    """Creates the table above; needs the feeds' views, ``dated_jobs`` and ``marks``.

    ``blank``: create it without rows, for runs that do not parse phone numbers.
    """
    names = "".join(f", {ident(n)} BIGINT" for n in rules.returns)
    connection.execute(f"CREATE TABLE {work('returns')} (_pos BIGINT{names})")
    for number, (name, rule) in enumerate(rules.returns.items()):
        if not blank:
            _numbers(connection, rules, rule, number)
            _days(connection, name, rule, number)
    if not blank:
        parts = " UNION ALL BY NAME ".join(
            f"SELECT * FROM {work(f'return_days_{i}')}" for i in range(len(rules.returns))
        )
        fewest = ", ".join(f"min({ident(n)})" for n in rules.returns)
        connection.execute(f"INSERT INTO {work('returns')} SELECT _pos, {fewest} FROM ({parts}) GROUP BY _pos")


def _numbers(connection: duckdb.DuckDBPyConnection, rules: Rules, rule: Return, number: int) -> None:
    """Creates ``_work.return_numbers_N``: jobs by number, with day, whether they are looked for, and shared columns."""
    phone = customer_column(rule, rules)
    every = f"{marked_jobs(rules, ['m._created'])} WHERE m.metric_date IS NOT NULL"
    qualifies = "true" if rule.where is None else holds(rule.where, return_row(rules))
    same_columns = [c for c in rule.same if c != phone]
    cells = "".join(f", {ident(c)} AS _alike{i}" for i, c in enumerate(same_columns))
    spread = (
        f"SELECT _pos, metric_date AS _day, _created AS _entered, {qualifies} AS _sought{cells}, "
        f"unnest({phone_keys(ident(phone))}) AS _number FROM ({every})"
    )

    def listed(numbers: tuple[str, ...]) -> str:
        return f"n._number IN ({', '.join(map(text, numbers))})" if numbers else "false"

    def ours(journeys: Journeys) -> str:
        return listed(journeys.own_numbers)

    def many(journeys: Journeys) -> str:
        return f"({listed(journeys.shared_numbers)} OR b.jobs > {journeys.shared_when})"

    common = rules.journeys.common
    theirs = f"SELECT n.* FROM ({spread}) n WHERE NOT {in_force(common, 'n._entered', ours)}"
    # Jobs of each number in the year from each of its jobs on; the busiest year counts.
    busy = (
        f"SELECT _number, max(jobs) AS jobs FROM (SELECT _number, count(*) OVER (PARTITION BY _number "
        f"ORDER BY _entered RANGE BETWEEN CURRENT ROW AND INTERVAL {SHARED_WITHIN - 1} DAYS FOLLOWING) AS jobs "
        f"FROM theirs) GROUP BY _number"
    )
    filled = "".join(f" AND n._alike{i} IS NOT NULL" for i in range(len(same_columns)))
    connection.execute(
        f"CREATE TABLE {work(f'return_numbers_{number}')} AS WITH theirs AS ({theirs}), busy AS ({busy}) "
        f"SELECT n.* FROM theirs n JOIN busy b ON b._number = n._number "
        f"WHERE NOT {in_force(common, 'n._entered', many)}{filled}"
    )


def _days(connection: duckdb.DuckDBPyConnection, name: str, rule: Return, number: int) -> None:
    """Creates ``_work.return_days_N``: days from each job to the customer's nearest job that is looked for."""
    numbers = work(f"return_numbers_{number}")
    same = "".join(f" AND o._alike{i} = n._alike{i}" for i in range(len(rule.same) - 1))
    days = "n._day - o._day" if rule.look == "back" else "o._day - n._day"
    connection.execute(
        f"CREATE TABLE {work(f'return_days_{number}')} AS SELECT n._pos, CAST(min({days}) AS BIGINT) AS {ident(name)} "
        f"FROM {numbers} n JOIN {numbers} o ON o._number = n._number{same} AND o._sought AND {days} > 0 GROUP BY n._pos"
    )


__all__ = ["create_returns"]
