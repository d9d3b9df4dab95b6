"""The figures of docs/reliability.md, written by the tests that measure them.

``RMETRICS_FIGURES=1 pytest tests/reliability`` writes each figure into its row; without it nothing is written.
"""

import datetime as dt
import os
import re

from support import ROOT

PAGE = ROOT / "docs" / "reliability.md"


def record(name: str, tried: str, losses: int) -> None:
    """Writes one row: what was tried, and how often something was lost, torn or leaked (always 0, or the test fails)."""
    assert losses == 0, f"{name}: {losses} of {tried}"
    if not os.environ.get("RMETRICS_FIGURES"):
        return
    text = PAGE.read_text(encoding="utf-8")
    row = f"| {name} | {tried} | {losses} | {dt.datetime.now(dt.UTC):%Y-%m-%d} |"
    new, count = re.subn(rf"^\| {re.escape(name)} \|.*$", row.replace("\\", r"\\"), text, flags=re.MULTILINE)
    assert count == 1, f"docs/reliability.md has no row {name!r}"
    PAGE.write_text(new, encoding="utf-8")
