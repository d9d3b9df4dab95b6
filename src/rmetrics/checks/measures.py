"""Own measures in SQL, from their declarations: the amount that each row adds, and the sums of each day.

Tables in ``_work``: ``placed_f`` for each feed that measures or dimensions need (its rows that count, with ``_day``,
``_source``, ``_segment``, and ``_by_d`` for each dimension that applies to them), ``own`` (day, source, segment,
measure, amount: whole ones or cents).

Source: the design, section 8.
"""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from rmetrics.checks.feeds import columns_of
from rmetrics.checks.jobs import marked_jobs
from rmetrics.rules.expressions import duckdb_form
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.measure_tables import JOURNEYS, SOURCES, Dimension, Measure
from rmetrics.rules.measures import declared, measure_row, member_text, sum_kind
from rmetrics.rules.model import OTHER, UNATTRIBUTED, FeedLeads, Rules, Source
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS
from rmetrics.rules.rows import feed_row
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import holds, ident, in_force, text, whole_cents, within, work


def own_sums(rules: Rules) -> dict[str, Measure]:
    """Returns the declarations of the company's own counts and sums."""
    return {n: m.latest for n, m in declared(rules).items() if m.own and m.latest.ratio is None}


def has_members(rules: Rules, dimension: Dimension, feed: str) -> bool:
    """Whether a dimension applies to a feed's rows: to the rows themselves, or through the jobs they belong to."""
    named = feed in rules.feeds and rules.feeds[feed].job is not None
    return feed == dimension.of or (dimension.of == JOBS and named)


def create_measures(connection: duckdb.DuckDBPyConnection, rules: Rules, journeys: Path | None = None) -> None:
    """Creates the tables above; needs the feeds' views, ``dated_jobs`` and ``marks``.

    ``journeys``: the Parquet file of all touches, whose rows ``journeys_compare`` checks separately; None without
    journeys.
    """
    connection.execute(
        f"CREATE TABLE {work('own')} (day DATE, source VARCHAR, segment VARCHAR, measure VARCHAR, amount HUGEINT)"
    )
    for feed in needed(rules):
        _place(connection, rules, feed)
        _sum(connection, rules, feed)
    if journeys is not None:
        _place_journeys(connection, rules, journeys)
        _sum(connection, rules, JOURNEYS)


def _sum(connection: duckdb.DuckDBPyConnection, rules: Rules, feed: str) -> None:
    """Adds the sums of the measures over one feed's placed rows to ``own``."""
    own = [n for n, m in own_sums(rules).items() if m.of == feed]
    if own:
        names = ", ".join(text(n) for n in own)
        sums = ", ".join(f"sum({amount_of(rules, n, feed)})" for n in own)
        connection.execute(
            f"INSERT INTO {work('own')} SELECT * FROM ("
            f"SELECT _day, _source, _segment, unnest([{names}]) AS measure, unnest([{sums}]) AS amount "
            f"FROM {work(f'placed_{feed}')} WHERE _day IS NOT NULL "
            f"GROUP BY _day, _source, _segment) WHERE amount <> 0"
        )


def needed(rules: Rules) -> list[str]:
    """Returns the feeds whose rows are needed, jobs first."""
    own = {m.of for m in own_sums(rules).values()}
    feeds = [JOBS, *(f for f in rules.feeds if f != JOBS)]  # first, as rows of other feeds take their members
    return [f for f in feeds if f in own or any(has_members(rules, d, f) for d in rules.dimensions.values())]


# -- rows with their day, source and segment


def _place(connection: duckdb.DuckDBPyConnection, rules: Rules, feed: str) -> None:
    inner = _of_jobs(rules) if feed == JOBS else _of_feed(connection, rules, feed)
    row = measure_row(rules, feed)
    mine = {n: d for n, d in rules.dimensions.items() if d.of == feed}
    cells = "".join(f", {_raw_member(rules, d, row)} AS {ident(f'_by_{n}')}" for n, d in mine.items())
    connection.execute(f"CREATE VIEW {work(f'placed_{feed}')} AS SELECT *{cells} FROM ({inner})")


