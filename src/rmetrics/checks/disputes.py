"""Facts of leads, and leads creditable under their vendor's terms, in SQL: the counterpart of ``metrics.disputes``.

Tables in ``_work``: ``lead_facts`` (feed, source, position, facts, evidence: one row per lead of a source with terms),
``lead_claims`` (the leads that a term makes creditable).

Source: the design, section 7 (vendor terms).
"""

import duckdb

from rmetrics.checks.feeds import zip_of
from rmetrics.checks.phones import phone_keys
from rmetrics.rules.disputes import FACTS, lead_row, price_column
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.journeys import Journeys
from rmetrics.rules.model import FeedLeads, Rules, Source
from rmetrics.rules.names import JOBS
from rmetrics.rules.rows import feed_row, has_zip
from rmetrics.sandbox.quoting import holds, ident, in_force, text, within, work

NEAR_S = 600
FACT_COLUMNS = (
    "feed", "source", "_position", *FACTS, "duplicate_of", "customer_job", "first_call",
)  # fmt: skip
CLAIM_COLUMNS = (
    "feed", "source", "_position", "version", "term", "answer", "price", "duplicate_of", "customer_job", "first_call",
)  # fmt: skip
_TYPES = {"duplicate_within_days": "BIGINT", "customer_within_days": "BIGINT", "called_within_hours": "BIGINT"}


