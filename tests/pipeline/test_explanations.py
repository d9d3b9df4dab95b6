"""Nothing that explains, counts or decorates stops a publish."""

from collections.abc import Callable

import polars as pl
import pytest

from rmetrics.pipeline import prepared, publication
from rmetrics.pipeline.verify import cross_check
from rmetrics.pipeline.verify import run_findings as findings
from small_company import jobs
from support import Project

MONTHS = "SELECT month::text, sum(jobs)::int FROM monthly_metrics GROUP BY 1 ORDER BY 1"

PLACES = (
    (publication, "find_causes"),
    (prepared, "month_lines"),
    (publication, "feed_states"),
    (prepared, "newly_accepted"),
    (publication, "remembered_findings"),
    (cross_check, "quality_findings"),
    (findings, "export_findings"),
    (findings, "_rows"),
    (cross_check, "ask"),
)


def failing(error: Exception) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize(("module", "name"), PLACES, ids=[name for _, name in PLACES])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError("row 17: Ann"), id="ValueError"),
        pytest.param(pl.exceptions.ColumnNotFoundError("day"), id="Polars", marks=pytest.mark.slow),
    ],
)
@pytest.mark.ordinary(1, deep=1)
def test_the_publish_goes_on(
    published: Project, monkeypatch: pytest.MonkeyPatch, module: object, name: str, error: Exception
) -> None:
    project = published
    project.put("Import 2.csv", jobs((2, "COD Repair", "Google", "Thu Dec 05 2024")))
    with monkeypatch.context() as broken:
        broken.setattr(module, name, failing(error))
        full = name in {"quality_findings", "ask"}
        result = project.sync(full=full)
    assert result.status == "published"
    failed = [f for f in result.findings if f.code == "explanation-failed"]
    if failed or name != "remembered_findings":  # that one is only asked for where months were left out
        assert len(failed) == 1
        assert failed[0].severity == "warning"
        assert type(error).__name__ in failed[0].message
        assert "Ann" not in failed[0].message
    assert project.rows(MONTHS) == [("2024-11-01", 1), ("2024-12-01", 1)]
    assert project.sync().status == "unchanged"
    project.put("Import 3.csv", jobs((3, "COD Repair", "Google", "Fri Dec 06 2024")))
    after = project.sync()
    assert not [f for f in after.findings if f.code == "explanation-failed"]
    assert project.rows(MONTHS) == [("2024-11-01", 1), ("2024-12-01", 2)]
