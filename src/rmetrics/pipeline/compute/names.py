"""The tables of a computation."""

from collections.abc import Iterator, Mapping

from rmetrics.metrics.tallies import NAMES
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.tables import CATALOGUE, DAILY, DIMENSION_MONTHLY, JOURNEY_METRICS, JOURNEYS, MEASURE_DAILY, MONTHLY

FACTS, SPELLINGS, CONTENTS = "job_facts", "spellings", "contents"
MATCHES = "matches"  # of jobs to touches
CLASSES = "call_classes"  # by position of the call
TALLIES: Mapping[str, str] = {name: f"tally_{name}" for name in NAMES}
FORM = 2
"""What the tables look like; those of another form are made again."""
FIGURES = (DAILY, MONTHLY, CATALOGUE, MEASURE_DAILY, DIMENSION_MONTHLY, JOURNEY_METRICS)
"""Published tables that are small whatever the history."""
COMPUTED = (FACTS, SPELLINGS, *TALLIES.values(), *FIGURES, MATCHES, JOURNEYS, CONTENTS)


def replaced(feed: str) -> str:
    """The table of positions whose rows a newer version replaced, each with the lines that its row is made of."""
    return f"{feed}:replaced"


def together(feed: str) -> str:
    """The table of rows put together from versions in exports of different columns, at the newest one's position."""
    return f"{feed}:together"


def links(feed: str) -> str:
    """The table of positions of rows that name a job, each with the job."""
    return f"{feed}:links"


def order(rules: Rules) -> list[str]:
    """The feeds in the order their rows are made: those that name jobs after the jobs."""
    return [JOBS, *(n for n in rules.feeds if n != JOBS)]


def tables(rules: Rules) -> Iterator[str]:
    """Every computed table that these rules ask for."""
    for name, feed in rules.feeds.items():
        yield from (replaced(name), together(name))
        if feed.job is not None:
            yield links(name)
    if CALLS in rules.feeds:
        yield CLASSES
    yield from COMPUTED


__all__ = [
    "CLASSES", "COMPUTED", "CONTENTS", "FACTS", "FIGURES", "FORM", "MATCHES", "SPELLINGS", "TALLIES", "links", "order",
    "replaced", "tables", "together",
]  # fmt: skip
