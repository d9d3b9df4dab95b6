"""Data links: from a figure on a panel to its explanation in ``rmetrics serve``.

The panel itself identifies the figure: by the column names in its query, and the variables it uses. A figure whose
source or month is not determined (a sum over a range of months) has no link.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from rmetrics.grafana.model import Json

_METRICS: Mapping[str, str] = {
    "Leads": "leads", "Units": "units", "Repairs": "repairs", "Revenue40": "revenue40", "Cost": "cost",
    "Profit": "profit", "L→U": "conv_l2u", "U→R": "conv_u2r", "L→R": "conv_l2r", "CPL": "cpl",
    "Average ticket": "avg_ticket", "Target": "target_repairs", "Target revenue40": "target_revenue40",
    "Target L→R": "target_conv_l2r", "CPL ceiling": "target_cpl_max", "Attained": "attained_repairs",
    "Revenue40 attained": "attained_revenue40", "Of pace": "pace_repairs", "Revenue40 of pace": "pace_revenue40",
    "Repairs so far": "repairs", "Repairs of pace": "pace_repairs", "Repairs at month end": "projected_repairs",
    "Revenue40 at month end": "projected_revenue40", "CPL so far": "cpl", "L→R so far": "conv_l2r",
    "Inbound": "calls", "Answered": "calls", "Jobs": "calls",
}  # fmt: skip
_COLUMN = re.compile(r'AS "([^"]+)"')
_CUMULATIVE = re.compile(r"\bOVER\b")  # cumulative over days: explanations have no such figure


def with_links(dashboard: Json, base: str | None) -> Json:
    """Returns the dashboard with links from figures to their explanations, where these are determined.

    Args:
        dashboard: as returned by ``model.dashboard``.
        base: the address of ``rmetrics serve``; None: no links.
    """
    if base is None:
        return dashboard
    one_source = any(v["name"] == "source" and not v["multi"] for v in dashboard["templating"]["list"])
    return {**dashboard, "panels": [_panel(p, base, one_source=one_source) for p in dashboard["panels"]]}


def _panel(panel: Json, base: str, *, one_source: bool) -> Json:
    sql = "\n".join(target["rawSql"] for target in panel["targets"])
    asked = _asked(sql, one_source=one_source)
    if asked is None or _CUMULATIVE.search(sql):
        return panel
    columns = [c for c in dict.fromkeys(_COLUMN.findall(sql)) if c in _METRICS]
    calls = "call_funnel" in sql
    links = {c: f"{base}/explain?{asked}&metric={quote('calls' if calls else _METRICS[c])}" for c in columns}
    config = panel["fieldConfig"]
    return {**panel, "fieldConfig": {**config, "overrides": _overrides(config["overrides"], links)}}


def _asked(sql: str, *, one_source: bool) -> str | None:
    """Returns the query string of source, month, and segment or day, as templates for Grafana; None if undetermined."""
    columns = set(_COLUMN.findall(sql))
    if "Source" in columns:
        source = "${__data.fields.Source:percentencode}"
    elif "${scope" in sql:
        source = "${scope:percentencode}"
    elif "${source" in sql and one_source:
        source = "${source:percentencode}"
    else:
        return None
    if "Month" in columns:
        month = "${__data.fields.Month:percentencode}"
    elif "${month:" in sql and "${months:" not in sql:  # otherwise it is one of many months shown
        month = "${month:percentencode}"
    else:
        return None
    narrower = "&segment=${__data.fields.Segment:percentencode}" if "Segment" in columns else ""
    narrower += "&day=${month:percentencode}-${__data.fields.Day:percentencode}" if "Day" in columns else ""
    return f"source={source}&month={month}{narrower}"


def _overrides(overrides: list[Json], links: Mapping[str, str]) -> list[Json]:
    """Returns the overrides with the links of each column added."""
    made, remaining = list[Json](), dict(links)
    for override in overrides:
        url = remaining.pop(override["matcher"]["options"], None)
        more = [] if url is None else [_link(url)]
        made.append({**override, "properties": [*override["properties"], *more]})
    new = [{"matcher": {"id": "byName", "options": c}, "properties": [_link(url)]} for c, url in remaining.items()]
    return [*made, *new]


def _link(url: str) -> dict[str, Any]:
    return {"id": "links", "value": [{"title": "Explain this figure", "url": url, "targetBlank": True}]}
