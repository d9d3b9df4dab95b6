"""Findings of a run that are about what is declared, on a lake without a database."""

from pathlib import Path

import pytest

import small_company
from rmetrics.findings import Severity
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.verify.run_findings import run_findings
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.rules.measure_tables import FREE_TEXT
from support import ROOT


@pytest.mark.parametrize(
    ("most", "members", "found"),
    [
        ("", 1, True),
        pytest.param("most = 200\n", 1, False, marks=pytest.mark.slow),
        pytest.param("", 0, False, marks=pytest.mark.slow),
    ],
)
def test_a_text_of_thousands_of_members_is_an_error_until_somebody_decides(
    tmp_path: Path, most: str, members: int, found: bool
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in (ROOT / "rules").glob("*.toml"):
        (rules / path.name).write_bytes(path.read_bytes())
    (rules / "own.toml").write_text(f'\n[dimensions.said]\nof = "jobs"\ncolumn = "city"\n{most}')
    (tmp_path / "inbox").mkdir()
    jobs = [
        (i, "COD Repair", "Google", "11/05/2024", f"place {i}" if i < FREE_TEXT + members else "")
        for i in range(FREE_TEXT + 5)
    ]
    (tmp_path / "inbox" / "Import-1.csv").write_text(small_company.jobs(*jobs, more=("City",)))
    lake, loaded = Lake(tmp_path / "lake"), load_rules(rules)
    seen = land_inbox(tmp_path / "inbox", lake, loaded, silent)
    computed = compute(lake, loaded, silent)
    said = [f for f in run_findings(lake, loaded, computed, seen, Explanations()) if f.code == "free-text"]
    assert bool(said) == found
    for finding in said:
        assert (finding.severity, finding.rows) == (Severity.ERROR, FREE_TEXT + 1)
        assert "own.toml:2" in finding.message
