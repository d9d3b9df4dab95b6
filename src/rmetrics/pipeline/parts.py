"""How the computed tables are cut into parts, and what their rows are found by."""

from collections.abc import Iterator, Mapping

import polars as pl

from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE
from rmetrics.metrics.newest import FILE, PARTS
from rmetrics.metrics.tallies import NAMES
from rmetrics.periods import NO_PART, part_of
from rmetrics.rules import Rules
from rmetrics.rules.model import Feed
from rmetrics.rules.validate import JOBS
from rmetrics.snapshot import hashed
from rmetrics.tables import DAILY, MONTHLY

FACTS, SPELLINGS = "job_facts", "spellings"
TALLIES: Mapping[str, str] = {name: f"tally_{name}" for name in NAMES}
COMPUTED = (FACTS, SPELLINGS, *TALLIES.values(), DAILY, MONTHLY)
LINES = (FILE, PARTS)
KEY, REF, JOB = "key", "ref", "job"


def order(rules: Rules) -> list[str]:
    """The feeds in the order their rows are made: those that name jobs after the jobs."""
    return [JOBS, *(n for n in rules.feeds if n != JOBS)]


FACTS_PART = part_of(pl.col(METRIC_DATE))
ONE_PART = pl.lit(NO_PART)


def key_hash(feed: Feed) -> pl.Expr:
    """What a row's key is found by."""
    key = feed.key_columns
    return hashed(pl.col(key[0]) if len(key) == 1 else pl.struct(key))


def name_columns(rules: Rules) -> list[str]:
    """The columns in which jobs are looked up by the feeds that name them."""
    return list(dict.fromkeys(c for f in rules.feeds.values() if f.job for c in f.job.match))


def by_name(column: str) -> str:
    """Under which name jobs are found by a column of ``name_columns``."""
    return f"name {column}"


def finders(rules: Rules, name: str) -> dict[str, pl.Expr]:
    """What a feed's rows are found by: their key; jobs also by their names; rows that name a job by name and job."""
    feed = rules.feeds[name]
    found = {KEY: key_hash(feed)}
    if name == JOBS:
        found |= {by_name(c): hashed(pl.col(c)) for c in name_columns(rules)}
    if feed.job is not None:
        found |= {REF: hashed(pl.col(feed.job.column)), JOB: hashed(pl.col(JOB_ID))}
    return {n: e.alias(n) for n, e in found.items()}


def tables(rules: Rules) -> Iterator[str]:
    """Every computed table that these rules ask for."""
    yield from rules.feeds
    yield from COMPUTED
