"""Journeys in a computation: of all touches and jobs, or of those a change can reach.

The touch of a job depends only on the rows tied to both: by a number, or by a call that names a job. A change therefore
reaches the rows tied to it, directly or through others: customers, not months.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial

import polars as pl

from rmetrics.lake.snapshot import Snapshot
from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.journeys import journeys, revenue_of_jobs
from rmetrics.metrics.lookup import holding
from rmetrics.metrics.matches import MATCHES as MATCHED
from rmetrics.metrics.matches import ByNumber, followed_jobs, matches, numbers, pairs
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.metrics.touches import inbound, phone_column, place, touches
from rmetrics.money import dollars
from rmetrics.pipeline.compute.names import FACTS, links
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.compute.stages import bucket, with_facts
from rmetrics.positions import COUNTED, POSITION
from rmetrics.rules import Rules
from rmetrics.rules.model import FeedLeads
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS
from rmetrics.tables import JOURNEYS

NODE = "_node"
HELD = 12_000_000  # rows whose ties are read once and held, at some 20 bytes each; those of more rows are read again
MENTIONS = {POSITION: pl.Int64(), NODE: pl.UInt64()}


@dataclass(frozen=True, slots=True)
class JourneyRows:
    """Journeys of some touches and jobs.

    Attributes:
        matches: ``metrics.matches.MATCHES``.
        journeys: ``metrics.journeys.journeys``.
    """

    matches: pl.DataFrame
    journeys: pl.DataFrame


def lead_feeds(rules: Rules) -> list[str]:
    """Returns the feeds whose rows may be touches, or evidence for touches."""
    of_leads = (
        version.leads.feed
        for dated in rules.sources.values()
        for _, version in dated.versions
        if isinstance(version.leads, FeedLeads)
    )
    return list(dict.fromkeys([*of_leads, *([CALLS] if CALLS in rules.feeds else [])]))


def make_journeys(rows: Rows, positions: pl.Series | None = None) -> JourneyRows:
    """Makes the journeys of all touches and jobs, or of those at some positions.

    Args:
        rows: with the facts of jobs.
        positions: of rows of any feed, including every row tied to one of them; None for all.
    """
    of, facts = gathered(rows, positions)
    return _make_journeys(rows, of, facts, every_payment=positions is None)


def make_in_buckets(rows: Rows, buckets: int) -> Iterator[JourneyRows]:
    """Yields the journeys of all touches and jobs bucket by bucket, so that only one bucket is in memory at a time.

    A row with one number that names no job is tied only to rows with that number, so buckets are cut by number. The
    other rows, and every row tied to them, form a bucket of their own.

    Args:
        rows: with the facts of jobs.
        buckets: how many; with 1, nothing is cut.
    """
    if buckets == 1:
        yield make_journeys(rows)
        return
    separate = tied(rows, _with_several_ties(rows))
    yield make_journeys(rows, separate)
    for number in range(buckets):
        of, facts = _gathered(rows, partial(_of_bucket, rows, separate, number, buckets), None)
        yield _make_journeys(rows, of, facts, every_payment=False)


def repriced(rows: Rows, before: Snapshot) -> pl.LazyFrame:
    """Returns the journeys of an earlier computation with the costs of touches under the rules in force.

    Args:
        rows: the rows in force, unchanged since then; the touch of each job is the same, too.
        before: the earlier computation.
    """
    feeds = {name: rows.linked(name) for name in lead_feeds(rows.rules)}
    costs = touches(feeds, rows.rules).select(place().alias(POSITION), dollars(pl.col("cost_cents")).alias("cost"))
    stored = before.scan(JOURNEYS)
    columns = stored.collect_schema().names()
    return stored.drop("cost").join(costs, on=POSITION, how="left", maintain_order="left").select(columns)


def _with_several_ties(rows: Rows) -> list[tuple[str, pl.DataFrame]]:
    """Returns, by feed, the rows with several numbers or with a job they name, with the columns that tie them."""
    found = []
    for name in dict.fromkeys([JOBS, *lead_feeds(rows.rules)]):
        feed = rows.rules.feeds[name]
        phone, several = phone_column(feed), pl.lit(value=False)
        if phone is not None:
            several |= pl.col(phone).str.contains(";", literal=True)
        if name != JOBS and feed.job is not None:
            several |= pl.col(JOB_ID).is_not_null()
        every = rows.linked(name)
        known = every.collect_schema().names()
        columns = [c for c in (POSITION, COUNTED, "source", "direction", JOB_ID, phone) if c in known]
        found.append((name, every.filter(several).select(columns).collect(engine="streaming")))
    return found


def _of_bucket(rows: Rows, separate: pl.Series, number: int, buckets: int, name: str) -> pl.LazyFrame:
    """Returns the rows of a feed whose number falls into a bucket, without those at the positions ``separate``."""
    phone = phone_column(rows.rules.feeds[name])
    cell = pl.lit(None, dtype=pl.String) if phone is None else pl.col(phone)
    return rows.linked(name).filter(bucket(cell, number, buckets) & ~pl.col(POSITION).is_in(separate.implode()))


def _make_journeys(rows: Rows, of: ByNumber, facts: pl.LazyFrame, *, every_payment: bool) -> JourneyRows:
    rules = rows.rules
    found = pairs(of).collect(engine="streaming").lazy()
    matched = matches(of, found, rules).collect(engine="streaming")
    paid = rows.feed(PAYMENTS) if every_payment else payments_of(rows, matched[JOB_ID])
    revenue = revenue_of_jobs(paid, facts, matched.lazy(), rules).collect(engine="streaming").lazy()
    outcomes = journeys(of, found, matched.lazy(), revenue)
    return JourneyRows(matched.select(*MATCHED), outcomes.collect(engine="streaming"))


def gathered(rows: Rows, positions: pl.Series | None = None) -> tuple[ByNumber, pl.LazyFrame]:
    """Returns touches and jobs by number, and the facts of the jobs; of all rows, or of those at some positions."""
    if positions is None:
        return _gathered(rows, rows.linked, None)
    return _gathered(rows, lambda name: rows.linked_at(name, positions), positions)


def _gathered(
    rows: Rows, feed: Callable[[str], pl.LazyFrame], positions: pl.Series | None
) -> tuple[ByNumber, pl.LazyFrame]:
    """Does the work of ``gathered`` on the frames of ``feed``; ``positions`` are those of its jobs, None if unknown."""
    rules = rows.rules
    stored = rows.snapshot.scan(FACTS)
    stored = stored if positions is None else stored.filter(pl.col(POSITION).is_in(positions.implode()))
    feeds = {n: feed(n) for n in lead_feeds(rules)}
    facts = with_facts(feed(JOBS), stored)
    found_touches, jobs = pl.collect_all([touches(feeds, rules), followed_jobs(facts, rules)], engine="streaming")
    of = numbers(found_touches.lazy(), jobs.lazy(), feeds.get(CALLS), rules)
    collected = pl.collect_all([getattr(of, f.name) for f in fields(of)], engine="streaming")
    return ByNumber(*(f.lazy() for f in collected)), facts


def payments_of(rows: Rows, jobs: pl.Series) -> pl.LazyFrame:
    """Returns all payments linked to the given jobs."""
    stored = holding(rows.snapshot.scan(links(PAYMENTS)), [JOB_ID], jobs).collect()
    return rows.at(PAYMENTS, stored[POSITION])


# -- ties between rows


def mentions(name: str, rows: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the ties of a feed's rows: the numbers they hold, and the job they are or name.

    Returns:
        POSITION and a hash of the number or the job. A collision does no harm: it only adds rows to examine.
    """
    feed = rules.feeds[name]
    found = [pl.LazyFrame(schema=MENTIONS)]
    if name == CALLS:  # other calls are neither touches nor evidence; those of the office share its own line
        rows = rows.filter(pl.col(COUNTED) & pl.col("source").is_not_null() & inbound(feed))
    if (phone := phone_column(feed)) is not None:
        never = rules.journeys.always_own()
        own = keyed(rows.select(POSITION, phone), phone).filter(~pl.col(KEY).is_in(never))
        found.append(own.select(POSITION, pl.col(KEY).hash(seed=11).alias(NODE)))
    if name == JOBS or feed.job is not None:
        named = rows.select(POSITION, JOB_ID).drop_nulls(JOB_ID)
        found.append(named.select(POSITION, pl.col(JOB_ID).hash(seed=12).alias(NODE)))
    return pl.concat(found)


