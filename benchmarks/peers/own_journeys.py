"""rmetrics' own journeys over a lake that is up to date, without writing them: what they add to a sync.

python benchmarks/peers/own_journeys.py INBOX OUT PROJECT
"""

import sys
import time
from pathlib import Path

import polars as pl
from common import report

from rmetrics.opening import open_project
from rmetrics.pipeline.compute.journeys import make_journeys
from rmetrics.pipeline.workspace import opened
from rmetrics.settings import Settings


def run(out: Path, project: Path) -> None:
    """Says how many touches there are, and how many jobs have one by its number, as the peer can."""
    settings = Settings(data_dir=project / "data", inbox_dir=project / "data" / "inbox", rules_dir=project / "rules")
    with opened(open_project(settings)) as lake:
        started = time.perf_counter()
        found = make_journeys(lake.computed.rows)
        seconds = time.perf_counter() - started
        by_number = found.matches.filter(pl.col("matched_by").str.starts_with("phone"))
        report(out, {"touches": found.journeys.height, "matched jobs": by_number.height}, seconds=seconds)


if __name__ == "__main__":
    run(Path(sys.argv[2]), Path(sys.argv[3]))
