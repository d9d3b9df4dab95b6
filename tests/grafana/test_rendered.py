"""Every panel drawn from its own query, in its place on the grid, for a person to look at: no Grafana needed.

Not Grafana's drawing, but the same rows, columns, units and sizes: an empty panel, a missing series, a wrong unit or an
unreadable table shows. Pictures are kept where RMETRICS_SCREENSHOTS names a folder.
"""

import datetime as dt
import os
import re
import shutil
import subprocess
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from expander import expanded
from published import Published, query
from rmetrics.grafana.kit import dashboards
from rmetrics.grafana.model import Installation

ZONE = ZoneInfo("America/New_York")
BROWSER = next((p for p in (shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")) if p), None)
SPAN = dt.datetime(2024, 1, 1, tzinfo=ZONE), dt.datetime(2024, 12, 31, 23, 59, 59, tzinfo=ZONE)
NOW = dt.datetime.now(dt.UTC)
RECENT = NOW - dt.timedelta(days=29), NOW + dt.timedelta(days=1)
CELL, ROW = 48, 38  # pixels per grid unit

Rows = list[dict[str, Any]]


def rows_of(sample: Published, dashboard: dict[str, Any], panel: dict[str, Any], ref: str = "A") -> Rows:
    """The rows of one query of a panel with the values a viewer would start with."""
    names = {c: [r[0] for r in query(sample.reader, f"SELECT DISTINCT {c} FROM monthly_metrics ORDER BY 1")[1]] for c in ("source", "segment")}  # fmt: skip
    values = {**names, "scope": ["ALL"], "month": ["2024-11"], "months": ["12"], "measure": ["repairs"]}
    if dashboard["uid"] == "rmetrics-channel":
        values["source"] = ["eLocals"]
    sql = next(t["rawSql"] for t in panel["targets"] if t["refId"] == ref)
    span = RECENT if dashboard["uid"] == "rmetrics-health" else SPAN
    columns, rows = query(sample.reader, expanded(sql, *span, values))
    return [dict(zip([c for c, _ in columns], row, strict=True)) for row in rows]


def shown(value: Any, unit: str, decimals: int | None) -> str:
    """A value in a unit of Grafana's, roughly as Grafana writes it."""
    if value is None:
        return "—"
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(ZONE):%Y-%m-%d %H:%M}"
    if not isinstance(value, int | Decimal) and not re.fullmatch(r"-?\d+(\.\d+)?", str(value)):
        return str(value)
    number = Decimal(value)
    if unit == "percentunit":
        return f"{number * 100:.{1 if decimals is None else decimals}f}%"
    places = decimals if decimals is not None else (0 if number == number.to_integral_value() else 2)
    return (
        ("$" if unit == "currencyUSD" else "")
        + f"{number:,.{places}f}"
        + {"h": " hours", "d": " days", "s": " s"}.get(unit, "")
    )


def formats(panel: dict[str, Any]) -> dict[str, tuple[str, int | None]]:
    """Unit and decimals by column; the defaults under the empty name."""
    defaults = panel["fieldConfig"]["defaults"]
    made = {"": (defaults["unit"], defaults.get("decimals"))}
    for override in panel["fieldConfig"]["overrides"]:
        found = {p["id"]: p["value"] for p in override["properties"]}
        made[override["matcher"]["options"]] = found.get("unit", made[""][0]), found.get("decimals", made[""][1])
    return made


def long(panel: dict[str, Any], rows: Rows) -> tuple[str, list[dict[str, Any]]]:
    """(x, rows of x, name, value) of a chart, whether its columns are series or its rows are."""
    if panel["transformations"] and panel["transformations"][0]["id"] == "groupingToMatrix":
        o = panel["transformations"][0]["options"]
        return "x", [
            {"x": r[o["rowField"]], "name": r[o["columnField"]], "value": float(r[o["valueField"]])} for r in rows
        ]
    x = next(iter(rows[0]))
    return x, [
        {"x": r[x].isoformat() if x == "time" else r[x], "name": name, "value": float(value)}
        for r in rows
        for name, value in r.items()
        if name != x and value is not None
    ]


def drawn(panel: dict[str, Any], rows: Rows) -> str:
    """A chart as SVG."""
    import vl_convert

    x, values = long(panel, rows)
    assert values, panel["title"]
    kind = {"time": "temporal", "Day": "quantitative" if panel["type"] == "trend" else "ordinal"}.get(x, "ordinal")
    grouped = panel["type"] == "barchart" and panel["options"]["stacking"] == "none"
    g = panel["gridPos"]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": g["w"] * CELL - 40,
        "height": g["h"] * ROW - 70,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "transparent",
        "data": {"values": values},
        "mark": {"type": "bar"} if panel["type"] == "barchart" else {"type": "line", "point": panel["type"] == "timeseries"},
        "encoding": {
            "x": {"field": "x", "type": kind, "title": None},
            "y": {"field": "value", "type": "quantitative", "title": panel["fieldConfig"]["defaults"]["unit"]},
            "color": {"field": "name", "type": "nominal", "sort": None, "title": None, "legend": {"orient": "bottom", "columns": 6}},
            **({"xOffset": {"field": "name", "sort": None}} if grouped else {}),
        },
    }  # fmt: skip
    return str(vl_convert.vegalite_to_svg(spec))


def inside(panel: dict[str, Any], rows: Rows) -> str:
    """A panel's inside as HTML."""
    units = formats(panel)
    if panel["type"] == "stat":
        assert len(rows) == 1, panel["title"]
        name, value = next(iter(rows[0].items()))
        return f"<b>{escape(shown(value, *units.get(name, units[''])))}</b>"
    if panel["type"] == "table":
        assert rows, panel["title"]
        heads = "".join(f"<th>{escape(n)}</th>" for n in rows[0])
        cells = "".join(
            "<tr>" + "".join(f"<td>{escape(shown(v, *units.get(n, units[''])))}</td>" for n, v in r.items()) + "</tr>"
            for r in rows
        )
        return f"<table><tr>{heads}</tr>{cells}</table>"
    assert rows, panel["title"]
    return drawn(panel, rows)


def sheet(dashboard: dict[str, Any], sample: Published) -> str:
    """A dashboard as HTML: the panels in their places."""
    boxes = []
    for panel in dashboard["panels"]:
        g = panel["gridPos"]
        place = f"left:{g['x'] * CELL}px;top:{g['y'] * ROW}px;width:{g['w'] * CELL - 8}px;height:{g['h'] * ROW - 8}px"
        boxes.append(
            f'<div style="{place}"><h3>{escape(panel["title"])}</h3>{inside(panel, rows_of(sample, dashboard, panel))}</div>'
        )
    style = (
        "body{margin:8px;background:#f4f5f5;font:12px system-ui;position:relative}div{position:absolute;background:#fff;border:1px solid #ddd;overflow:hidden;"
        "padding:4px 8px;box-sizing:border-box}h3{margin:0 0 4px;font-size:12px}b{font-size:22px}td,th{padding:3px 8px;text-align:left;white-space:nowrap}"
    )
    return f"<meta charset=utf-8><style>{style}</style>{''.join(boxes)}"


# Own measures has nothing to draw before a company declares one; test_dashboards runs its queries.
DRAWN = [d for d in dashboards(Installation("America/New_York", "USD")) if d["uid"] != "rmetrics-own"]


@pytest.mark.parametrize("dashboard", DRAWN, ids=lambda d: d["uid"])
def test_every_panel_draws_something(sample: Published, tmp_path: Path, dashboard: dict[str, Any]) -> None:
    """On the sample no chart is without a mark, no table without a row, no number without a value."""
    html = sheet(dashboard, sample)
    assert html.count("<h3>") == len(dashboard["panels"])
    page = tmp_path / f"{dashboard['uid']}.html"
    page.write_text(html, encoding="utf-8")
    if BROWSER and "RMETRICS_SCREENSHOTS" in os.environ:
        height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"]) * ROW + 20
        folder = Path(os.environ["RMETRICS_SCREENSHOTS"])
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={24 * CELL + 16},{height}", f"--screenshot={folder / (dashboard['uid'] + '.png')}", page.as_uri()], capture_output=True, timeout=120, check=True)  # fmt: skip
