"""A view shows one computation, whatever landed since."""

from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

import rmetrics.serve.view as module
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.serve.view import open_view
from rmetrics.tables import MONTHLY
from small_company import jobs
from support import Project


@dataclass
class Earlier:
    """A computation from before some exports landed."""

    exports: tuple[Any, ...]


@pytest.mark.deep
def test_a_pack_of_computed_and_new_exports_shows_the_computed_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small exports of one sync share a raw and a typed file; the computation in force knows one of them."""
    for number, name in enumerate(("old.csv", "new.csv"), 1):
        line = (number, "COD Repair", "Google", "11/05/2024")
        project.put(f"jobs {name}", jobs(line))
    project.sync()
    landed = Lake(project.settings.lake_dir).raw_files()
    assert len({raw.file for raw in landed}) == 1
    (new,) = (raw.sha256 for raw in landed if raw.name == "jobs new.csv")

    def before(lake: Lake) -> Any:
        found = load(lake)
        return Earlier(tuple(e for e in found.exports if e[0] != new))

    with monkeypatch.context() as patched:
        patched.setattr(module, "load", before)
        with open_view(project.settings) as view:
            assert view.waiting == ("jobs new.csv",)
            months = load(view.lake.lake).scan(MONTHLY).select(pl.col("jobs").sum()).collect()
            assert months.item() == 1
    assert project.rows("SELECT sum(jobs)::int FROM monthly_metrics") == [(2,)]
    with open_view(project.settings) as view:  # the project itself was left as it was
        assert view.waiting == ()
        assert load(view.lake.lake).scan(MONTHLY).select(pl.col("jobs").sum()).collect().item() == 2
