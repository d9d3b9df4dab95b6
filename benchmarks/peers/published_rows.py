"""What rmetrics has published, as files: the rows that the other ways of publishing are given.

python benchmarks/peers/published_rows.py ROWS DSN
"""

import sys
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql
from publishing import TABLES

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = ''
ORDER BY attnum
"""
_TYPES = {"timestamp with time zone": "TIMESTAMPTZ", "character varying": "VARCHAR", "numeric": "DECIMAL(38, 6)"}


def run(folder: Path, dsn: str) -> None:
    """Writes ``<table>.csv`` and ``<table>.parquet`` of every table, generated columns left out."""
    folder.mkdir(parents=True, exist_ok=True)
    duckdb.execute("SET TimeZone = 'UTC'")
    with psycopg.connect(dsn) as connection:
        connection.execute("SET timezone = 'UTC'")
        for table in TABLES:
            columns = connection.execute(_COLUMNS, [table]).fetchall()
            names = sql.SQL(", ").join(sql.Identifier(n) for n, _ in columns)
            statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(
                names, sql.Identifier(table)
            )
            path = folder / f"{table}.csv"
            with path.open("wb") as file, connection.cursor().copy(statement) as source:
                for piece in source:
                    file.write(piece)
            types: dict[str, str] = {n: _TYPES.get(k) or str(k) for n, k in columns}
            duckdb.read_csv(str(path), columns=types, header=True).to_parquet(str(folder / f"{table}.parquet"))


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