def create_lead_facts(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates the tables above.

    Args:
        connection: has the feeds' views, ``dated_jobs`` and ``marks``, ``seen_calls`` with their numbers, and
            ``led_leads`` (feed, _pos: leads to which the journeys give a job).
        rules: in force.
    """
    kinds = ", ".join(f"{n} {_TYPES.get(n, 'BOOLEAN')}" for n in FACTS)
    connection.execute(
        f"CREATE TABLE {work('lead_facts')} (feed VARCHAR, source VARCHAR, _position BIGINT, {kinds}, "
        "duplicate_of BIGINT, customer_job VARCHAR, first_call BIGINT)"
    )
    connection.execute(
        f"CREATE TABLE {work('lead_claims')} (feed VARCHAR, source VARCHAR, _position BIGINT, version BIGINT, "
        "term BIGINT, answer VARCHAR, price DECIMAL(18,2), duplicate_of BIGINT, "
        "customer_job VARCHAR, first_call BIGINT)"
    )
    _jobs(connection, rules)
    for name, dated in rules.sources.items():
        spans = [
            (i, start, until, version)
            for i, (start, until, version) in enumerate(dated.spans())
            if version.disputes and isinstance(version.leads, FeedLeads)
        ]
        feeds = dict.fromkeys(v.leads.feed for *_, v in spans if isinstance(v.leads, FeedLeads))
        for feed in feeds:
            _keys(connection, rules, feed)
            connection.execute(f"INSERT INTO {work('lead_facts')} {_facts(rules, feed, name)}")
            connection.execute(f"DROP TABLE {work('lead_keys')}")
        for i, start, until, version in spans:
            assert isinstance(version.leads, FeedLeads)  # noqa: S101 - as chosen above
            day = f"w.{ident(rules.feeds[version.leads.feed].business_date)}"
            claims = _claims(rules, version.leads, version, name, i, within(start, until, day))
            connection.execute(f"INSERT INTO {work('lead_claims')} {claims}")


def _jobs(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``_work.customers`` (number, job, created) and ``nobodys`` (source, zip, created; no number)."""
    feed = rules.feeds[JOBS]
    phone = next((n for n, c in feed.columns.items() if c.type is ColumnType.PHONE), None)
    keys = phone_keys("CAST(NULL AS VARCHAR)" if phone is None else f"d.{ident(phone)}")
    connection.execute(
        f"CREATE TABLE {work('customers')} AS SELECT unnest({keys}) AS key, CAST(d.job_id AS VARCHAR) AS job, "
        f"d._created AS created FROM {work('dated_jobs')} d WHERE d._created IS NOT NULL"
    )
    connection.execute(
        f"CREATE TABLE {work('nobodys')} AS SELECT m.source, {zip_of(feed, 'd')} AS zip, d._created AS created "
        f"FROM {work('dated_jobs')} d JOIN {work('marks')} m ON m._pos = d._pos "
        f"WHERE len({keys}) = 0 AND d._created IS NOT NULL"
    )


def _keys(connection: duckdb.DuckDBPyConnection, rules: Rules, name: str) -> None:
    """Creates ``_work.lead_keys``: position, day, time and number of each lead that counts, without own lines."""
    feed = rules.feeds[name]
    phone = next((n for n, c in feed.columns.items() if c.type is ColumnType.PHONE), None)

    def ours(journeys: Journeys) -> str:
        return f"key IN ({', '.join(map(text, journeys.own_numbers))})" if journeys.own_numbers else "false"

    own = in_force(rules.journeys.common, "day", ours)
    cell = "CAST(NULL AS VARCHAR)" if phone is None else ident(phone)
    connection.execute(
        f"CREATE TABLE {work('lead_keys')} AS SELECT * FROM (SELECT _pos, {ident(feed.business_date)} AS day, "
        f"CAST({ident(feed.date)} AS TIMESTAMPTZ) AS came, unnest({phone_keys(cell)}) AS key "
        f"FROM {work(f'rows_{name}')} WHERE _counted AND {ident(feed.date)} IS NOT NULL) WHERE NOT {own}"
    )


def _facts(rules: Rules, name: str, source: str) -> str:
    """SELECT of the facts of every lead of a feed that counts, with the window of a source."""
    feed, day = rules.feeds[name], f"r.{ident(rules.feeds[name].business_date)}"
    windows = rules.journeys.windows(source)
    keys, calls = work("lead_keys"), f"{work('call_numbers')} n JOIN {work('seen_calls')} c ON c._pos = n._pos"
    days = "date_diff('day', j.created, k.day)"
    micros = "(epoch_us(c.at) - epoch_us(k.came))"
    timed = str(feed.columns[feed.date].type is ColumnType.TIMESTAMP).lower()
    near = f"(c.inbound AND {timed} AND abs({micros}) <= {NEAR_S * 1_000_000})"
    back = f"(NOT c.inbound AND {micros} >= 0)"
    before = (
        f"SELECT _pos, lag(_pos) OVER by_time AS earlier, date_diff('day', lag(day) OVER by_time, day) AS days "
        f"FROM {keys} WINDOW by_time AS (PARTITION BY key ORDER BY came, _pos)"
    )
    duplicates = (
        f"SELECT _pos, min(days) AS days, first(earlier ORDER BY days, earlier) AS earlier FROM ({before}) "
        f"WHERE earlier IS NOT NULL GROUP BY _pos"
    )
    customers = (
        f"SELECT k._pos, bool_or({days} > 0) AS was, min({days}) FILTER (WHERE {days} > 0) AS days, "
        f"bool_or({days} <= 0 AND -{days} <= {in_force(windows, 'k.day', str)}) AS booked, "
        f"first(j.job ORDER BY {days}, j.job) FILTER (WHERE {days} > 0) AS job "
        f"FROM {keys} k JOIN {work('customers')} j ON j.key = k.key GROUP BY k._pos"
    )
    answered = (
        f"SELECT k._pos, CASE WHEN bool_or({near} AND c.answered) THEN true "
        f"WHEN bool_or({near} AND c.answered IS NULL) OR NOT bool_or({near}) THEN NULL ELSE false END AS answered, "
        f"min({micros} // 3600000000) FILTER (WHERE {back}) AS hours, "
        f"first(c._pos ORDER BY {micros}, c._pos) FILTER (WHERE {back}) AS call "
        f"FROM {keys} k JOIN ({calls}) ON n.key = k.key WHERE c.at IS NOT NULL GROUP BY k._pos"
    )
    window = in_force(windows, day, str)
    unsure = (
        f"EXISTS (SELECT 1 FROM {work('nobodys')} o WHERE o.source = {text(source)} "
        f"AND o.created BETWEEN {day} AND {day} + CAST({window} AS INTEGER) AND coalesce(o.zip = {zip_of(feed)}, true))"
    )
    known = f"r._pos IN (SELECT _pos FROM {keys})"
    with_job = f"r._pos IN (SELECT _pos FROM {work('led_leads')} WHERE feed = {text(name)})"
    booked = f"(coalesce(j.booked, false) OR {with_job})"
    return (
        f"SELECT {text(name)}, {text(source)}, r._pos, d.days, CASE WHEN {known} THEN coalesce(j.was, false) END, "
        f"j.days, CASE WHEN {booked} THEN true WHEN {known} AND NOT {unsure} THEN false END, h.answered, h.hours, "
        f"{_served(rules, name)}, d.earlier, j.job, h.call FROM {work(f'rows_{name}')} r "
        f"LEFT JOIN ({duplicates}) d ON d._pos = r._pos LEFT JOIN ({customers}) j ON j._pos = r._pos "
        f"LEFT JOIN ({answered}) h ON h._pos = r._pos WHERE r._counted"
    )


def _served(rules: Rules, name: str) -> str:
    if not has_zip(rules.feeds[name]) or not rules.business.zips:
        return "CAST(NULL AS BOOLEAN)"
    starts = (z.upper().replace(" ", "") for z in rules.business.zips)
    own = "replace(upper(r.zip), ' ', '')"
    return f"({' OR '.join(f'starts_with({own}, {text(z)})' for z in starts)})"


def _claims(rules: Rules, leads: FeedLeads, source: Source, name: str, version: int, span: str) -> str:
    """SELECT of the leads creditable under one version of a source; a lead gets the first term that holds."""
    feed, rows = rules.feeds[leads.feed], work(f"rows_{leads.feed}")
    own, row, day = feed_row(feed, rules.business.timezone), lead_row(rules, leads.feed), ident(feed.business_date)
    free = [n for n in FACTS if n not in feed.columns and n != feed.business_date]
    column = price_column(source)
    price, highest = "CAST(NULL AS DECIMAL(18,2))", "CAST(NULL AS DECIMAL(18,2))"
    if column is not None:
        keys = " AND ".join(f"a.{ident(k)} IS NOT DISTINCT FROM r.{ident(k)}" for k in feed.key_columns)
        price = f"CAST(r.{ident(column)} AS DECIMAL(18,2))"
        highest = (
            f"(SELECT CAST(max(a.{ident(column)}) AS DECIMAL(18,2)) FROM {work(f'all_{leads.feed}')} a WHERE {keys})"
        )
    facts = ", ".join(f"f.{n}" for n in (*free, "duplicate_of", "customer_job", "first_call"))
    joined = (
        f"SELECT r.*, {facts}, {price} AS _price, {highest} AS _dearest FROM {rows} r JOIN {work('lead_facts')} f "
        f"ON f._position = r._pos AND f.feed = {text(leads.feed)} AND f.source = {text(name)}"
    )
    granted = holds(source.answers.granted, own) if source.answers.granted else "false"
    refused = holds(source.answers.refused, own) if source.answers.refused else "false"
    credited = "coalesce(_dearest > 0 AND coalesce(_price, 0) = 0, false)"
    whens = "".join(
        f" WHEN {holds(d.where, row)} AND "
        f"{'true' if d.from_ is None and d.until is None else within(d.from_, d.until, day)} THEN {i}"
        for i, d in enumerate(source.disputes)
    )
    counts = holds(leads.where, own) if leads.where else "true"
    decided = (
        f"SELECT *, CASE{whens} END AS _term, CASE WHEN {granted} OR {credited} THEN 'granted' WHEN {refused} "
        f"THEN 'refused' END AS _answer, {counts} AS _counts, greatest(_price, _dearest) AS _most FROM ({joined}) w "
        f"WHERE {span}"
    )
    return (
        f"SELECT {text(leads.feed)}, {text(name)}, _pos, {version}, _term, _answer, "
        f"CASE WHEN NOT coalesce(_answer = 'granted' AND _most = 0, false) THEN _most END, "
        f"duplicate_of, customer_job, first_call FROM ({decided}) WHERE (_counts OR _answer IS NOT NULL) "
        f"AND _term IS NOT NULL"
    )


__all__ = ["CLAIM_COLUMNS", "FACT_COLUMNS", "create_lead_facts"]
