"""dlt for landing: every export as text into Parquet files with dlt's own load packages. No typing, no metrics.

    python benchmarks/peers/dlt_landing.py INBOX OUT

dlt is told to report nothing to anyone.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
from common import exports, report


def batches(path: Path) -> Iterator[pa.Table]:
    """An export as text, in pieces."""
    with path.open("rb") as file:
        headers = file.readline().decode().rstrip("\r\n").split(",")
    convert = pc.ConvertOptions(column_types=dict.fromkeys(headers, pa.string()), strings_can_be_null=True)
    with pc.open_csv(path, pc.ReadOptions(block_size=16 * 2**20), convert_options=convert) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def run(inbox: Path, out: Path) -> None:
    """Lands every export of the inbox under ``out/landed``."""
    os.environ.update({
        "RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1", "DLT_DATA_DIR": str(out / "dlt"),
        "RUNTIME__LOG_LEVEL": "CRITICAL",
    })  # fmt: skip
    import dlt

    rows: dict[str, int] = {}

    def feed(name: str, paths: list[Path]) -> Any:
        def read() -> Iterator[pa.Table]:
            for path in paths:
                for table in batches(path):
                    rows[name] = rows.get(name, 0) + table.num_rows
                    yield table

        return dlt.resource(read, name=name, write_disposition="append")

    pipeline = dlt.pipeline(
        "landing",
        pipelines_dir=str(out / "dlt"),
        destination=dlt.destinations.filesystem(bucket_url=(out / "landed").as_uri()),
        dataset_name="raw",
    )
    pipeline.run([feed(n, p) for n, p in exports(inbox).items()], loader_file_format="parquet").raise_on_failed_jobs()
    report(out, rows)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
