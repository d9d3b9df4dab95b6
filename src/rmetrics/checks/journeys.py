"""Journeys in SQL: touches, the touch that each job came from, and the outcome of each touch.

Tables in ``_work``: ``touches``, ``touch_numbers`` (touch, number, whether it is shared), ``job_numbers``,
``near_calls`` (calls that are evidence for a touch), ``touch_links`` (jobs that the CRM names), ``pairs`` (touch, job,
step), ``matches``, ``attached`` (the jobs of a touch), ``first_days`` (of each number's jobs), ``known_touches`` (what
else is known of a touch). In the default schema: ``journeys``. ``touch`` is the ``rowid`` of a touch in ``touches``,
which takes less memory than its text.

Source: the design, section 7, and its notes on journeys.
"""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import duckdb

from rmetrics.checks.feeds import zip_of
from rmetrics.checks.parts import create_in_parts
from rmetrics.checks.phones import phone_keys
from rmetrics.checks.revenue import counted_day, share_units
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.journeys import SHARED_WITHIN
from rmetrics.rules.model import Calls, Cost, FeedLeads, Rules
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.rules.rows import feed_row
from rmetrics.sandbox.quoting import dollars, from_micros, holds, ident, in_force, text, whole_cents, within, work

JOURNEYS = "journeys"
MATCHES = "matches"
_NEAR_S = 600