def _place_journeys(connection: duckdb.DuckDBPyConnection, rules: Rules, journeys: Path) -> None:
    segment = _segment(rules, "source", "touch_date")
    connection.execute(
        f"CREATE VIEW {work(f'placed_{JOURNEYS}')} AS SELECT *, {segment} AS segment, touch_date AS _day, "
        f"source AS _source, {segment} AS _segment FROM read_parquet({text(file_name(journeys))})"
    )


def _raw_member(rules: Rules, dimension: Dimension, row: Row) -> str:
    written, kind = member_text(dimension, rules)
    return f"CAST({duckdb_form.derived(written, row, kind or ColumnType.TEXT)} AS VARCHAR)"


def _of_jobs(rules: Rules) -> str:
    placed = ["m.metric_date AS _day", "m.source AS _source", "m.segment AS _segment"]
    returns = f" LEFT JOIN {work('returns')} t ON t._pos = m._pos" if rules.returns else ""
    return marked_jobs(rules, [*(f"t.{ident(n)}" for n in rules.returns), *placed], returns)


def _of_feed(connection: duckdb.DuckDBPyConnection, rules: Rules, name: str) -> str:
    feed = rules.feeds[name]
    own = list(columns_of(feed))
    cells = [f"r.{ident(n)}" for n in own if n not in ("source", "segment") or n in feed.columns]
    on = f"r.{ident(feed.business_date)}"
    owner = text(_owner(rules, name))
    joins, day, source, segment = "", on, owner, _segment(rules, owner, on)
    if feed.job is not None:
        joins, number = _job_joins(connection, rules, name)
        if name == PAYMENTS:
            first = rules.revenue.latest.date == "job"
            day = f"coalesce(m.metric_date, {on})" if first else f"coalesce({on}, m.metric_date)"
            source, segment = f"coalesce(m.source, {text(UNATTRIBUTED)})", f"coalesce(m.segment, {text(OTHER)})"
        else:
            source, segment = f"coalesce(m.source, {owner})", f"coalesce(m.segment, {segment})"
        added = {"job_day": "m.metric_date", "job_id": number}
        cells += [f"{v} AS {n}" for n, v in added.items() if n not in own]
        cells += [f"b.{ident(f'_by_{n}')}" for n, d in rules.dimensions.items() if d.of == JOBS]
    if name == CALLS:
        source = f"coalesce({_call_source(rules)}, {text(UNATTRIBUTED)})"
        segment = _segment(rules, source, on)
    cells += [f"{v} AS {n}" for n, v in (("source", source), ("segment", segment)) if n not in feed.columns]
    return (
        f"SELECT {', '.join(cells)}, {day} AS _day, {source} AS _source, {segment} AS _segment "
        f"FROM {work(f'rows_{name}')} r{joins} WHERE r._counted"
    )


def _job_joins(connection: duckdb.DuckDBPyConnection, rules: Rules, name: str) -> tuple[str, str]:
    """Joins that give a row ``r`` the marks ``m`` and members ``b`` of its job, and SQL of the job's number."""
    link = rules.feeds[name].job
    assert link is not None  # noqa: S101 - asked of feeds that name jobs
    joins, found = "", []
    for i, column in enumerate(link.match):
        lookup = work(f"called_{name}_{i}")
        value = f"CAST({ident(column)} AS VARCHAR)"
        connection.execute(
            f"CREATE VIEW {lookup} AS SELECT {value} AS value, arg_min(_pos, CAST(job_id AS VARCHAR)) AS job, "
            f"min(CAST(job_id AS VARCHAR)) AS number FROM {work('dated_jobs')} WHERE {value} IS NOT NULL GROUP BY 1"
        )
        joins += f" LEFT JOIN {lookup} c{i} ON c{i}.value = CAST(r.{ident(link.column)} AS VARCHAR)"
        found.append(i)
    job = f"coalesce({', '.join(f'c{i}.job' for i in found)})"
    number = f"coalesce({', '.join(f'c{i}.number' for i in found)})"
    joins += f" LEFT JOIN {work('marks')} m ON m._pos = {job}"
    if any(d.of == JOBS for d in rules.dimensions.values()):
        joins += f" LEFT JOIN {work(f'placed_{JOBS}')} b ON b._pos = {job}"
    return joins, number


