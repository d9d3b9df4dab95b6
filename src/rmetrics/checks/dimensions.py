"""Members in SQL: every sum by month and member, and the published tables of own measures.

Needs ``checks.measures`` and the recomputed ``monthly_metrics``. Tables in ``_work``: ``members`` (month, dimension,
member, measure, amount), with the number of a dimension's own rows under the measure "".

Source: the design, section 8.
"""

from pathlib import Path

import duckdb

from rmetrics.checks.measures import amount_of, has_members, needed, own_sums
from rmetrics.checks.revenue import share_units
from rmetrics.rules.expressions.white_space import WHITE_SPACE
from rmetrics.rules.measure_tables import NONE, REST, SOURCES, Dimension, Measure, Unit
from rmetrics.rules.measures import SHIPPED, declared, is_additive, unit_of
from rmetrics.rules.model import Rules
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import ident, text, work

MEASURE_DAILY, DIMENSION_MONTHLY = "measure_daily", "dimension_monthly"
VALUE = "DECIMAL(38,6)"


def create_members(
    connection: duckdb.DuckDBPyConnection, rules: Rules, known: Path | None = None, outside: str = "false"
) -> None:
    """Creates ``measure_daily`` and ``dimension_monthly``.

    Args:
        connection: holds the tables of ``checks.measures`` and ``monthly_metrics``.
        rules: in force.
        known: Parquet file of all members' amounts, for the months that are not recomputed; None if all are.
        outside: SQL condition that ``$day`` is in a month that is not recomputed.
    """
    connection.execute(
        f"CREATE TABLE {work('members')} "
        f"(month DATE, dimension VARCHAR, member VARCHAR, measure VARCHAR, amount HUGEINT)"
    )
    for name, dimension in rules.dimensions.items():
        for feed in needed(rules):
            if has_members(rules, dimension, feed):
                _add_members(connection, rules, name, dimension, feed)
    if known is not None:
        connection.execute(f"DELETE FROM {work('members')} WHERE {outside.replace('$day', 'month')}")
        connection.execute(
            f"INSERT INTO {work('members')} SELECT date, dimension, member, measure, amount "
            f"FROM read_parquet({text(file_name(known))}) WHERE {outside.replace('$day', 'date')}"
        )
    millionths = _millionths(rules)
    connection.execute(
        f"CREATE TABLE {MEASURE_DAILY} AS SELECT day AS date, source, segment, measure, "
        f"{_value(f'sum(amount) * {millionths}')} AS value FROM {work('own')} GROUP BY day, source, segment, measure "
        f"HAVING sum(amount) <> 0"
    )
    _totals(connection)
    connection.execute(
        f"CREATE TABLE {DIMENSION_MONTHLY} (month DATE, dimension VARCHAR, member VARCHAR, measure VARCHAR, "
        f"value {VALUE}, additive BOOLEAN)"
    )
    for name, dimension in rules.dimensions.items():
        _publish(connection, rules, name, dimension)


def _value(micros: str) -> str:
    return f"CAST(CAST({micros} AS DECIMAL(32, 0)) * CAST('0.000001' AS DECIMAL(6, 6)) AS {VALUE})"


def _sums(rules: Rules) -> dict[str, Measure]:
    return {n: m.latest for n, m in declared(rules).items() if n in SHIPPED or n in own_sums(rules)}


def _millionths(rules: Rules) -> str:
    """SQL of the number of millionths per whole number of a row's measure."""
    size = {Unit.ONE: 1_000_000, Unit.CENT: 10_000, Unit.MICRO: 1}
    whens = "".join(f" WHEN {text(n)} THEN {size[unit_of(m, rules)]}" for n, m in _sums(rules).items())
    return f"CASE measure{whens} ELSE 1 END"


