"""The same DuckDB SQL over rmetrics' typed Parquet files: the floor of its own middle.

python benchmarks/peers/duckdb_lake.py INBOX OUT LAKE
"""

import hashlib
import sys
import time
from pathlib import Path

import duckdb
from common import exports, report
from duckdb_sql import HERE, TABLES


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def typed_files(inbox: Path, lake: Path) -> dict[str, list[Path]]:
    """The typed files of each feed in the order of their exports.

    A file is named by the hash of its export; small exports are packed together.
    """
    found = {}
    for feed, paths in exports(inbox).items():
        digests = [_digest(p) for p in paths]
        every = [p for p in (lake / "typed" / feed).rglob("*.parquet") if ".rejected" not in p.name]
        alone = [p for digest in digests for p in every if p.name.startswith(digest)]
        found[feed] = alone or [p for p in every if p.name.startswith("pack-")]
    return found


def by_export(files: dict[str, list[Path]], out: Path) -> dict[str, list[Path]]:
    """The same with a file in ``out`` for each export of a pack, which numbers them from old to new."""
    return {
        feed: [f for p in paths for f in (_unpacked(p, out / feed) if p.name.startswith("pack-") else [p])]
        for feed, paths in files.items()
    }


def _unpacked(pack: Path, folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    rows = f"FROM read_parquet('{pack}')"
    numbers = [n for (n,) in duckdb.sql(f"SELECT DISTINCT _export {rows} ORDER BY _export").fetchall()]
    files = [folder / f"{pack.stem}.{n}.parquet" for n in numbers]
    for number, file in zip(numbers, files, strict=True):
        duckdb.sql(f"SELECT * EXCLUDE (_export) {rows} WHERE _export = {number}").write_parquet(str(file))
    return files


def run(inbox: Path, out: Path, lake: Path) -> None:
    """Makes ``out/daily_metrics.parquet``; only what follows the finding of the files is timed."""
    files = by_export(typed_files(inbox, lake), out)
    with duckdb.connect(str(out / "peer.duckdb")) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute("SET TimeZone = 'America/New_York'")
        for feed, paths in files.items():
            connection.execute(f"SET VARIABLE {feed} = $1", [[str(p) for p in paths]])
        started = time.perf_counter()
        connection.execute((HERE / "duckdb_lake.sql").read_text())
        connection.execute((HERE / "duckdb_metrics.sql").read_text())
        connection.execute(f"COPY daily_metrics TO '{out / 'daily_metrics.parquet'}'")
        seconds = time.perf_counter() - started
        rows = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}  # type: ignore[index]
    report(out, rows, metrics=seconds)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
