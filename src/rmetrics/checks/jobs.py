"""Jobs and payments: amount paid, source, segment, unit and repair of each job, and the revenue of each day.

Tables in ``_work``: ``payment_links`` (``_pos``, day, cents, job = ``_pos`` of the job or NULL), ``spellings`` (source
as exported to source), ``marks`` (one row per job that counts), ``activity`` and ``revenue`` (per day, source,
segment).

Source: the design, section 3 (job, unit, repair, segment, source, revenue).
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence

import duckdb

from rmetrics.checks.feeds import columns_of, hour_of, learn_hours, local_day
from rmetrics.checks.revenue import create_revenue
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import ALL, OTHER, UNATTRIBUTED, Jobs, Rules
from rmetrics.rules.names import JOBS, PAYMENTS, normal_source
from rmetrics.rules.rows import job_row
from rmetrics.sandbox.quoting import dollars, holds, ident, in_force, text, whole_cents, work

FACTS = "job_facts"
_ENTERED = "created_at"  # dates a job whose own date is blank
_MARKS = ("metric_date", "source", "segment", "paid", "is_unit", "is_repair")  # what rules may read of a job


def create_jobs(connection: duckdb.DuckDBPyConnection, rules: Rules, names: Mapping[str, str] | None = None) -> None:
    """Creates the tables above and the view ``job_facts``; needs the feeds' views.

    Args:
        connection: holds the views; receives the tables.
        rules: in force.
        names: names of undeclared sources by their spelling in lower case without white space, if not all jobs are
            present to derive them; None derives them.
    """
    _dated_jobs(connection, rules)
    _payment_links(connection, rules)
    _spellings(connection, rules, names)
    _marks(connection, rules)
    _job_facts(connection, rules.feeds[JOBS])
    connection.execute(
        f"CREATE TABLE {work('activity')} AS SELECT metric_date AS day, source, segment, count(*) AS jobs, "
        f"count(*) FILTER (is_unit) AS units, count(*) FILTER (is_repair) AS repairs "
        f"FROM {work('marks')} WHERE metric_date IS NOT NULL GROUP BY ALL"
    )
    create_revenue(connection, rules)


def _dated_jobs(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.dated_jobs``: the jobs that count, with ``metric_date``, and ``_created``, the day of entry.

    A job without a day of entry counts as entered on its own day.
    """
    feed, rows, zone = rules.feeds[JOBS], work(f"rows_{JOBS}"), rules.business.timezone
    dates, joins = [], []
    for i, name in enumerate(dict.fromkeys((rules.jobs.latest.date, _ENTERED))):
        column, kind = f"r.{ident(name)}", feed.columns[name].type
        if name == feed.date:
            dates.append(f"r.{ident(feed.business_date)}")
            continue
        if kind is ColumnType.TIMESTAMP:
            learn_hours(connection, rows, ident(name), zone)
            joins.append(f" LEFT JOIN {work('hours')} q{i} ON q{i}.hour = {hour_of(column)}")
        dates.append(local_day(column, kind, zone, f"q{i}"))
    clash = " EXCLUDE (metric_date)" if "metric_date" in columns_of(feed) else ""
    connection.execute(
        f"CREATE VIEW {work('dated_jobs')} AS SELECT r.*{clash}, coalesce({', '.join(dates)}) AS metric_date, "
        f"coalesce({', '.join(reversed(dates))}) AS _created FROM {rows} r{''.join(joins)} WHERE r._counted"
    )


