"""Names of the tables of a computation."""

from collections.abc import Iterator, Mapping

from rmetrics.metrics.tallies import NAMES
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.tables import CATALOGUE, DAILY, DIMENSION_MONTHLY, JOURNEY_METRICS, JOURNEYS, MEASURE_DAILY, MONTHLY

FACTS, SPELLINGS, CONTENTS = "job_facts", "spellings", "contents"
MATCHES = "matches"  # of jobs to touches
RETURNS = "returns"  # by position of the job
CLASSES = "call_classes"  # by position of the call
TALLIES: Mapping[str, str] = {name: f"tally_{name}" for name in NAMES}
FORM = 3
"""Version of the form of the tables; those of another form are rebuilt."""
FIGURES = (DAILY, MONTHLY, CATALOGUE, MEASURE_DAILY, DIMENSION_MONTHLY, JOURNEY_METRICS)
"""Published tables that stay small however long the history."""
COMPUTED = (FACTS, SPELLINGS, *TALLIES.values(), *FIGURES, MATCHES, JOURNEYS, CONTENTS)


def replaced(feed: str) -> str:
    """Returns the name of the table of replaced positions, each with the number of lines of its row."""
    return f"{feed}:replaced"


def together(feed: str) -> str:
    """Returns the name of the table of rows merged across exports with different columns, at the newest position."""
    return f"{feed}:together"


def links(feed: str) -> str:
    """Returns the name of the table of positions of rows that name a job, each with the job."""
    return f"{feed}:links"


def order(rules: Rules) -> list[str]:
    """Returns the feeds in the order their rows are made: jobs before the feeds that name them."""
    return [JOBS, *(n for n in rules.feeds if n != JOBS)]


def tables(rules: Rules) -> Iterator[str]:
    """Yields the name of every computed table that these rules need."""
    for name, feed in rules.feeds.items():
        yield from (replaced(name), together(name))
        if feed.job is not None:
            yield links(name)
    if CALLS in rules.feeds:
        yield CLASSES
    if rules.returns:
        yield RETURNS
    yield from COMPUTED


__all__ = [
    "CLASSES", "COMPUTED", "CONTENTS", "FACTS", "FIGURES", "FORM", "MATCHES", "RETURNS", "SPELLINGS", "TALLIES",
    "links", "order", "replaced", "tables", "together",
]  # fmt: skip