def create_journeys(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates the tables above; needs the feeds' views and those of the jobs."""
    zone = rules.business.timezone
    _named_jobs(connection, rules)
    connection.execute(
        f"CREATE TABLE {work('touches')} (touch_id VARCHAR, feed VARCHAR, source VARCHAR, place INTEGER, "
        "touch_at TIMESTAMPTZ, timed BOOLEAN, day DATE, phone VARCHAR, zip VARCHAR, answered BOOLEAN, job VARCHAR, "
        "cents BIGINT, days INTEGER, pos BIGINT)"
    )
    for select in (*_leads(rules, zone), *_calls(rules, zone)):
        connection.execute(f"INSERT INTO {work('touches')} {select}")
    _jobs(connection, rules)
    _numbers(connection, rules)
    _evidence(connection, rules)
    _pairs(connection, rules)
    _revenue(connection, rules)
    _outcomes(connection)


def _users(rules: Rules, feed: str) -> set[str]:
    """Sources whose leads are, in any version, rows of a feed."""
    return {
        name
        for name, dated in rules.sources.items()
        for _, source in dated.versions
        if isinstance(source.leads, FeedLeads) and source.leads.feed == feed
    }


def _places(rules: Rules) -> dict[str, int]:
    names = list(rules.sources)
    for _, calls in rules.calls.versions:
        names += [s.name for s in calls.sources if s.name not in names]
    return {name: i for i, name in enumerate(names)}


def _named_jobs(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.named_f``, the job of each row, for calls and for each lead feed whose rows name jobs."""
    for name, feed in rules.feeds.items():
        if feed.job is None or not (name == CALLS or _users(rules, name)):
            continue
        joins, found = [], []
        for i, column in enumerate(feed.job.match):
            value = f"CAST({ident(column)} AS VARCHAR)"
            joins.append(
                f"LEFT JOIN (SELECT {value} AS name, min(CAST(job_id AS VARCHAR)) AS job FROM {work('dated_jobs')} "
                f"WHERE {ident(column)} IS NOT NULL GROUP BY 1) c{i} "
                f"ON c{i}.name = CAST(r.{ident(feed.job.column)} AS VARCHAR)"
            )
            found.append(f"c{i}.job")
        connection.execute(
            f"CREATE TABLE {work(f'named_{name}')} AS SELECT r._pos, coalesce({', '.join(found)}) AS job "
            f"FROM {work(f'rows_{name}')} r {' '.join(joins)} WHERE r.{ident(feed.job.column)} IS NOT NULL"
        )


def _leads(rules: Rules, zone: str) -> Iterator[str]:
    """SELECTs of the rows of lead feeds that count."""
    places = _places(rules)
    for name, dated in rules.sources.items():
        for start, until, source in dated.spans():
            leads = source.leads
            if not isinstance(leads, FeedLeads):
                continue
            feed = rules.feeds[leads.feed]
            fits = [within(start, until, f"r.{ident(feed.business_date)}"), "r._counted"]
            if leads.where is not None:
                fits.append(f"r._pos IN (SELECT _pos FROM {_fitting(rules, leads.feed, leads.where)})")
            parts = [_cost(rules, leads.feed, cost) for cost in source.cost]
            cents = " + ".join(["0", *(p for p in parts if p)])
            user = f"{leads.feed}@{places[name]}" if len(_users(rules, leads.feed)) > (leads.feed != CALLS) else ""
            yield _select(rules, leads.feed, text(name), user or leads.feed, f"CAST({cents} AS BIGINT)", fits, zone)


def _fitting(rules: Rules, feed: str, where: str) -> str:
    return f"{work(f'rows_{feed}')} WHERE {holds(where, feed_row(rules.feeds[feed], rules.business.timezone))}"


def _cost(rules: Rules, feed: str, cost: Cost) -> str:
    """SQL of the own cost of a row of a lead feed from one part of its source's cost; empty if it has none."""
    if cost.per_lead is not None:
        return str(int(cost.per_lead * 100))
    if cost.feed != feed or cost.spread is not None or cost.sum is None:
        return ""
    amount = f"coalesce({whole_cents(f'r.{ident(cost.sum)}')}, 0)"
    if cost.where is None:
        return amount
    return f"CASE WHEN r._pos IN (SELECT _pos FROM {_fitting(rules, feed, cost.where)}) THEN {amount} ELSE 0 END"


def _labelled(rules: Rules) -> str:
    """SELECT of the inbound calls that count, with their source: position, source, day."""
    feed = rules.feeds[CALLS]
    row = feed_row(feed, rules.business.timezone)

    def label(calls: Calls) -> str:
        whens = "".join(f" WHEN {holds(s.where, row)} THEN {text(s.name)}" for s in calls.sources)
        return f"CASE{whens} END" if whens else "NULL"

    source = in_force(rules.calls, ident(feed.business_date), label)
    is_inbound = "direction IS NOT DISTINCT FROM 'inbound'" if "direction" in feed.columns else "true"
    return (
        f"SELECT _pos, {source} AS source, {ident(feed.business_date)} AS day FROM {work(f'rows_{CALLS}')} "
        f"WHERE _counted AND {is_inbound}"
    )


def _calls(rules: Rules, zone: str) -> Iterator[str]:
    """SELECT of the calls that are touches: of sources without a lead feed on that day."""
    if CALLS not in rules.feeds or not any(calls.sources for _, calls in rules.calls.versions):
        return
    fed = [
        f"(l.source = {text(name)} AND {within(start, until, 'l.day')})"
        for name, dated in rules.sources.items()
        for start, until, source in dated.spans()
        if isinstance(source.leads, FeedLeads)
    ]
    fits = ["l.source IS NOT NULL", "l.day IS NOT NULL", f"NOT ({' OR '.join(fed) or 'false'})"]
    prefix = f"{CALLS}@call" if _users(rules, CALLS) else CALLS
    yield _select(rules, CALLS, "l.source", prefix, "0", fits, zone, f"JOIN ({_labelled(rules)}) l ON l._pos = r._pos")


def _select(
    rules: Rules, name: str, source: str, prefix: str, cents: str, fits: list[str], zone: str, join: str = ""
) -> str:
    feed, places = rules.feeds[name], _places(rules)
    day = f"r.{ident(feed.business_date)}"
    timed = feed.columns[feed.date].type is ColumnType.TIMESTAMP
    at = (
        f"r.{ident(feed.date)}" if timed else f"(CAST({day} AS TIMESTAMP) + INTERVAL 12 HOUR) AT TIME ZONE {text(zone)}"
    )
    place = " ".join(f"WHEN {text(s)} THEN {i}" for s, i in places.items())
    days = " ".join(f"WHEN {text(s)} THEN {in_force(rules.journeys.windows(s), day, str)}" for s in places)
    phone = _phone(feed)
    answered = "r.answered" if name == CALLS and "answered" in feed.columns else "NULL"
    job, named = "NULL", ""
    if feed.job is not None:
        job, named = "n.job", f"LEFT JOIN {work(f'named_{name}')} n ON n._pos = r._pos"
    return (
        f"SELECT {text(prefix + ':')} || {_key(feed)}, {text(name)}, {source}, CASE {source} {place} END, {at}, "
        f"{str(timed).lower()}, {day}, {f'r.{ident(phone)}' if phone else 'NULL'}, {zip_of(feed)}, {answered}, {job}, "
        f"{cents}, CASE {source} {days} END, r._pos FROM {work(f'rows_{name}')} r {join} {named} "
        f"WHERE {' AND '.join(fits)}"
    )


def _phone(feed: Feed) -> str:
    phones = [n for n, c in feed.columns.items() if c.type is ColumnType.PHONE]
    return "from_number" if "from_number" in phones else phones[0] if phones else ""


def _key(feed: Feed) -> str:
    parts = []
    for name in feed.key_columns:
        stamp = name in feed.columns and feed.columns[name].type is ColumnType.TIMESTAMP
        value = f"coalesce(CAST({f'epoch_us(r.{ident(name)})' if stamp else f'r.{ident(name)}'} AS VARCHAR), '')"
        if len(feed.key_columns) > 1:
            value = rf"replace(replace({value}, '\', '\\'), '|', '\|')"
        parts.append(value)
    return "(" + " || '|' || ".join(parts) + ")"


def _jobs(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.made_jobs``: the jobs that count, with the day of their creation and the cents paid."""
    feed = rules.feeds[JOBS]
    phone = _phone(feed)
    connection.execute(
        f"CREATE TABLE {work('made_jobs')} AS SELECT CAST(r.job_id AS VARCHAR) AS job, r._pos AS pos, m.source, "
        f"m.metric_date, m._created AS day, {zip_of(feed)} AS zip, "
        f"{f'r.{ident(phone)}' if phone else 'CAST(NULL AS VARCHAR)'} AS phone, m.is_unit, m.is_repair, "
        f"{whole_cents('m.paid')} AS cents FROM {work(f'rows_{JOBS}')} r JOIN {work('marks')} m ON m._pos = r._pos"
    )


def _numbers(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    common = rules.journeys.common

    def listed(numbers: tuple[str, ...]) -> str:
        return f"number IN ({', '.join(map(text, numbers))})" if numbers else "false"

    own = in_force(common, "day", lambda j: listed(j.own_numbers))
    connection.execute(
        f"CREATE TABLE {work('job_numbers')} AS SELECT * FROM (SELECT job, source, day, zip, "
        f"unnest({phone_keys('phone')}) AS number FROM {work('made_jobs')} WHERE day IS NOT NULL) WHERE NOT {own}"
    )
    # Jobs of each number in the year from each of its jobs on; the busiest year counts.
    connection.execute(
        f"CREATE TABLE {work('busy')} AS SELECT number, max(jobs) AS jobs FROM (SELECT number, count(*) OVER ("
        f"PARTITION BY number ORDER BY day RANGE BETWEEN CURRENT ROW AND INTERVAL {SHARED_WITHIN - 1} DAYS FOLLOWING) "
        f"AS jobs FROM {work('job_numbers')}) GROUP BY number"
    )
    shared = in_force(common, "day", lambda j: f"({listed(j.shared_numbers)} OR coalesce(b.jobs, 0) > {j.shared_when})")
    connection.execute(
        f"CREATE TABLE {work('touch_numbers')} AS SELECT t.*, {shared} AS shared FROM (SELECT * FROM ("
        f"SELECT rowid AS touch, touch_id, feed, source, timed, touch_at, day, days, zip, "
        f"unnest({phone_keys('phone')}) AS number "
        f"FROM {work('touches')}) WHERE NOT {own}) t LEFT JOIN {work('busy')} b USING (number)"
    )


def _evidence(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    feed = rules.feeds.get(CALLS)
    select = "SELECT CAST(NULL AS BIGINT) AS touch, CAST(NULL AS BOOLEAN) AS answered, NULL::VARCHAR AS job WHERE false"
    if feed is not None and feed.columns[feed.date].type is ColumnType.TIMESTAMP and (phone := _phone(feed)):
        answered = "r.answered" if "answered" in feed.columns else "CAST(NULL AS BOOLEAN)"
        job, named = "CAST(NULL AS VARCHAR)", ""
        if feed.job is not None:
            job, named = "n.job", f"LEFT JOIN {work(f'named_{CALLS}')} n ON n._pos = r._pos"
        calls_heard = (
            f"SELECT l.source, r.{ident(feed.date)} AS at, {answered} AS answered, {job} AS job, "
            f"unnest({phone_keys(f'r.{ident(phone)}')}) AS number FROM {work(f'rows_{CALLS}')} r "
            f"JOIN ({_labelled(rules)}) l ON l._pos = r._pos {named} WHERE l.source IS NOT NULL"
        )
        select = (
            f"SELECT t.touch, h.answered, h.job FROM {work('touch_numbers')} t JOIN ({calls_heard}) h "
            f"ON h.source = t.source AND h.number = t.number WHERE t.timed AND t.feed <> {text(CALLS)} "
            f"AND abs(epoch_us(h.at) - epoch_us(t.touch_at)) <= {_NEAR_S * 1_000_000}"
        )
    connection.execute(f"CREATE TABLE {work('near_calls')} AS {select}")
    connection.execute(
        f"CREATE TABLE {work('touch_links')} AS SELECT DISTINCT touch, job FROM (SELECT rowid AS touch, job "
        f"FROM {work('touches')} UNION ALL SELECT touch, job FROM {work('near_calls')}) "
        f"WHERE job IN (SELECT job FROM {work('made_jobs')})"
    )


def _pairs(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``pairs``, every touch and job that may match, and ``matches``, the touch of each job."""
    inside = "j.day BETWEEN t.day AND t.day + t.days"
    numbers = f"{work('touch_numbers')} t JOIN {work('job_numbers')} j ON j.number = t.number"
    connection.execute(
        f"CREATE TABLE {work('pairs')} AS SELECT touch, job, min(step) AS step FROM ("
        f"SELECT l.touch, l.job, 1 AS step FROM {work('touch_links')} l JOIN {work('touches')} t ON t.rowid = l.touch "
        f"JOIN {work('made_jobs')} j ON j.job = l.job WHERE j.day IS NULL OR j.day >= t.day "
        f"UNION ALL SELECT t.touch, j.job, CASE WHEN j.source = t.source THEN 2 ELSE 3 END FROM {numbers} "
        f"WHERE NOT t.shared AND {inside} "
        f"UNION ALL SELECT t.touch, j.job, 4 FROM {numbers} AND j.zip = t.zip WHERE t.shared AND {inside}"
        f") GROUP BY ALL"
    )
    last = in_force(rules.journeys.common, "j.day", lambda r: str(r.touch == "last").lower())
    turn = f"p.step, CASE WHEN {last} THEN -epoch_us(t.touch_at) ELSE epoch_us(t.touch_at) END, t.place, t.touch_id"
    connection.execute(
        f"CREATE TABLE {work(MATCHES)} AS SELECT p.job AS job_id, p.touch, t.touch_id, "
        "CASE p.step WHEN 1 THEN 'uuid' WHEN 2 THEN 'phone' WHEN 3 THEN 'phone-other-source' ELSE 'phone-zip' END "
        f"AS matched_by, t.source AS source_matched FROM {work('pairs')} p "
        f"JOIN {work('touches')} t ON t.rowid = p.touch JOIN {work('made_jobs')} j ON j.job = p.job "
        f"QUALIFY row_number() OVER (PARTITION BY p.job ORDER BY {turn}) = 1"
    )


def _revenue(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.job_shares``: the company's share of each job's payments, in millionths."""
    share = share_units(rules, "day")
    create_in_parts(
        connection,
        work("job_shares"),
        work("made_jobs"),
        lambda inside: (
            f"SELECT job, sum(cents * ({share})) AS micros FROM ("
            f"SELECT m.job, {counted_day(rules)} AS day, p.cents FROM {work('payment_links')} p "
            f"JOIN (SELECT * FROM {work('made_jobs')} WHERE {inside('rowid')}) m ON m.pos = p.job) GROUP BY job"
        ),
    )


def _outcomes(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates ``journeys``, step by step and some touches at a time: all at once would take too much memory."""
    # Length before text: orders job numbers by value, without requiring that they are numeric.
    order = "ORDER BY coalesce(j.day, DATE '9999-12-31'), length(j.job), j.job"
    create_in_parts(
        connection,
        work("attached"),
        work("touches"),
        lambda inside: (
            f"SELECT m.touch, count(*) AS jobs, first(j.job {order}) AS job_id, "
            f"first(m.matched_by {order}) AS matched_by, bool_or(j.is_unit) AS visited, "
            f"bool_or(j.is_repair) AS repaired, sum(j.cents) AS cents, coalesce(sum(s.micros), 0) AS micros "
            f"FROM (SELECT * FROM {work(MATCHES)} WHERE {inside('touch')}) m "
            f"JOIN {work('made_jobs')} j ON j.job = m.job_id LEFT JOIN {work('job_shares')} s ON s.job = j.job "
            f"GROUP BY m.touch"
        ),
    )
    connection.execute(
        f"CREATE TABLE {work('first_days')} AS SELECT number, min(day) AS since FROM {work('job_numbers')} "
        "GROUP BY number"
    )
    create_in_parts(
        connection,
        work("known_touches"),
        work("touches"),
        lambda inside: (
            "SELECT touch, bool_or(paired) AS paired, bool_or(linked) AS linked, bool_or(numbered) AS numbered, "
            "coalesce(bool_or(NOT shared), false) AS unshared, min(since) AS since, bool_or(heard) AS heard FROM ("
            f"SELECT touch, true AS paired FROM {work('pairs')} UNION ALL BY NAME "
            f"SELECT touch, true AS linked FROM {work('touch_links')} UNION ALL BY NAME "
            f"SELECT touch, answered AS heard FROM {work('near_calls')} UNION ALL BY NAME "
            f"SELECT t.touch, true AS numbered, t.shared, s.since FROM {work('touch_numbers')} t "
            f"LEFT JOIN {work('first_days')} s ON s.number = CASE WHEN NOT t.shared THEN t.number END) "
            f"WHERE {inside('touch')} GROUP BY touch"
        ),
    )
    reason = (
        "CASE WHEN b.touch IS NOT NULL THEN NULL WHEN k.paired THEN 'no-job' WHEN k.linked THEN 'outside-window' "
        "WHEN NOT coalesce(k.numbered, false) THEN 'no-number' WHEN NOT k.unshared THEN 'shared' "
        "WHEN k.since IS NOT NULL THEN 'outside-window' ELSE 'no-job' END"
    )
    create_in_parts(
        connection,
        JOURNEYS,
        work("touches"),
        lambda inside: (
            "SELECT t.touch_id, t.feed, t.source, t.touch_at, t.day AS touch_date, "
            "CAST(date_trunc('month', t.day) AS DATE) AS month, coalesce(t.answered, k.heard) AS answered, "
            "b.touch IS NOT NULL AS booked, coalesce(b.visited, false) AS visited, "
            "coalesce(b.repaired, false) AS repaired, coalesce(b.jobs, 0) AS jobs, b.job_id, "
            f"coalesce(b.matched_by, 'none') AS matched_by, {reason} AS reason, "
            "CASE WHEN k.unshared THEN coalesce(k.since < t.day, false) END AS returning_customer, "
            f"{dollars('t.cents')} AS cost, {dollars('coalesce(b.cents, 0)')} AS paid, "
            f"{from_micros('coalesce(b.micros, 0)')} AS revenue40 "
            f"FROM (SELECT *, rowid AS touch FROM {work('touches')} WHERE {inside('rowid')}) t "
            f"LEFT JOIN (SELECT * FROM {work('attached')} WHERE {inside('touch')}) b ON b.touch = t.touch "
            f"LEFT JOIN (SELECT * FROM {work('known_touches')} WHERE {inside('touch')}) k ON k.touch = t.touch"
        ),
    )


class FeedSpan(NamedTuple):
    """A time in which a source's leads are the rows of a feed.

    Attributes:
        start, until: half-open; None: no limit.
        own_cost: whether all of the source's cost is then cost of those rows.
    """

    source: str
    start: dt.date | None
    until: dt.date | None
    own_cost: bool


def feed_spans(rules: Rules) -> Iterator[FeedSpan]:
    """Yields the times in which the leads of sources are the rows of feeds."""
    for name, dated in rules.sources.items():
        for start, until, source in dated.spans():
            leads = source.leads
            if isinstance(leads, FeedLeads):
                own = all(
                    c.per_lead is not None
                    or (c.feed == leads.feed and c.spread is None and (c.where or "") == (leads.where or ""))
                    for c in source.cost
                )
                yield FeedSpan(name, start, until, own)


__all__ = ["JOURNEYS", "MATCHES", "FeedSpan", "create_journeys", "feed_spans"]
