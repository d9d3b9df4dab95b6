"""The report of a month, from the lake."""

import datetime as dt
import json
import re

import pytest

from rmetrics.html_report.html import page_html
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import MonthRange
from rmetrics.pipeline.workspace import opened
from rmetrics.usecases.report import page_data
from small_company import jobs, spend
from support import Project


@pytest.mark.deep
def test_a_spend_that_is_entered_ahead_makes_no_newest_month(project: Project) -> None:
    project.put("Import-1.csv", jobs((1,)))
    project.put("google_spend 1.csv", spend(("2024-12", "310.00", "Search"), more=("Campaign",)))
    project.sync()
    with opened(open_project(project.settings)) as lake:
        newest, ahead = page_data(lake), page_data(lake, MonthRange(last=dt.date(2024, 12, 1), one=True))
    assert (newest.month, newest.last_day) == (dt.date(2024, 11, 1), dt.date(2024, 11, 5))
    assert ahead.month == dt.date(2024, 12, 1)
    assert next(x for x in ahead.lines if x.month == ahead.month).cost == 310
    # Without leads there is no cost per lead to draw: a chart without rows would have axes without ends.
    text = page_html(ahead, "")
    specs = json.loads(re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)[0])
    assert "chart-days" in specs
    assert "chart-cpl-to-date" not in specs
    assert 'id="chart-cpl-to-date"' not in text
    assert "Nothing to show for this month." in text
    assert all(spec["data"]["values"] for spec in specs.values())
