"""The page as text: one HTML document with its style, scripts, charts and all figures.

All text from the data is escaped. Figures in tables carry their exact value in ``data-value``.
"""

import json
from collections.abc import Container
from html import escape
from importlib import resources

from rmetrics.html_report import cells
from rmetrics.html_report.cells import NO_LINKS, Links
from rmetrics.html_report.charts import charts, has_rows
from rmetrics.html_report.data import PageData
from rmetrics.html_report.own_sections import own_section
from rmetrics.html_report.sections import Sections, day_in_words


def page_html(page: PageData, library: str, links: Links = NO_LINKS) -> str:
    """Returns the document.

    Args:
        page: the data to show.
        library: the script of the charting library, embedded unchanged.
        links: the links of figures.
    """
    drawn = charts(page)
    specs = {f"chart-{name}": spec for name, (_, spec) in drawn.items() if has_rows(spec)}
    titles = {name: title for name, (title, _) in drawn.items()}
    name = f"{page.month:%B %Y}"
    parts = Sections(page, links, lambda chart: _figure(chart, titles, specs))
    body = (
        f"{parts.months()}{parts.month()}{parts.funnel()}{own_section(page, links)}{parts.channels()}{parts.health()}"
    )
    nav = "".join(
        f'<a href="#{i}">{t}</a>'
        for i, t in (
            ("months", "Month by month"),
            ("month", "This month"),
            *([("funnel", "Funnel")] if page.funnel else []),
            *([("own", "Own measures")] if page.own.any else []),
            ("channels", "Channels"),
            ("health", "Data health"),
        )
    )
    # "</script" inside a string would end the element, so "<" is written as a JSON escape.
    data = json.dumps(specs, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="rmetrics {escape(page.version)}">
<link rel="icon" href="data:,">
<title>Metrics for {name}</title>
<style>{_file("style.css")}</style>
</head>
<body>
<header><h1>Metrics for {name}</h1>
<p>Data up to {day_in_words(page.last_day)}, in the time zone {escape(page.timezone)}; money in {escape(page.currency)}.
Ratios are computed from sums. A dash means no target, or a denominator of 0.</p>
<nav>{nav}</nav></header>
<main>{body}</main>
<footer>Made by rmetrics {escape(page.version)} from the lake. To explain a figure: <code>rmetrics explain</code>.
To see changes of published figures: <code>rmetrics history</code>.</footer>
<script type="application/json" id="charts">{data}</script>
<script>{library}</script>
<script>{_file("page.js")}</script>
</body>
</html>
"""


def _file(name: str) -> str:
    return (resources.files("rmetrics.html_report") / name).read_text(encoding="utf-8")


def _figure(name: str, titles: dict[str, str], specs: Container[str]) -> str:
    title, number = escape(titles[name]), f"chart-{name}"
    if number not in specs:
        return cells.no_chart(titles[name])
    return (
        f'<figure class="card"><div class="top"><h3>{title}</h3>'
        f'<button class="png" type="button" data-chart="{number}" '
        f'title="Save this chart as a PNG picture">PNG</button></div>'
        f'<div class="chart" id="{number}" role="img" aria-label="{title}"></div></figure>'
    )
