"""The first engine's unpublished results about leads, in files for the second engine to compare with."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rmetrics.checks.leads_compare import LeadFiles
from rmetrics.lake import Lake, writing
from rmetrics.metrics.disputes import claims, lead_facts
from rmetrics.pipeline.claims import lead_rows
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.speed import followed_leads


@contextlib.contextmanager
def lead_files(lake: Lake, rows: Rows) -> Iterator[LeadFiles]:
    """Yields files of the facts of all leads, of the leads to dispute, and of how soon each was reached.

    Args:
        lake: for temporary files.
        rows: the rows in force.
    """
    given = lead_rows(rows)
    lake.folder(lake.root / "duckdb")
    with tempfile.TemporaryDirectory(prefix="leads-", dir=lake.root / "duckdb") as folder:
        files = LeadFiles(*(Path(folder) / f"{n}.parquet" for n in ("facts", "claims", "waits")))
        made = (lead_facts(given, rows.rules), claims(given, rows.rules), followed_leads(rows)[1].collect())
        for path, frame in zip(files.paths, made, strict=True):
            with writing(path):
                frame.write_parquet(path, compression="lz4")
        yield files


__all__ = ["lead_files"]
