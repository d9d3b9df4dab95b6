"""The page as text: one HTML document that holds its style, its script, its charts and every figure.

Every word from the data is escaped. Figures in tables carry the exact value beside what is shown (``data-value``).
"""

import json
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from html import escape
from importlib import resources
from shlex import quote
from typing import Any

from rmetrics.page.amounts import DASH, amount
from rmetrics.page.charts import charts
from rmetrics.page.data import ALL, PageData
from rmetrics.results import MonthLine, Severity, count

# How much of a long list is printed, for the report to fit eight sheets. The rest is marked for the style sheet.
ON_PAPER = {"against": 24, "sources": 36, "feeds": 24, "findings": 12}
CHANNELS_ON_PAPER = 6
_WORDS = frozenset({"Severity", "Finding", "What, and what to do"})
_SCREEN = ' class="screen"'


def page_html(page: PageData, library: str) -> str:
    """The document.

    Args:
        page: what to show.
        library: the script of the charting library, put into the page as it is.
    """
    drawn = charts(page)
    specs = {f"chart-{name}": spec for name, (_, spec) in drawn.items()}
    titles = {name: title for name, (title, _) in drawn.items()}
    name = f"{page.month:%B %Y}"
    body = "".join((_months(page, titles), _month(page, titles), _channels(page, titles), _health(page, titles)))
    links = "".join(
        f'<a href="#{i}">{t}</a>'
        for i, t in (
            ("months", "Month by month"),
            ("month", "This month"),
            ("channels", "Channels"),
            ("health", "Data health"),
        )
    )
    # "</script" inside a string would end the element; JSON may spell "<" as an escape.
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
<p>Data up to {_day(page.last_day)}, in the time zone {escape(page.timezone)}; money in {escape(page.currency)}.
Ratios are computed from sums. A dash: no target, or nothing to divide by.</p>
<nav>{links}</nav></header>
<main>{body}</main>
<footer>Made by rmetrics {escape(page.version)} from the lake. For any number: <code>rmetrics explain</code>.
For how published numbers changed: <code>rmetrics history</code>.</footer>
<script type="application/json" id="charts">{data}</script>
<script>{library}</script>
<script>{_file("page.js")}</script>
</body>
</html>
"""


def _file(name: str) -> str:
    return (resources.files("rmetrics.page") / name).read_text(encoding="utf-8")


# -- the four views


def _months(page: PageData, titles: dict[str, str]) -> str:
    whole = page.of(ALL)
    head = ("Month", "Leads", "Units", "Repairs", "Target", "Attained", "L→U", "U→R", "L→R", "Revenue40", "Target",
            "Attained", "Cost", "CPL", "Ceiling", "Profit")  # fmt: skip
    rows = [
        [
            _cell(f"{line.month:%Y-%m}", text=True),
            *(_count(v) for v in (line.leads, line.units, line.repairs)),
            _count(line.target_repairs),
            _attained(line.repairs, line.target_repairs),
            *_conversions(line),
            _money(page, line.revenue40),
            _money(page, line.target_revenue40),
            _attained(line.revenue40, line.target_revenue40),
            _money(page, line.cost),
            _cpl(page, line),
            _money(page, line.target_cpl_max, 2),
            _money(page, line.profit),
        ]
        for line in reversed(whole)
    ]  # fmt: skip
    first, last = page.months[0], page.months[-1]
    span = f"{first:%B %Y} to {last:%B %Y}. Each month is the sum of its days; the newest may not be complete."
    figures = _grid(
        _figure(n, titles) for n in ("repairs-by-source", "counts", "money", "revenue-by-segment", "conversions", "cpl")
    )
    against = _card("Against target", _table(head, rows, "against"))
    return f'<section id="months"><h2>Month by month</h2><p>{span}</p>{figures}{against}</section>'


def _month(page: PageData, titles: dict[str, str]) -> str:
    line = page.whole[page.month]
    passed, length = page.passed, len(page.days)
    repairs, revenue = (v * Decimal(length) / passed if passed else None for v in (line.repairs, line.revenue40))
    most = line.target_cpl_max
    ceiling = "no ceiling" if most is None else f"ceiling {amount(most, page.currency, 2)}"
    revenue_pace = _of_pace(line.revenue40, line.target_revenue40, passed, length)
    wanted = "no target" if line.target_conv_l2r is None else f"target {_share(line.target_conv_l2r)}"
    tiles = [
        _tile("Repairs", _count(line.repairs), _of_pace(line.repairs, line.target_repairs, passed, length)),
        _tile("Repairs at month end", _count(repairs), _target(line.target_repairs)),
        _tile("Revenue40", _money(page, line.revenue40), revenue_pace),
        _tile("Revenue40 at month end", _money(page, revenue), _target(line.target_revenue40, page.currency)),
        _tile("Cost per lead", _cpl(page, line), ceiling),
        _tile("Leads to repairs", _percent(line.repairs, line.leads), wanted),
        _tile("Profit", _money(page, line.profit), "revenue40 less cost"),
    ]  # fmt: skip
    figures = _grid(
        _figure(n, titles) for n in ("repairs-to-date", "revenue40-to-date", "days", "cpl-to-date", "l2r-to-date")
    )
    about = f"{passed} of {length} days have data. Projections are linear, by calendar days."
    head = ("Source", "Leads", "Units", "Repairs", "Target", "Attained", "L→R", "Revenue40", "Target", "Attained",
            "Cost", "CPL", "Ceiling", "Profit")  # fmt: skip
    lines = sorted(
        (x for x in page.lines if x.month == page.month), key=lambda x: (x.source == ALL, -x.revenue40, x.source)
    )
    rows = [
        [
            _cell(x.source, text=True),
            *(_count(v) for v in (x.leads, x.units, x.repairs)),
            _count(x.target_repairs),
            _attained(x.repairs, x.target_repairs),
            _percent(x.repairs, x.leads),
            _money(page, x.revenue40),
            _money(page, x.target_revenue40),
            _attained(x.revenue40, x.target_revenue40),
            _money(page, x.cost),
            _cpl(page, x),
            _money(page, x.target_cpl_max, 2),
            _money(page, x.profit),
        ]
        for x in lines
    ]
    table = _card("Every source", _table(head, rows, "sources", total_last=True))
    return (
        f'<section id="month"><h2>This month: {page.month:%B %Y}</h2><p>{about}</p>'
        f'<div class="tiles">{"".join(tiles)}</div>{figures}{table}</section>'
    )


def _channels(page: PageData, titles: dict[str, str]) -> str:
    head = ("Month", "Leads", "Units", "Repairs", "L→U", "U→R", "L→R", "Revenue gross", "Revenue40", "Cost", "CPL",
            "Profit")  # fmt: skip
    parts = []
    for number, source in enumerate(page.sources):
        lines = page.of(source)
        rows = [
            [
                _cell(f"{x.month:%Y-%m}", text=True),
                *(_count(v) for v in (x.leads, x.units, x.repairs)),
                *_conversions(x),
                *(_money(page, v) for v in (x.revenue_gross, x.revenue40, x.cost)),
                _cpl(page, x),
                _money(page, x.profit),
            ]
            for x in reversed(lines)
        ]
        now = next((x for x in lines if x.month == page.month), None)
        told = "nothing this month"
        if now:
            revenue, profit = (amount(v, page.currency) for v in (now.revenue40, now.profit))
            told = f"{count(now.leads, 'lead')}, {count(now.repairs, 'repair')}, {revenue} revenue40, {profit} profit"
        state = f"{' open' if not number else ''}{_SCREEN if number >= CHANNELS_ON_PAPER else ''}"
        why = f"rmetrics explain --source {quote(source)} --month {page.month:%Y-%m}"
        figures = _grid(_figure(f"channel-{number}-{what}", titles) for what in ("counts", "money"))
        parts.append(
            f"<details{state}><summary>{escape(source)}<span>{told}</span></summary>"
            f"{figures}{_table(head, rows, f'channel-{number}')}"
            f"<p>Why these numbers: <code>{escape(why)}</code></p></details>"
        )
    about = "Sources by revenue40 of the months shown, largest first. Open one to see it in depth."
    more = _left_out(len(parts) - CHANNELS_ON_PAPER, "channel")
    return f'<section id="channels"><h2>Channels</h2><p>{about}</p>{"".join(parts)}{more}</section>'


def _health(page: PageData, titles: dict[str, str]) -> str:
    head = ("Feed", "Rows", "Last day", "Days behind", "Newest export", "Exports", "Rejected rows")
    rows = []
    for feed in page.feeds:
        behind = (page.last_day - feed.last_date).days if feed.last_date else None
        at = f"{feed.last_export_at:%Y-%m-%d %H:%M} UTC" if feed.last_export_at else DASH
        rows.append(
            [
                _cell(feed.feed, text=True),
                _count(feed.rows),
                _cell(feed.last_date.isoformat() if feed.last_date else DASH),
                _cell(DASH if behind is None else str(behind)),
                _cell(at),
                _count(feed.exports),
                _count(feed.rejected, "warn" if feed.rejected else ""),
            ]
        )
    colours = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.INFO: ""}
    findings = [
        [
            _cell(str(f.severity), colours[f.severity], text=True),
            _cell(f.code, text=True),
            _count(f.rows),
            f'<td class="fold">{escape(f.message)}</td>',
        ]
        for f in page.findings
    ]
    worst = sum(f.severity is Severity.ERROR for f in page.findings)
    about = (
        f"{worst} failed check{'' if worst == 1 else 's'}: figures that should not be relied on."
        if worst
        else "No check failed."
    ) + " Days behind counts from the last day of all data; targets and spend are dated by the first of a month."
    table = _card("Freshness", _table(head, rows, "feeds"))
    heads = ("Severity", "Finding", "Rows", "What, and what to do")
    found = _card("Findings", _table(heads, findings, "findings") if findings else "<p>Nothing was found.</p>")
    figure = f'<div class="card wide">{_figure("feeds", titles)}</div>'
    return f'<section id="health"><h2>Data health</h2><p>{about}</p>{table}{found}{figure}</section>'


# -- parts


def _figure(name: str, titles: dict[str, str]) -> str:
    title, number = escape(titles[name]), f"chart-{name}"
    return (
        f'<figure class="card"><div class="top"><h3>{title}</h3>'
        f'<button class="png" type="button" data-chart="{number}" '
        f'title="Save this chart as a PNG picture">PNG</button></div>'
        f'<div class="chart" id="{number}" role="img" aria-label="{title}"></div></figure>'
    )


def _grid(figures: Iterable[str]) -> str:
    return f'<div class="grid">{"".join(figures)}</div>'


def _card(title: str, inside: str) -> str:
    return f'<div class="card wide"><h3>{escape(title)}</h3>{inside}</div>'


def _tile(title: str, cell: str, below: str) -> str:
    inside = cell.removeprefix("<td").removesuffix("</td>")
    return f'<div class="tile"><span>{escape(title)}</span><b{inside}</b><span>{escape(below)}</span></div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str, *, total_last: bool = False) -> str:
    """A table in a box of its own that scrolls sideways where the window is narrow; the keyboard can scroll it, too."""
    most = ON_PAPER.get(name)
    kept = [f"<tr{_SCREEN if most and i >= most else ''}>{''.join(row)}</tr>" for i, row in enumerate(rows)]
    if total_last and kept:
        kept[-1] = kept[-1].replace(f"<tr{_SCREEN}>", "<tr>", 1).replace("<tr>", '<tr class="total">', 1)
    heads = "".join(f'<th class="text">{escape(h)}</th>' if h in _WORDS else f"<th>{escape(h)}</th>" for h in head)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<table id="table-{name}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(kept)}</tbody></table></div>{_left_out(len(kept) - most if most else 0, 'row')}"
    )


def _left_out(number: int, what: str) -> str:
    """How much of a long list is not printed; said on paper only."""
    return f'<p class="paper">{count(number, f"more {what}")} in the page itself.</p>' if number > 0 else ""


def _cell(shown: str, colour: str = "", value: Any = None, *, text: bool = False) -> str:
    names = " ".join(n for n in (colour, "text" if text else "") if n)
    style = f' class="{names}"' if names else ""
    exact = f' data-value="{value}"' if value is not None else ""
    return f"<td{style}{exact}>{escape(shown)}</td>"


def _count(value: int | Decimal | None, colour: str = "") -> str:
    shown = DASH if value is None else f"{Decimal(value).quantize(Decimal(1), ROUND_HALF_UP):,}"
    return _cell(shown, colour, _plain(value))


def _money(page: PageData, value: Decimal | None, places: int = 0, colour: str = "") -> str:
    return _cell(amount(value, page.currency, places), colour, _plain(value))


def _cpl(page: PageData, line: MonthLine) -> str:
    over = line.cpl is not None and line.target_cpl_max is not None and line.cpl > line.target_cpl_max
    return _money(page, line.cpl, 2, "bad" if over else "")


def _percent(top: int | Decimal, bottom: int | Decimal) -> str:
    value = Decimal(top) / bottom if bottom else None
    return _cell(DASH if value is None else _share(value), "", _plain(value))


def _conversions(line: MonthLine) -> Iterable[str]:
    pairs = ((line.units, line.leads), (line.repairs, line.units), (line.repairs, line.leads))
    return (_percent(top, bottom) for top, bottom in pairs)


def _attained(value: int | Decimal, target: Decimal | None) -> str:
    share = Decimal(value) / target if target else None
    colour = "" if share is None else "good" if share >= 1 else "warn" if share >= Decimal("0.9") else "bad"
    return _cell(DASH if share is None else _share(share, 0), colour, _plain(share))


def _of_pace(value: int | Decimal, target: Decimal | None, passed: int, length: int) -> str:
    if not target or not passed:
        return "no target"
    return f"{_share(Decimal(value) / (target * passed / length), 0)} of the target's pace"


def _target(value: Decimal | None, currency: str = "") -> str:
    if value is None:
        return "no target"
    return f"target {amount(value, currency) if currency else f'{value.quantize(Decimal(1), ROUND_HALF_UP):,}'}"


def _share(value: Decimal, places: int = 1) -> str:
    return f"{(value * 100).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)} %"


def _plain(value: int | Decimal | None) -> str | None:
    return None if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


def _day(value: Any) -> str:
    return f"{value.day} {value:%B %Y}"
