"""Journeys of a computation: of all touches and jobs, or of those that a change can reach.

Which touch a job came from depends on nothing but rows that are tied to them: by a number, or by a call that names a
job. So what a change can reach are the rows tied to it, directly or through others: customers, not months.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import polars as pl

from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.journeys import MATCHES as MATCHED
from rmetrics.metrics.journeys import Numbers, journeys, matches, numbers, pairs, revenue_of_jobs
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.metrics.touches import inbound, phone_column, touches
from rmetrics.pipeline.compute.names import FACTS, links
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.stages import with_facts
from rmetrics.positions import COUNTED, POSITION
from rmetrics.rules import Rules
from rmetrics.rules.model import FeedLeads
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS

NODE = "_node"
MENTIONS = {POSITION: pl.Int64(), NODE: pl.UInt64()}


@dataclass(frozen=True, slots=True)
class Made:
    """Journeys of some touches and jobs.

    Attributes:
        matches: ``metrics.journeys.MATCHES``.
        journeys: ``metrics.journeys.journeys``.
    """

    matches: pl.DataFrame
    journeys: pl.DataFrame


def lead_feeds(rules: Rules) -> list[str]:
    """The feeds whose rows may be touches, or evidence for touches."""
    of_leads = (
        version.leads.feed
        for dated in rules.sources.values()
        for _, version in dated.versions
        if isinstance(version.leads, FeedLeads)
    )
    return list(dict.fromkeys([*of_leads, *([CALLS] if CALLS in rules.feeds else [])]))


def made(rows: Rows, positions: pl.Series | None = None) -> Made:
    """Journeys of all touches and jobs, or of those at some positions, which must be all that are tied together.

    Args:
        rows: with the facts of jobs.
        positions: of rows of any feed; None for all.
    """
    rules = rows.rules
    of, facts = gathered(rows, positions)
    found = pairs(of).collect(engine="streaming").lazy()
    matched = matches(of, found, rules).collect(engine="streaming")
    paid = rows.feed(PAYMENTS) if positions is None else payments_of(rows, matched[JOB_ID])
    revenue = revenue_of_jobs(paid, facts, matched.lazy(), rules).collect(engine="streaming").lazy()
    told = journeys(of, found, matched.lazy(), revenue)
    return Made(matched.select(*MATCHED), told.collect(engine="streaming"))


def gathered(rows: Rows, positions: pl.Series | None = None) -> tuple[Numbers, pl.LazyFrame]:
    """Touches and jobs by their numbers, and the facts of the jobs; of all rows, or of those at some positions."""
    rules, names = rows.rules, lead_feeds(rows.rules)
    jobs = rows.feed(JOBS) if positions is None else rows.at(JOBS, positions)
    held = rows.snapshot.scan(FACTS)
    held = held if positions is None else held.filter(pl.col(POSITION).is_in(positions.implode()))
    feeds = {n: rows.feed(n) if positions is None else rows.at(n, positions) for n in names}
    there = touches(feeds, rules).collect(engine="streaming").lazy()
    facts = with_facts(jobs, held)
    of = numbers(there, facts, feeds.get(CALLS), rules)
    held_once = pl.collect_all([getattr(of, f.name) for f in fields(of)], engine="streaming")
    return Numbers(*(f.lazy() for f in held_once)), facts


def payments_of(rows: Rows, jobs: pl.Series) -> pl.LazyFrame:
    """All payments that are linked to some jobs."""
    held = rows.snapshot.scan(links(PAYMENTS)).filter(pl.col(JOB_ID).is_in(jobs.implode())).collect()
    return rows.at(PAYMENTS, held[POSITION])


# -- what is tied to what


def mentions(name: str, rows: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """What ties rows of a feed to others: the numbers they hold, and the job they are or name.

    Returns:
        POSITION and a hash of the number or the job. Another of the same hash does no harm: more is looked at.
    """
    feed = rules.feeds[name]
    found = [pl.LazyFrame(schema=MENTIONS)]
    if name == CALLS:  # other calls are no touches and no evidence; those of the office share its own line
        rows = rows.filter(pl.col(COUNTED) & pl.col("source").is_not_null() & inbound(feed))
    if (phone := phone_column(feed)) is not None:
        never = [
            n
            for n in rules.journeys.common.latest.own_numbers
            if all(n in v.own_numbers for _, v in rules.journeys.common.versions)
        ]
        own = keyed(rows.select(POSITION, phone), phone).filter(~pl.col(KEY).is_in(never))
        found.append(own.select(POSITION, pl.col(KEY).hash(seed=11).alias(NODE)))
    if name == JOBS or feed.job is not None:
        named = rows.select(POSITION, JOB_ID).drop_nulls(JOB_ID)
        found.append(named.select(POSITION, pl.col(JOB_ID).hash(seed=12).alias(NODE)))
    return pl.concat(found)


def tied(rows: Rows, versions: Sequence[tuple[str, pl.DataFrame]]) -> pl.Series:
    """The positions of all jobs, rows of lead feeds and calls that are tied to some, directly or through others.

    Args:
        rows: those in force.
        versions: feeds and rows of them that changed, as they were and as they are; their positions are among those
            returned.
    """
    found = [mentions(name, frame.lazy(), rows.rules) for name, frame in versions]
    seeds = pl.concat([pl.LazyFrame(schema=MENTIONS), *found]).collect()[NODE].unique()
    every = pl.concat([mentions(n, rows.feed(n), rows.rules) for n in dict.fromkeys([JOBS, *lead_feeds(rows.rules)])])
    held = every.collect(engine="streaming")
    nodes, new = seeds, seeds
    positions = pl.concat([pl.Series(POSITION, [], dtype=pl.Int64), *(f[POSITION] for _, f in versions)]).unique()
    while len(new):
        came = held.filter(pl.col(NODE).is_in(new.implode()))[POSITION].unique()
        came = came.filter(~came.is_in(positions.implode()))
        positions = pl.concat([positions, came])
        reached = held.filter(pl.col(POSITION).is_in(came.implode()))[NODE].unique()
        new = reached.filter(~reached.is_in(nodes.implode()))
        nodes = pl.concat([nodes, new])
    return positions


__all__ = ["Made", "gathered", "lead_feeds", "made", "mentions", "payments_of", "tied"]
