"""Leads and calls joined to jobs by DuckDB's ASOF join, over rmetrics' typed Parquet files: the floor of journeys.

python benchmarks/peers/duckdb_journeys.py INBOX OUT LAKE
"""

import sys
import time
from pathlib import Path

import duckdb
from common import report
from duckdb_lake import by_export, typed_files
from duckdb_sql import HERE


def run(inbox: Path, out: Path, lake: Path) -> None:
    """Says how many jobs have a touch; only what follows the reading of the newest rows is timed."""
    with duckdb.connect(str(out / "peer.duckdb")) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'America/New_York'")
        for feed, paths in by_export(typed_files(inbox, lake), out).items():
            connection.execute(f"SET VARIABLE {feed} = $1", [[str(p) for p in paths]])
        connection.execute((HERE / "duckdb_lake.sql").read_text())
        started = time.perf_counter()
        connection.execute((HERE / "duckdb_journeys.sql").read_text())
        seconds = time.perf_counter() - started
        counted = "SELECT (SELECT count(*) FROM touches), count(*) FROM matches"
        touches, jobs = connection.execute(counted).fetchone()  # type: ignore[misc]
    report(out, {"touches": touches, "matched jobs": jobs}, seconds=seconds)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
