"""Python and Postgres: each export through COPY into a table of text, and from there SQL in the server.

python benchmarks/peers/postgres_copy.py INBOX OUT DSN
"""

import csv
import sys
import time
from pathlib import Path

import psycopg
from common import exports, report
from psycopg import sql

HERE = Path(__file__).parent
_PIECE = 2**20


def load(connection: psycopg.Connection, feed: str, paths: list[Path]) -> None:
    """Copies the exports of a feed into ``text_<feed>``; the column ``export`` says from which one a row is."""
    table = sql.Identifier(f"text_{feed}")
    for number, path in enumerate(paths):
        with path.open(newline="", encoding="utf-8") as file:
            headers = next(csv.reader(file))
        names = sql.SQL(", ").join(map(sql.Identifier, headers))
        if number == 0:
            columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(h)) for h in headers)
            connection.execute(sql.SQL("CREATE UNLOGGED TABLE {} ({}, export integer)").format(table, columns))
        connection.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN export SET DEFAULT {}").format(table, sql.Literal(number))
        )
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(table, names)
        with path.open("rb") as file, connection.cursor().copy(statement) as copy:
            while piece := file.read(_PIECE):
                copy.write(piece)


def counted(connection: psycopg.Connection, table: str) -> int:
    """How many rows a table has."""
    (row,) = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
    return int(row[0])


def run(inbox: Path, out: Path, dsn: str) -> None:
    """Makes ``out/daily_metrics.parquet`` from the server's table; only the work up to that table is timed."""
    started = time.perf_counter()
    with psycopg.connect(dsn) as connection:
        connection.execute("SET timezone = 'America/New_York'")
        connection.execute("SET work_mem = '256MB'")
        files = exports(inbox)
        for feed, paths in files.items():
            load(connection, feed, paths)
        loaded = time.perf_counter()
        connection.execute((HERE / "postgres_load.sql").read_text())
        typed = time.perf_counter()
        connection.execute((HERE / "postgres_metrics.sql").read_text())
        connection.commit()
        done = time.perf_counter()
        rows = {feed: counted(connection, feed) for feed in files}
        cursor = connection.execute("SELECT * FROM daily_metrics ORDER BY date, source, segment")
        fetched, names = cursor.fetchall(), [c.name for c in cursor.description or []]
    report(out, rows, load=loaded - started, typed=typed - loaded, metrics=done - typed, seconds=done - started)
    _write(fetched, names, out / "daily_metrics.parquet")


def _write(rows: list[tuple[object, ...]], names: list[str], path: Path) -> None:
    import polars as pl

    pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None).write_parquet(path)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
