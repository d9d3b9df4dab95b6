"""The first engine's unpublished results about leads, in files for the second engine to compare with."""

import contextlib
from collections.abc import Iterator

from rmetrics.checks.leads_compare import LeadFiles
from rmetrics.lake import Lake
from rmetrics.metrics.disputes import claims, lead_facts
from rmetrics.pipeline.claims import lead_rows
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.speed import followed_leads
from rmetrics.pipeline.verify.second_inputs import filed, stage


@contextlib.contextmanager
def lead_files(lake: Lake, rows: Rows) -> Iterator[LeadFiles]:
    """Yields files of the facts of all leads, of the leads to dispute, and of how soon each was reached.

    Args:
        lake: for temporary files.
        rows: the rows in force.
    """
    given = lead_rows(rows)
    made = {
        "facts": lead_facts(given, rows.rules),
        "claims": claims(given, rows.rules),
        "waits": followed_leads(rows)[1].collect(),
    }
    with stage(lake) as folder:
        yield LeadFiles(*(filed(folder / f"{name}.parquet", frame.lazy()) for name, frame in made.items()))


__all__ = ["lead_files"]
