"""The class of each inbound call in SQL: an independent counterpart of ``metrics.call_classes``.

Table ``_work.call_classes``: ``_pos`` of the call, its ``day``, ``class``, ``answered_within_s``.

Source: the design, section 7.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb

from rmetrics.checks.parts import create_in_parts
from rmetrics.checks.phones import phone_keys
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.hours import spans_of
from rmetrics.rules.journeys import Journeys
from rmetrics.rules.model import Calls, Rules
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.rules.rows import feed_row
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import holds, ident, in_force, text, work


def create_call_classes(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates the table above, empty without a calls feed; needs the feeds' views and ``dated_jobs``."""
    result = work("call_classes")
    if CALLS not in rules.feeds:
        connection.execute(f"CREATE TABLE {result} (_pos BIGINT, day DATE, class VARCHAR, answered_within_s BIGINT)")
        return
    _jobs(connection, rules)
    create_seen_calls(connection, rules)
    limit = _limits(rules)
    jobs, calls, numbers = work("job_numbers"), work("seen_calls"), work("call_numbers")
    create_in_parts(
        connection,
        work("call_signs"),
        calls,
        lambda inside: (
            f"SELECT c.call, bool_or(c.own) AS own, "
            f"coalesce(bool_or(NOT c.own AND j.created < c.day AND date_diff('day', j.created, c.day) <= "
            f"{limit('existing_job')}), false) AS older, "
            f"coalesce(bool_or(NOT c.own AND j.created >= c.day AND date_diff('day', c.day, j.created) <= "
            f"{limit('booked')}), false) AS newer "
            f"FROM (SELECT * FROM {numbers} WHERE inbound AND {inside('call')}) c LEFT JOIN {jobs} j ON j.key = c.key "
            f"GROUP BY c.call"
        ),
    )
    create_in_parts(
        connection,
        work("call_contacts"),
        calls,
        lambda inside: (
            f"SELECT c.call, min(r.at) AS at FROM (SELECT * FROM {numbers} "
            f"WHERE inbound AND answered = false AND NOT own AND {inside('call')}) c "
            f'JOIN (SELECT key, "at", day FROM {numbers} WHERE NOT inbound OR answered) r ON r.key = c.key '
            f"WHERE r.at >= c.at AND date_diff('day', c.day, r.day) <= {limit('called_back')} GROUP BY c.call"
        ),
    )
    _named(connection, rules)
    # IS DISTINCT FROM false: a call whose export does not record the answer counts as answered.
    create_in_parts(
        connection,
        result,
        calls,
        lambda inside: (
            f"SELECT c._pos, c.day, CASE WHEN s.own THEN 'own number' "
            f"WHEN c.excluded THEN 'not a customer' "
            f"WHEN s.older OR coalesce(l.created < c.day, false) THEN 'existing job' "
            f"WHEN c.answered IS DISTINCT FROM false THEN 'answered' "
            f"WHEN r.at IS NOT NULL THEN 'missed and called back' "
            f"WHEN s.newer OR coalesce(l.created >= c.day, false) THEN 'missed but booked anyway' "
            f"ELSE 'missed and lost' END AS class, "
            f"CAST(CASE WHEN c.answered IS DISTINCT FROM false THEN 0 ELSE {waited(rules)} END AS BIGINT) "
            f"AS answered_within_s FROM (SELECT *, rowid AS call FROM {calls} WHERE inbound AND {inside('rowid')}) c "
            f"LEFT JOIN (SELECT * FROM {work('call_signs')} WHERE {inside('call')}) s ON s.call = c.call "
            f"LEFT JOIN (SELECT * FROM {work('call_contacts')} WHERE {inside('call')}) r ON r.call = c.call "
            f"LEFT JOIN {work('call_jobs')} l ON l._pos = c._pos"
        ),
    )
    for name in ("call_signs", "call_contacts", "call_jobs", "call_numbers", "seen_calls", "job_numbers"):
        connection.execute(f"DROP TABLE {work(name)}")


def differing_classes(connection: duckdb.DuckDBPyConnection, given: Path, *, complete: bool) -> str:
    """Returns a SELECT of differences between a file of classes and ``_work.call_classes``, in the form of ``compare``.

    For calls that differ it gives the number per class and day, and the total wait of their callers, as computed and as
    recomputed.

    Args:
        connection: holds the table; may read the file.
        given: ``_position``, ``class``, ``answered_within_s``.
        complete: the file has all calls; otherwise only its calls are compared.
    """
    differ = work("call_differences")
    connection.execute(
        f"CREATE TABLE {differ} AS SELECT r.day, g.class AS one, r.class AS other, "
        f"g.answered_within_s AS waited, r.answered_within_s AS waited_again "
        f"FROM read_parquet({text(file_name(given))}) g {'FULL' if complete else 'LEFT'} JOIN {work('call_classes')} r "
        f"ON r._pos = g._position WHERE g.class IS DISTINCT FROM r.class "
        f"OR g.answered_within_s IS DISTINCT FROM r.answered_within_s"
    )
    sides = " UNION ALL ".join(
        (
            f"SELECT day, coalesce(one, 'without a class') AS measure, 1 AS one, 0 AS other FROM {differ}",
            f"SELECT day, coalesce(other, 'without a class'), 0, 1 FROM {differ}",
            f"SELECT day, 'answered_within_s', coalesce(waited, 0), coalesce(waited_again, 0) FROM {differ}",
        )
    )
    return (
        f"SELECT 'calls' AS name, day AS period, '' AS source, '' AS segment, measure, "
        f"CAST(sum(one) AS VARCHAR) AS computed, CAST(sum(other) AS VARCHAR) AS recomputed "
        f"FROM ({sides}) GROUP BY ALL HAVING sum(one) <> sum(other) OR measure <> 'answered_within_s'"
    )


