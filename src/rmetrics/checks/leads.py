"""Leads per day, source and segment, and the rows of a feed that belong to a source.

Table in ``_work``: ``leads`` (day, source, segment, leads).

Source: the design, section 3 (leads).
"""

import datetime as dt
from dataclasses import dataclass

import duckdb

from rmetrics.rules.model import FeedLeads, Rules, Source
from rmetrics.rules.rows import feed_row
from rmetrics.sandbox.quoting import holds, ident, text, within, work


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A version of a source's rule with the time it is in force."""

    name: str
    start: dt.date | None
    until: dt.date | None
    rule: Source


def create_leads(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates ``leads``; needs the feeds' views and ``activity``."""
    connection.execute(f"CREATE TABLE {work('leads')} (day DATE, source VARCHAR, segment VARCHAR, leads BIGINT)")
    for version in source_versions(rules):
        _leads(connection, rules, version)


def source_versions(rules: Rules) -> list[SourceVersion]:
    """Returns every version of every source's rule, with the time it is in force."""
    return [SourceVersion(name, *span) for name, dated in rules.sources.items() for span in dated.spans()]


def counted_rows(rules: Rules, version: SourceVersion, feed: str, where: str | None) -> str:
    """SQL of a source's rows of a feed: counted, dated while its rule is in force, and meeting ``where``."""
    inside = within(version.start, version.until, ident(rules.feeds[feed].business_date))
    row = feed_row(rules.feeds[feed], rules.business.timezone)
    fits = "" if where is None else f" AND {holds(where, row)}"
    return f"{work(f'rows_{feed}')} WHERE _counted AND {inside}{fits}"


def own_days(version: SourceVersion, table: str) -> str:
    """SQL of a source's rows in a daily table while its rule is in force."""
    inside = within(version.start, version.until, "day")
    return f"{work(table)} WHERE source = {text(version.name)} AND {inside}"


def _leads(connection: duckdb.DuckDBPyConnection, rules: Rules, version: SourceVersion) -> None:
    leads = version.rule.leads
    if isinstance(leads, FeedLeads):
        select = (
            f"SELECT {ident(rules.feeds[leads.feed].business_date)}, {text(version.name)}, "
            f"{text(version.rule.segment)}, count(*) FROM {counted_rows(rules, version, leads.feed, leads.where)} "
            "GROUP BY 1"
        )
    else:
        of_source = own_days(version, "activity")
        select = f"SELECT day, source, segment, {ident(leads)} FROM {of_source} AND {ident(leads)} > 0"
    connection.execute(f"INSERT INTO {work('leads')} {select}")


__all__ = ["SourceVersion", "counted_rows", "create_leads", "own_days", "source_versions"]
