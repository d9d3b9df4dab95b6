"""Everything computed from the typed rows of all exports, streamed."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from rmetrics.lake import Lake, TypedFile
from rmetrics.metrics.calls import with_call_sources
from rmetrics.metrics.jobs import dated_jobs, feed_part, job_facts, linked, own_names, spellings
from rmetrics.metrics.newest import COUNTED, TypedExport, feed_rows, newest_rows
from rmetrics.metrics.rollup import daily_of, monthly_metrics
from rmetrics.metrics.tallies import Tallies, tally
from rmetrics.metrics.targets import with_declared_sources
from rmetrics.pipeline.parts import (
    FACTS,
    FACTS_PART,
    LINES,
    ONE_PART,
    SPELLINGS,
    TALLIES,
    finders,
    order,
)
from rmetrics.pipeline.progress import Progress
from rmetrics.rules import Rules
from rmetrics.rules.validate import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.snapshot import Part, Snapshot, write_table
from rmetrics.tables import DAILY, MONTHLY

Tables = dict[str, Mapping[dt.date, Part]]
Typed = Mapping[str, list[tuple[TypedFile, int]]]


def compute_whole(lake: Lake, rules: Rules, typed: Typed, progress: Progress) -> Tables:
    """Writes every table.

    Args:
        lake: where to.
        rules: in force.
        typed: typed files by feed, each with the rank of its export.
        progress: is told how far it is.

    Raises:
        LakeError: a file cannot be written.
    """
    tables: Tables = {}
    made = Snapshot(lake.root, tables=tables)
    names = order(rules)
    for i, name in enumerate(names):
        progress("keeping the newest rows", i, len(names))
        tables[name] = write_feed(lake, rules, name, typed[name], made)
    progress("keeping the newest rows", len(names), len(names))
    progress("applying the rules", 0, 3)
    feeds = {name: made.scan(name) for name in rules.feeds}
    spelt = spellings(dated_jobs(feeds[JOBS], rules), rules)
    tables[SPELLINGS] = write_table(lake, lake.metrics / SPELLINGS, spelt, ONE_PART)
    facts = job_facts(feeds[JOBS], feeds[PAYMENTS], rules, own_names(made.scan(SPELLINGS)))
    tables[FACTS] = write_table(lake, lake.metrics / FACTS, facts, FACTS_PART)
    progress("applying the rules", 1, 3)
    tallies = tally(made.scan(FACTS), feeds, rules)
    progress("applying the rules", 2, 3)
    tables |= write_metrics(lake, rules, tallies)
    progress("applying the rules", 3, 3)
    return tables


def write_feed(
    lake: Lake, rules: Rules, name: str, files: list[tuple[TypedFile, int]], made: Snapshot
) -> dict[dt.date, Part]:
    """Writes the newest rows of a feed.

    Args:
        lake: where to.
        rules: in force.
        name: the feed.
        files: its typed files, each with the rank of its export.
        made: holds the jobs already, where the feed names them.
    """
    feed = rules.feeds[name]
    exports = [TypedExport(lake.scan_typed(f), f.columns, rank) for f, rank in files]
    rows = feed_rows(newest_rows(exports, feed), feed, rules.feed_where[name], rules.business.timezone)
    if feed.job is not None:
        rows = linked(rows, made.scan(JOBS).filter(pl.col(COUNTED)), feed.job)
    if name == CALLS:
        rows = with_call_sources(rows, rules)
    if name == TARGETS:
        rows = with_declared_sources(rows, rules)
    part, found_by = feed_part(rules, name), finders(rules, name)
    return write_table(lake, lake.current / name, rows, part, found_by, lines=LINES)


def write_metrics(lake: Lake, rules: Rules, tallies: Tallies) -> Tables:
    """Writes the tallies, and the metrics that they make."""
    tables: Tables = {}
    made = Snapshot(lake.root, tables=tables)
    for kind, table in TALLIES.items():
        tables[table] = write_table(lake, lake.metrics / table, getattr(tallies, kind), ONE_PART)
    tables[DAILY] = write_table(lake, lake.metrics / DAILY, daily_of(stored_tallies(made), rules), ONE_PART)
    tables[MONTHLY] = write_table(lake, lake.metrics / MONTHLY, monthly_metrics(made.scan(DAILY), rules), ONE_PART)
    return tables


def stored_tallies(snapshot: Snapshot) -> Tallies:
    """The tallies of a computation."""
    return Tallies(**{kind: snapshot.scan(table) for kind, table in TALLIES.items()})


__all__ = ["Tables", "Typed", "compute_whole", "stored_tallies", "write_feed", "write_metrics"]