def _payment_links(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Finds the job of each payment that counts: in each column to match, in order; ties go to the lowest job_id."""
    feed = rules.feeds[PAYMENTS]
    link = feed.job
    assert link is not None  # noqa: S101 - payments that declare no link are loaded with one
    connection.execute(
        f"CREATE VIEW {work('unlinked_0')} AS SELECT _pos, CAST({ident(link.column)} AS VARCHAR) AS ref, "
        f"{ident(feed.business_date)} AS day, coalesce({whole_cents('amount')}, 0) AS cents, "
        f"CAST(NULL AS BIGINT) AS job FROM {work(f'rows_{PAYMENTS}')} WHERE _counted"
    )
    last = work("unlinked_0")
    for i, column in enumerate(link.match, start=1):
        if i > 1 and not _any(connection, f"SELECT 1 FROM {last} WHERE ref IS NOT NULL"):
            break
        table, previous = work(f"unlinked_{i}"), last
        unique = rules.feeds[JOBS].key == (column,)
        value = f"CAST({ident(column)} AS VARCHAR)"
        candidates = (
            f"SELECT {value} AS value, _pos AS job FROM {work('dated_jobs')}"
            if unique
            else f"SELECT {value} AS value, arg_min(_pos, CAST(job_id AS VARCHAR)) AS job FROM {work('dated_jobs')} "
            f"WHERE {value} IN (SELECT ref FROM {previous} WHERE ref IS NOT NULL) GROUP BY 1"
        )
        connection.execute(
            f"CREATE TABLE {table} AS SELECT p._pos, CASE WHEN c.job IS NULL THEN p.ref END AS ref, p.day, p.cents, "
            f"coalesce(p.job, c.job) AS job FROM {previous} p LEFT JOIN ({candidates}) c ON c.value = p.ref"
        )
        if i > 1:
            connection.execute(f"DROP TABLE {previous}")
        last = table
    connection.execute(f"CREATE VIEW {work('payment_links')} AS SELECT _pos, day, cents, job FROM {last}")


def _any(connection: duckdb.DuckDBPyConnection, select: str) -> bool:
    return connection.execute(f"{select} LIMIT 1").fetchone() is not None


def _spellings(connection: duckdb.DuckDBPyConnection, rules: Rules, names: Mapping[str, str] | None) -> None:
    """Creates ``_work.spellings``: the source of every spelling on a job, without blank ones."""
    found = connection.execute(
        f"SELECT DISTINCT CAST(source_raw AS VARCHAR) FROM {work('dated_jobs')} WHERE source_raw IS NOT NULL"
    ).fetchall()
    declared = _declared(rules)
    sources = {s: declared[normal_source(s)] for (s,) in found if normal_source(s) in declared}
    others = [s for (s,) in found if s not in sources and s.strip()]
    if names is None:
        sources |= _undeclared(_first_jobs(connection, others))
    else:
        sources |= {s: names.get(re.sub(r"\s+", "", s).lower(), s.strip()) for s in others}
    connection.execute(f"CREATE TABLE {work('spellings')} (spelling VARCHAR, source VARCHAR)")
    connection.execute(
        f"INSERT INTO {work('spellings')} SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])",
        [list(sources), list(sources.values())],
    )


def _declared(rules: Rules) -> dict[str, str]:
    """Source names by each of their spellings in normal form."""
    names = {normal_source(UNATTRIBUTED): UNATTRIBUTED}
    for name, dated in rules.sources.items():
        names |= {normal_source(spelling): name for spelling in (name, *dated.latest.aliases)}
    return names


def _first_jobs(connection: duckdb.DuckDBPyConnection, spellings: list[str]) -> Iterable[str]:
    """Spellings in the order of their earliest jobs: by date, undated last, then by shorter and lower job_id."""
    if len(spellings) < 2:
        return spellings
    connection.execute(
        f"CREATE VIEW {work('named')} AS SELECT CAST(source_raw AS VARCHAR) AS spelling, "
        f"coalesce(metric_date, DATE 'infinity') AS day, CAST(job_id AS VARCHAR) AS job_id "
        f"FROM {work('dated_jobs')} WHERE source_raw IS NOT NULL"
    )
    ordered = connection.execute(
        f"SELECT spelling FROM {work('named')} WHERE spelling IN (SELECT unnest($1::VARCHAR[])) GROUP BY spelling "
        f"ORDER BY min((day, length(job_id), job_id)), spelling",
        [spellings],
    ).fetchall()
    return [row[0] for row in ordered]


def _undeclared(spellings: Iterable[str]) -> dict[str, str]:
    """Names of undeclared sources: of spellings that differ only in case or white space, the first one, trimmed."""
    names: dict[str, str] = {}
    sources = {}
    for spelling in spellings:
        trimmed = spelling.strip()
        name = names.setdefault(re.sub(r"\s+", "", trimmed).lower(), "All" if trimmed == ALL else trimmed)
        sources[spelling] = name
    return sources


def _marks(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    feed, row = rules.feeds[JOBS], job_row(rules)
    own = ", ".join(f"j.{ident(n)}" for n in columns_of(feed) if n not in {"paid", "source", "metric_date"})

    def segment(jobs: Jobs) -> str:
        whens = "".join(f" WHEN {holds(s.where, row)} THEN {text(s.name)}" for s in jobs.segments)
        return f"CASE{whens} ELSE {text(OTHER)} END" if whens else text(OTHER)

    is_unit = in_force(rules.jobs, "metric_date", lambda jobs: holds(jobs.unit, row))
    is_repair = in_force(rules.jobs, "metric_date", lambda jobs: holds(jobs.repair, row))
    paid = f"SELECT job, sum(cents) AS cents FROM {work('payment_links')} WHERE job IS NOT NULL GROUP BY job"
    connection.execute(
        f"CREATE TABLE {work('marks')} AS SELECT _pos, metric_date, _created, source, paid, "
        f"{in_force(rules.jobs, 'metric_date', segment)} AS segment, "
        f"{is_unit} AS is_unit, {is_repair} AS is_repair FROM ("
        f"SELECT {own}, j._pos, j.metric_date, j._created, coalesce(s.source, {text(UNATTRIBUTED)}) AS source, "
        f"{dollars('coalesce(p.cents, 0)')} AS paid "
        f"FROM {work('dated_jobs')} j LEFT JOIN ({paid}) p ON p.job = j._pos "
        f"LEFT JOIN {work('spellings')} s ON s.spelling = CAST(j.source_raw AS VARCHAR))"
    )


def marked_jobs(rules: Rules, also: Sequence[str] = (), joins: str = "") -> str:
    """SQL of the jobs that count, in the form that rules read them: ``r``, with their marks ``m`` and ``_pos``.

    Args:
        rules: in force.
        also: more of what to select.
        joins: SQL of the joins that this needs.
    """
    own = [f"r.{ident(n)}" for n in columns_of(rules.feeds[JOBS]) if n not in _MARKS]
    columns = ", ".join([*own, *(f"m.{n}" for n in _MARKS), *also, "m._pos"])
    return f"SELECT {columns} FROM {work(f'rows_{JOBS}')} r JOIN {work('marks')} m ON m._pos = r._pos{joins}"


def _job_facts(connection: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    marks = ("metric_date", "source", "segment", "paid", "is_unit", "is_repair")
    own = ", ".join(f"r.{ident(n)}" for n in columns_of(feed) if n not in marks)
    connection.execute(
        f"CREATE OR REPLACE VIEW {ident(FACTS)} AS SELECT {own}, {', '.join(f'm.{n}' for n in marks)} "
        f"FROM {work(f'rows_{JOBS}')} r JOIN {work('marks')} m ON m._pos = r._pos"
    )


def last_day(connection: duckdb.DuckDBPyConnection, rules: Rules, excluded: frozenset[str]) -> dt.date | None:
    """Returns the latest business day of counted rows of all feeds but ``excluded``; for jobs, the metric date."""
    parts = [
        f"SELECT max(metric_date) AS day FROM {work('marks')}"
        if name == JOBS
        else f"SELECT max(day) FROM {work('payment_links')}"
        if name == PAYMENTS
        else f"SELECT max({ident(feed.business_date)}) FROM {work(f'rows_{name}')} WHERE _counted"
        for name, feed in rules.feeds.items()
        if name not in excluded
    ]
    if not parts:
        return None
    row = connection.execute(f"SELECT max(day) FROM ({' UNION ALL '.join(parts)}) t(day)").fetchone()
    return row[0] if row else None
