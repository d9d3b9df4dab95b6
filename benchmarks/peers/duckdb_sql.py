"""Hand-written DuckDB SQL: exports to typed tables in a database file, and those to the daily metrics.

python benchmarks/peers/duckdb_sql.py INBOX OUT
"""

import sys
import time
from pathlib import Path

import duckdb
from common import exports, report

HERE = Path(__file__).parent
TABLES = ("jobs", "payments", "elocals_leads", "proref_leads", "calls", "google_spend")


def run(inbox: Path, out: Path) -> None:
    """Makes ``out/daily_metrics.parquet`` and keeps the typed tables in ``out/peer.duckdb``."""
    with duckdb.connect(str(out / "peer.duckdb")) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'America/New_York'")
        for feed, paths in exports(inbox).items():
            connection.execute(f"SET VARIABLE {feed} = $1", [[str(p) for p in paths]])
        started = time.perf_counter()
        connection.execute((HERE / "duckdb_typed.sql").read_text())
        typed = time.perf_counter()
        connection.execute((HERE / "duckdb_metrics.sql").read_text())
        connection.execute(f"COPY daily_metrics TO '{out / 'daily_metrics.parquet'}'")
        rows = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}  # type: ignore[index]
    report(out, rows, typed=typed - started, metrics=time.perf_counter() - typed)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
