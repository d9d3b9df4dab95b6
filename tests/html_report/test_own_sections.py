"""Own measures in the report: each month, each member, and what is not added up."""

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from rmetrics.html_report.cells import NO_LINKS
from rmetrics.html_report.own_data import own_data
from rmetrics.html_report.own_sections import members_card
from rmetrics.pipeline.summary import MeasureLine
from rmetrics.rules import Rules, load_rules
from support import ROOT

NOVEMBER = dt.date(2024, 11, 1)


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    """The shipped rules, a measure, a ratio, and a dimension that counts for each."""
    for path in (ROOT / "rules").glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "own.toml").write_text(
        "[measures.callbacks]\nof = 'jobs'\ncount = \"type = 'Warranty'\"\n"
        "[measures.ticket]\nratio = ['revenue_gross', 'repairs']\nformat = 'money'\n"
        "[dimensions.crew]\nof = 'jobs'\ncolumn = 'technician'\nsplit = ','\ncount_for = 'each'\n"
    )
    return load_rules(tmp_path)


def test_members_of_the_month_beside_the_whole(rules: Rules) -> None:
    members = pl.DataFrame(
        [
            (NOVEMBER, "crew", "Ann", "repairs", Decimal(2)),
            (NOVEMBER, "crew", "Bo", "repairs", Decimal(2)),
            (NOVEMBER, "crew", "Ann", "revenue_gross", Decimal("50.01")),
            (NOVEMBER, "crew", "(none)", "revenue_gross", Decimal("7.00")),
            (NOVEMBER, "crew", "(none)", "cost", Decimal("9.00")),
            (dt.date(2024, 10, 1), "crew", "Cy", "repairs", Decimal(1)),
        ],
        schema=["month", "dimension", "member", "measure", "value"],
        orient="row",
    )
    zero = {n: [Decimal(0)] for n in ("jobs", "leads", "units", "revenue40")}
    monthly = pl.DataFrame(
        {"month": [NOVEMBER], **zero, "repairs": [3], "revenue_gross": [Decimal("57.01")], "cost": [Decimal("9.00")]}
    )
    lines = (MeasureLine(NOVEMBER, "callbacks", "Callbacks", "count", Decimal(4)),)
    own = own_data(lines, members, monthly, NOVEMBER, rules)
    (table,) = own.tables
    assert [f.name for f in table.figures] == ["repairs", "revenue_gross", "ticket"]  # cost is nobody's
    assert table.members == ("Ann", "Bo", "(none)")
    text = members_card(own, table, NOVEMBER, "USD", NO_LINKS)
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall(r"<tr.*?</tr>", text)][1:]
    assert rows == [
        ["Ann", "2", "$50.01", "$25.01"],
        ["Bo", "2", "$0.00", "$0.00"],
        ["(none)", "0", "$7.00", "—"],
        ["ALL", "3", "$57.01", "$19.00"],
    ]
    assert "these measures do not add up: Repairs" in text