def tied(rows: Rows, versions: Sequence[tuple[str, pl.DataFrame]]) -> pl.Series:
    """Returns the positions of all jobs, lead rows and calls tied to changed rows, directly or through others.

    Args:
        rows: the rows in force.
        versions: pairs of a feed and its changed rows, as they were and as they are; the result includes their
            positions.
    """
    found = [mentions(name, frame.lazy(), rows.rules) for name, frame in versions]
    seeds = pl.concat([pl.LazyFrame(schema=MENTIONS), *found]).collect()[NODE].unique()
    positions = pl.concat([pl.Series(POSITION, [], dtype=pl.Int64), *(f[POSITION] for _, f in versions)]).unique()
    if seeds.is_empty():
        return positions
    names = list(dict.fromkeys([JOBS, *lead_feeds(rows.rules)]))
    every = pl.concat([mentions(n, rows.linked(n), rows.rules) for n in names])
    if sum(f.rows for n in names for f, _ in rows.typed.get(n, ())) <= HELD:
        every = every.collect(engine="streaming").lazy()
    nodes, new = seeds, seeds
    while len(new):  # breadth-first, until a round reaches no further number or job
        reached_now = _distinct(every.filter(pl.col(NODE).is_in(new.implode())), POSITION)
        reached_now = reached_now.filter(~reached_now.is_in(positions.implode()))
        positions = pl.concat([positions, reached_now])
        reached = _distinct(every.filter(pl.col(POSITION).is_in(reached_now.implode())), NODE)
        new = reached.filter(~reached.is_in(nodes.implode()))
        nodes = pl.concat([nodes, new])
    return positions


def _distinct(rows: pl.LazyFrame, column: str) -> pl.Series:
    return rows.select(pl.col(column).unique()).collect(engine="streaming")[column]


__all__ = [
    "JourneyRows",
    "gathered",
    "lead_feeds",
    "make_in_buckets",
    "make_journeys",
    "mentions",
    "payments_of",
    "repriced",
    "tied",
]
