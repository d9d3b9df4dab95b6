"""The floors: what the machine needs for a bare read and nothing else.

python benchmarks/peers/floor.py csv-polars|csv-duckdb|csv-arrow INBOX OUT
python benchmarks/peers/floor.py parquet INBOX OUT LAKE        every column of rmetrics' typed files
python benchmarks/peers/floor.py copy INBOX OUT DSN            every export into a table of text without a key
"""

import sys
from pathlib import Path

from common import exports, report


def csv_polars(inbox: Path) -> dict[str, int]:
    """Every cell as text, one file after the other."""
    import polars as pl

    return {
        feed: sum(pl.read_csv(p, infer_schema=False).height for p in paths) for feed, paths in exports(inbox).items()
    }


def csv_duckdb(inbox: Path) -> dict[str, int]:
    """Every cell as text, handed over in batches and dropped."""
    import duckdb

    rows = {}
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        for feed, paths in exports(inbox).items():
            files = [[str(p) for p in paths]]
            relation = connection.sql("SELECT * FROM read_csv($1, all_varchar = true)", params=files)
            rows[feed] = sum(batch.num_rows for batch in relation.to_arrow_reader(100_000))
    return rows


def csv_arrow(inbox: Path) -> dict[str, int]:
    """Every cell as text with pyarrow's reader."""
    from dlt_landing import batches

    return {feed: sum(t.num_rows for p in paths for t in batches(p)) for feed, paths in exports(inbox).items()}


def parquet(inbox: Path, lake: Path) -> dict[str, int]:
    """Every column of the typed files, decoded and dropped."""
    import pyarrow.parquet as pq
    from duckdb_lake import typed_files

    return {
        feed: sum(batch.num_rows for p in paths for batch in pq.ParquetFile(p).iter_batches(batch_size=100_000))
        for feed, paths in typed_files(inbox, lake).items()
    }


def copied(inbox: Path, dsn: str) -> dict[str, int]:
    """Every export into Postgres as text."""
    import psycopg
    from postgres_copy import counted, load

    rows = {}
    with psycopg.connect(dsn) as connection:
        for feed, paths in exports(inbox).items():
            load(connection, feed, paths)
            rows[feed] = counted(connection, f"text_{feed}")
    return rows


def run(kind: str, inbox: Path, out: Path, where: str = "") -> None:
    """Does one of them."""
    match kind:
        case "csv-polars":
            rows = csv_polars(inbox)
        case "csv-duckdb":
            rows = csv_duckdb(inbox)
        case "csv-arrow":
            rows = csv_arrow(inbox)
        case "parquet":
            rows = parquet(inbox, Path(where))
        case "copy":
            rows = copied(inbox, where)
        case _:
            raise SystemExit(__doc__)
    report(out, rows)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