def _jobs(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.job_numbers``: key, created, for each number of each job that counts."""
    feed = rules.feeds[JOBS]
    phone = next((n for n, c in feed.columns.items() if c.type is ColumnType.PHONE), None)
    cell = "CAST(NULL AS VARCHAR)" if phone is None else ident(phone)
    connection.execute(
        f"CREATE TABLE {work('job_numbers')} AS SELECT unnest({phone_keys(cell)}) AS key, _created AS created "
        f"FROM {work('dated_jobs')}"
    )


def create_seen_calls(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.seen_calls``, the calls that count, and ``_work.call_numbers``, their numbers and own lines.

    ``call`` is the ``rowid`` of a call in ``seen_calls``.
    """
    feed = rules.feeds[CALLS]
    day, row = ident(feed.business_date), feed_row(feed, rules.business.timezone)
    phones = [n for n, c in feed.columns.items() if c.type is ColumnType.PHONE]

    def end(name: str) -> str:
        return ident(name) if name in phones else ident(phones[0]) if phones else "CAST(NULL AS VARCHAR)"

    inbound = "coalesce(direction = 'inbound', false)" if "direction" in feed.columns else "true"
    excluded = in_force(rules.calls, day, lambda c: holds(c.not_customer, row) if c.not_customer else "false")
    connection.execute(
        f"CREATE TABLE {work('seen_calls')} AS SELECT _pos, {day} AS day, "
        f"CAST({ident(feed.date)} AS TIMESTAMPTZ) AS at, {inbound} AS inbound, "
        f"{'answered' if 'answered' in feed.columns else 'CAST(NULL AS BOOLEAN)'} AS answered, {excluded} AS excluded, "
        f"CASE WHEN {inbound} THEN {end('from_number')} ELSE {end('to_number')} END AS cell "
        f"FROM {work(f'rows_{CALLS}')} WHERE _counted"
    )

    def shared_numbers(journeys: Journeys) -> str:
        return f"key IN ({', '.join(map(text, journeys.own_numbers))})" if journeys.own_numbers else "false"

    ours = in_force(rules.journeys.common, "day", shared_numbers)
    numbers = (
        f'SELECT rowid AS call, _pos, day, "at", inbound, answered, unnest({phone_keys("cell")}) AS key '
        f"FROM {work('seen_calls')}"
    )
    connection.execute(f"CREATE TABLE {work('call_numbers')} AS SELECT *, inbound AND {ours} AS own FROM ({numbers})")


def _named(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.call_jobs``: for each call that names a job, the day the job was created."""
    link, jobs = rules.feeds[CALLS].job, work("dated_jobs")
    names = " UNION ALL ".join(
        f"SELECT CAST({ident(column)} AS VARCHAR) AS name, {i} AS place, CAST(job_id AS VARCHAR) AS job_id, "
        f"_created AS created FROM {jobs}"
        for i, column in enumerate(link.match if link else ())
    )
    if link is None:
        connection.execute(f"CREATE TABLE {work('call_jobs')} (_pos BIGINT, created DATE)")
        return
    connection.execute(
        f"CREATE TABLE {work('call_jobs')} AS SELECT c._pos, arg_min_null(j.created, (j.place, j.job_id)) AS created "
        f"FROM {work(f'rows_{CALLS}')} c JOIN ({names}) j ON j.name = CAST(c.{ident(link.column)} AS VARCHAR) "
        f"GROUP BY c._pos"
    )


def _limits(rules: Rules) -> Callable[[str], str]:
    def limit(key: str) -> str:
        def days(calls: Calls) -> str:
            return str(int(getattr(calls, key)))

        return in_force(rules.calls, "c.day", days)

    return limit


def waited(rules: Rules) -> str:
    """SQL of the seconds from ``c.at`` to the contact ``r.at``; open seconds, day by day, if hours are declared."""
    spans, zone = spans_of(rules.business.hours), text(rules.business.timezone)
    if not spans:
        return "epoch_us(r.at) // 1000000 - epoch_us(c.at) // 1000000"
    start, end = (f"date_trunc('second', {side}.at AT TIME ZONE {zone})" for side in ("c", "r"))
    week = ", ".join(f"{{'day': {s.day + 1}, 'opens': {s.opens}, 'closes': {s.closes}}}" for s in spans)
    return (
        f"CASE WHEN r.at IS NULL THEN NULL ELSE (SELECT coalesce(sum(greatest(0, date_diff('second', "
        f"greatest({start}, d.day + to_seconds(h.opens)), least({end}, d.day + to_seconds(h.closes))))), 0) "
        f"FROM (SELECT unnest(generate_series(date_trunc('day', {start}), date_trunc('day', {end}), "
        f"INTERVAL 1 DAY)) AS day) d, (SELECT unnest([{week}], recursive := true)) h "
        f"WHERE isodow(d.day) = h.day) END"
    )


__all__ = ["create_call_classes", "create_seen_calls", "differing_classes", "waited"]