def _owner(rules: Rules, feed: str) -> str:
    """The only source whose leads or costs are rows of the feed; Unattributed if there are none or several."""
    found = set()
    for name, dated in rules.sources.items():
        for _, source in dated.versions:
            leads = source.leads.feed if isinstance(source.leads, FeedLeads) else None
            if feed in {leads, *(c.feed for c in source.cost)}:
                found.add(name)
    return found.pop() if len(found) == 1 else UNATTRIBUTED


def _segment(rules: Rules, source: str, day: str) -> str:
    """SQL of the segment of a source's leads on a day."""
    whens = "".join(
        f" WHEN {text(n)} THEN {in_force(d, day, lambda s: text(s.segment))}" for n, d in rules.sources.items()
    )
    return f"CASE {source}{whens} ELSE {text(OTHER)} END" if whens else text(OTHER)


def _call_source(rules: Rules) -> str:
    feed = rules.feeds[CALLS]
    row = feed_row(feed, rules.business.timezone)

    def named(calls: object) -> str:
        whens = "".join(f" WHEN {holds(s.where, row)} THEN {text(s.name)}" for s in getattr(calls, "sources", ()))
        return f"CASE{whens} END" if whens else "CAST(NULL AS VARCHAR)"

    return in_force(rules.calls, ident(feed.business_date), named)


# -- the amount of a row


def amount_of(rules: Rules, name: str, feed: str) -> str:
    """SQL of the amount that a row of ``placed_f`` adds to a measure: ones or cents, before the share."""
    measure = declared(rules)[name]
    if measure.latest.of == SOURCES:
        return " + ".join(["0", *_by_sources(rules, measure.latest, feed)])
    row = measure_row(rules, feed)

    def rendered(rule: Measure) -> str:
        if rule.count is not None:
            return f"CASE WHEN {holds(rule.count, row)} THEN 1 ELSE 0 END"
        kind = sum_kind(rule, rules)
        value = duckdb_form.derived(rule.sum or "", row, kind)
        whole = whole_cents(value) if kind is ColumnType.MONEY else f"CAST({value} AS BIGINT)"
        where = "true" if rule.where is None else holds(rule.where, row)
        return f"CASE WHEN {where} THEN coalesce({whole}, 0) ELSE 0 END"

    return f"CAST({in_force(measure.rule, '_day', rendered)} AS HUGEINT)"


def _by_sources(rules: Rules, measure: Measure, feed: str) -> Iterator[str]:
    """Yields SQL of the amounts that a row adds to leads or cost, per source and version."""
    for name, dated in rules.sources.items():
        for start, until, source in dated.spans():
            for condition, value in _terms(rules, measure, name, source, feed):
                inside = within(start, until, "_day")
                yield f"CASE WHEN {inside} AND {condition} THEN coalesce({value}, 0) ELSE 0 END"


def _terms(rules: Rules, measure: Measure, name: str, source: Source, feed: str) -> Iterator[tuple[str, str]]:
    row = feed_row(rules.feeds[feed], rules.business.timezone)
    if measure.count is None:
        for cost in source.cost:
            if cost.feed == feed and cost.spread is None and cost.sum is not None:
                yield ("true" if cost.where is None else holds(cost.where, row)), whole_cents(ident(cost.sum))
    elif isinstance(source.leads, FeedLeads):
        if source.leads.feed == feed:
            yield ("true" if source.leads.where is None else holds(source.leads.where, row)), "1"
    elif feed == JOBS:
        marks = {"jobs": "true", "units": "is_unit", "repairs": "is_repair"}
        yield f"_source = {text(name)} AND {marks[source.leads]}", "1"
