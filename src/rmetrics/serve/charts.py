"""The report's charts, rendered to SVG on the server: no chart script runs; each bar links to its explanation."""

import datetime as dt
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from rmetrics.html_report import cells
from rmetrics.html_report.cells import Links
from rmetrics.html_report.charts import Json, charts, has_rows
from rmetrics.html_report.data import ALL, PageData
from rmetrics.periods import parse_month

WIDTH = 440
_BASE = "https://rmetrics.invalid"  # Vega accepts absolute addresses only; removed again in ``svg``
_METRICS = {
    "Leads": "leads", "Units": "units", "Repairs": "repairs", "Revenue40": "revenue40", "Cost": "cost",
    "Profit": "profit", "L→U": "conv_l2u", "U→R": "conv_u2r", "L→R": "conv_l2r", "CPL": "cpl",
    "Ceiling": "target_cpl_max",
}  # fmt: skip


def drawing(page: PageData, links: Links, known: dict[object, str], mark: str) -> Callable[[str], str]:
    """Returns a function that renders a chart of a page by its name.

    Args:
        page: the data to show.
        links: builds the link of each mark.
        known: cache of rendered charts, by version, month and chart name.
        mark: the mark of the version that the page shows.
    """
    specs = charts(page)

    def draw(name: str) -> str:
        title, spec = specs[name]
        if not has_rows(spec):
            return cells.no_chart(title)
        key = (mark, page.month, name)
        if key not in known:
            known[key] = svg(with_links(spec, name, page, links))
        return (
            f'<figure class="card"><h3 id="title-{escape(name)}">{escape(title)}</h3>'
            f'<div class="chart" id="chart-{escape(name)}" role="group" aria-labelledby="title-{escape(name)}" '
            f'tabindex="0">{known[key]}</div></figure>'
        )

    return draw


def with_links(spec: Json, name: str, page: PageData, links: Links) -> Json:
    """Adds an address and a description for screen readers to each mark of a specification."""
    rows = []
    for row in spec["data"]["values"]:
        href = _leads_to(name, row, page, links)
        rows.append({**row, "_says": _tooltip(row), **({"_href": f"{_BASE}{href}"} if href else {})})
    encoding = {**spec["encoding"], "description": {"field": "_says", "type": "nominal"}}
    if any("_href" in row for row in rows) and spec["mark"]["type"] == "bar":
        encoding["href"] = {"field": "_href", "type": "nominal"}
    return {
        **spec,
        "width": WIDTH,
        "data": {"values": rows},
        "encoding": encoding,
        "config": {**spec["config"], "background": None},
    }


def svg(spec: Json) -> str:
    """Renders a chart as SVG, without loading anything from the network."""
    import vl_convert

    text: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return text.replace(_BASE, "")


def _tooltip(row: Mapping[str, Any]) -> str:
    when = row.get("month", row.get("day"))
    value = row["value"]
    figure = f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:,.2f}"
    return ", ".join(str(part) for part in (when, row["name"]) if part is not None) + f": {figure}"


def _leads_to(name: str, row: Mapping[str, Any], page: PageData, links: Links) -> str | None:
    """Returns the link to the explanation of the figure that a mark shows; None if there is none."""
    what = str(row["name"])
    if name == "feeds":
        return links.to("/health", feed=what)
    if name == "days":
        day = page.month.replace(day=row["day"])
        return links.figure(_METRICS[what], ALL, page.month, day=day) if what in _METRICS else None
    month: dt.date | None = parse_month(row["month"]) if "month" in row else None
    if month is None:
        return None
    if name == "repairs-by-source":
        return links.figure("repairs", what, month)
    if name == "revenue-by-segment":
        return links.figure("revenue40", ALL, month, segment=what)
    source = page.sources[int(name.split("-")[1])] if name.startswith("channel-") else ALL
    return links.figure(_METRICS[what], source, month) if what in _METRICS else None
