"""Publishing the same rows into the same tables, with their keys and indexes, by other means.

    python benchmarks/peers/publishing.py adbc|bare|copy|executemany|to_sql ROWS OUT DSN [AT_MOST]

ROWS is a folder with ``<table>.parquet`` and ``<table>.csv`` (made by ``published_rows.py``). AT_MOST limits the rows
of each table, for the slow ones; what counts is the rate. ``bare`` copies into tables of the same columns with no key,
index or check: the floor.
"""

import sys
import time
from pathlib import Path

import polars as pl
from common import report

# Those that are referred to first.
TABLES = (
    "jobs",
    "payments",
    "calls",
    "elocals_leads",
    "proref_leads",
    "google_spend",
    "daily_metrics",
    "monthly_metrics",
)
_PIECE = 2**20


def adbc(rows: Path, dsn: str) -> dict[str, int]:
    """ADBC's ingest, the driver rmetrics uses, in one transaction."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from adbc_driver_postgresql import dbapi

    done = {}
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        for table in TABLES:
            file = pq.ParquetFile(rows / f"{table}.parquet")
            done[table] = file.metadata.num_rows
            batches = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(batch_size=65_536))
            cursor.adbc_ingest(table, batches, mode="append")
        connection.commit()
    return done


def copy(rows: Path, dsn: str, *, bare: bool = False) -> dict[str, int]:
    """COPY through psycopg of ready CSV files, in one transaction; where asked, into tables without keys."""
    import psycopg
    from psycopg import sql

    done = {}
    with psycopg.connect(dsn) as connection:
        for table in TABLES:
            if bare:
                made = sql.SQL("CREATE TABLE {} AS SELECT * FROM {} WITH NO DATA")
                connection.execute(made.format(sql.Identifier(f"bare_{table}"), sql.Identifier(table)))
            with (rows / f"{table}.csv").open("rb") as file:
                names = file.readline().decode().strip().split(",")
                columns = sql.SQL(", ").join(map(sql.Identifier, names))
                place = sql.Identifier(f"bare_{table}" if bare else table)
                statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(place, columns)
                with connection.cursor() as cursor:
                    with cursor.copy(statement) as target:
                        while piece := file.read(_PIECE):
                            target.write(piece)
                    done[table] = cursor.rowcount
    return done


def some(rows: Path, table: str, at_most: int) -> pl.DataFrame:
    """The first rows of a table; of those that belong to a job, the ones whose job is among its own first rows."""
    every = pl.scan_parquet(rows / f"{table}.parquet", glob=False)
    if table in {"payments", "calls"}:
        jobs = pl.scan_parquet(rows / "jobs.parquet", glob=False).head(at_most).select("job_id")
        known = every.join(jobs, on="job_id", how="semi")
        every = pl.concat([known, every.filter(pl.col("job_id").is_null())])
    return every.head(at_most).collect()


def executemany(rows: Path, dsn: str, at_most: int) -> dict[str, int]:
    """INSERT with psycopg's executemany, which sends statements in a pipeline."""
    import psycopg
    from psycopg import sql

    done = {}
    with psycopg.connect(dsn) as connection:
        for table in TABLES:
            frame = some(rows, table, at_most)
            columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
            marks = sql.SQL(", ").join(sql.Placeholder() * frame.width)
            insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), columns, marks)
            with connection.cursor() as cursor:
                cursor.executemany(insert, frame.iter_rows())
            done[table] = frame.height
    return done


def to_sql(rows: Path, dsn: str, at_most: int) -> dict[str, int]:
    """The to_sql of pandas as it comes; method="multi" is several times slower."""
    import sqlalchemy as sa

    done = {}
    engine = sa.create_engine(dsn.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for table in TABLES:
            frame = some(rows, table, at_most).to_pandas()
            types = {c.name: c.type for c in sa.Table(table, sa.MetaData(), autoload_with=connection).columns}
            dtype = {n: types[n] for n in frame.columns}
            frame.to_sql(table, connection, if_exists="append", index=False, chunksize=10_000, dtype=dtype)
            done[table] = len(frame)
    return done


def run(how: str, rows: Path, out: Path, dsn: str, at_most: int = 0) -> None:
    """Publishes and says how many rows went in how many seconds; imports are not counted."""
    started = time.perf_counter()
    match how:
        case "adbc":
            done = adbc(rows, dsn)
        case "copy" | "bare":
            done = copy(rows, dsn, bare=how == "bare")
        case "executemany":
            done = executemany(rows, dsn, at_most)
        case "to_sql":
            done = to_sql(rows, dsn, at_most)
        case _:
            raise SystemExit(__doc__)
    report(out, done, seconds=time.perf_counter() - started)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], *map(int, sys.argv[5:6]))