def _totals(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates ``wholes``: the total of each measure per month."""
    shipped = " UNION ALL ".join(
        f"SELECT month, {text(n)} AS measure, CAST({ident(n)} AS {VALUE}) AS value FROM monthly_metrics"
        for n in SHIPPED
    )
    connection.execute(
        f"CREATE TABLE {work('wholes')} AS SELECT month, measure, CAST(sum(value) AS {VALUE}) AS value FROM ({shipped} "
        f"UNION ALL SELECT CAST(date_trunc('month', date) AS DATE), measure, value FROM {MEASURE_DAILY}) GROUP BY ALL"
    )


# -- members of rows


def _measures_of(rules: Rules, dimension: Dimension, feed: str) -> list[str]:
    """Measures that a feed's rows add to in a dimension; leads and cost come only from the dimension's own rows."""
    return [n for n, m in _sums(rules).items() if m.of == feed or (m.of == SOURCES and feed == dimension.of)]


def _add_members(
    connection: duckdb.DuckDBPyConnection, rules: Rules, name: str, dimension: Dimension, feed: str
) -> None:
    measures = _measures_of(rules, dimension, feed)
    amounts = [f"{amount_of(rules, n, feed)} AS a{i}" for i, n in enumerate(measures)]
    share = share_units(rules, "_day")
    rows = (
        f"SELECT CAST(date_trunc('month', _day) AS DATE) AS month, {ident(f'_by_{name}')} AS named, {share} AS share"
        f"{''.join(', ' + a for a in amounts)} FROM {work(f'placed_{feed}')} WHERE _day IS NOT NULL"
    )
    spaces = text(WHITE_SPACE)
    one = f"coalesce(nullif(trim(named, {spaces}), ''), {text(NONE)})"
    parts = f"SELECT *, {one} AS member, 0 AS place, 1 AS several FROM rows"
    if dimension.split is not None:
        at = text(dimension.split)
        parted = f"named IS NOT NULL AND contains(named, {at})"
        trimmed = f"list_transform(string_split(named, {at}), lambda part: trim(part, {spaces}))"
        names = f"list_filter({trimmed}, lambda part: part <> '')"
        once = "list_filter(names, lambda part, i: list_position(names, part) = i)"
        parts = (
            f"{parts} WHERE NOT ({parted}) UNION ALL SELECT * EXCLUDE (names), unnest(names) AS member, "
            f"generate_subscripts(names, 1) - 1 AS place, len(names) AS several FROM ("
            f"SELECT * EXCLUDE (names), CASE WHEN len(names) = 0 THEN [{text(NONE)}] ELSE {once} END AS names FROM ("
            f"SELECT *, {names} AS names FROM rows WHERE {parted}))"
        )
    sums = [f"sum({_part(rules, n, f'a{i}', dimension)})" for i, n in enumerate(measures)]
    listed = [text(n) for n in measures]
    if feed == dimension.of:
        sums.append("count(*)")
        listed.append("''")
    connection.execute(
        f"INSERT INTO {work('members')} SELECT month, {text(name)}, member, measure, amount FROM ("
        f"WITH rows AS ({rows}), parts AS ({parts}) SELECT month, member, unnest([{', '.join(listed)}]) AS measure, "
        f"unnest([{', '.join(sums)}]) AS amount FROM parts GROUP BY month, member) WHERE amount <> 0"
    )


def _part(rules: Rules, name: str, amount: str, dimension: Dimension) -> str:
    """SQL of one member's part of a row's amount."""
    measure = _sums(rules)[name]
    if measure.count is not None:
        return f"CASE WHEN place = 0 THEN {amount} ELSE 0 END" if is_additive(dimension, measure) else amount
    more = f"CASE WHEN place < abs({amount}) % several THEN 1 ELSE 0 END"
    part = f"sign({amount}) * (abs({amount}) // several + {more})"
    return f"CAST({part} AS HUGEINT) * share" if measure.share is not None else f"CAST({part} AS HUGEINT)"


# -- the published tables


def _publish(connection: duckdb.DuckDBPyConnection, rules: Rules, name: str, dimension: Dimension) -> None:
    of_this = f"FROM {work('members')} WHERE dimension = {text(name)}"
    kept = (
        f"SELECT member FROM (SELECT member, coalesce(sum(amount) FILTER (measure = ''), 0) AS rows {of_this} "
        f"AND member <> {text(NONE)} GROUP BY member) ORDER BY rows DESC, member LIMIT {dimension.limit}"
    )
    shown = f"CASE WHEN member = {text(NONE)} OR member IN ({kept}) THEN member ELSE {text(REST)} END"
    value = _value(f"amount * {_millionths(rules)}")
    named = f"SELECT month, {shown} AS member, measure, {value} AS value {of_this} AND measure <> ''"
    without_members = [
        n for n, m in _sums(rules).items() if m.of == SOURCES or not has_members(rules, dimension, m.of or "")
    ]
    listed = ", ".join(text(n) for n in without_members) or "NULL"
    rest = (
        f"SELECT month, {text(NONE)}, measure, value FROM {work('wholes')} WHERE measure IN ({listed}) "
        f"UNION ALL SELECT month, {text(NONE)}, measure, -value FROM named WHERE measure IN ({listed})"
    )
    non_additive = [n for n, m in _sums(rules).items() if not is_additive(dimension, m)]
    additive = f"measure NOT IN ({', '.join(text(n) for n in non_additive)})" if non_additive else "true"
    connection.execute(
        f"INSERT INTO {DIMENSION_MONTHLY} WITH named AS ({named}) SELECT month, {text(name)}, member, measure, "
        f"CAST(sum(value) AS {VALUE}), {additive} FROM (SELECT * FROM named UNION ALL {rest}) GROUP BY ALL "
        f"HAVING sum(value) <> 0"
    )
