"""The charts as Vega-Lite specifications: from data to a dict. Numbers become floats here, for drawing only.

Text, axes and background have the colours of a light page; the page's style sheet overrides them in dark mode.
Therefore one drawing serves both modes, and exported pictures are always light.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from rmetrics.html_report.data import FunnelLine, PageData

Json = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
PALETTE = ("#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#06b6d4", "#ec4899", "#84cc16", "#f97316", "#64748b",
           "#14b8a6", "#a855f7")  # fmt: skip
BLUE, ORANGE, GREEN, RED, GREY = "#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8a8f98"
_FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
_SLANTED: Json = {"labelAngle": -45}
_LEVEL: Json = {"labelAngle": 0, "labelOverlap": True}
_CONFIG: Json = {
    "background": "#ffffff",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {"labelColor": "#444444", "titleColor": "#444444", "gridColor": "#e5e7eb", "domainColor": "#9ca3af",
             "tickColor": "#9ca3af", "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
    "legend": {"labelColor": "#444444", "orient": "bottom", "title": None,
               "columns": 3, "symbolType": "square"},
    "line": {"strokeWidth": 2.5},
}  # fmt: skip


STEPS = ("touches", "answered", "booked", "visited", "repaired", "paid")


def charts(page: PageData) -> dict[str, tuple[str, Json]]:
    """Returns every chart of the page: id to (title, specification)."""
    made = {**_months(page), **_month(page), "feeds": ("Rows by feed", _feeds(page))}
    for number, line in enumerate(page.funnel):
        made[f"funnel-{number}"] = (f"{line.source}: from touch to money", _funnel(line))
    for number, source in enumerate(page.sources):
        made[f"channel-{number}-counts"] = (
            f"{source}: leads, units, repairs",
            _grouped(_counts(page, source), "count"),
        )
        made[f"channel-{number}-money"] = (
            f"{source}: revenue40, cost, profit",
            _grouped(_money(page, source), page.currency),
        )
    return made


def has_rows(spec: Json) -> bool:
    """Whether a chart has data to draw: without rows its axes would have no range."""
    return bool(spec["data"]["values"])


def _funnel(line: FunnelLine) -> Json:
    """Returns the chart of the touches of a source that reach each step."""
    rows = [{"name": step.capitalize(), "value": getattr(line, step)} for step in STEPS]
    return _chart(
        rows,
        {"type": "bar", "color": BLUE, "tooltip": True},
        {
            "y": {"field": "name", "type": "nominal", "sort": [s.capitalize() for s in STEPS], "title": None},
            "x": {"field": "value", "type": "quantitative", "title": "touches", "axis": {"tickMinStep": 1}},
        },
    )


def _months(page: PageData) -> dict[str, tuple[str, Json]]:
    by_source = [
        {"month": _name(line.month), "name": source, "value": line.repairs}
        for source in page.sources
        for line in page.of(source)
    ]
    shown = frozenset(page.months)
    by_segment = [
        {"month": _name(line.month), "name": line.segment, "value": float(line.revenue40)}
        for line in page.segments
        if line.month in shown
    ]
    conversions, cpl = [], []
    for line in page.of("ALL"):
        pairs = (("L→U", line.units, line.leads), ("U→R", line.repairs, line.units), ("L→R", line.repairs, line.leads))
        conversions += [{"month": _name(line.month), "name": n, "value": a / b if b else None} for n, a, b in pairs]
        cpl += [
            {"month": _name(line.month), "name": "CPL", "value": _float(line.cpl)},
            {"month": _name(line.month), "name": "Ceiling", "value": _float(line.target_cpl_max)},
        ]
    return {
        "repairs-by-source": ("Repairs by source", _stacked(by_source, "repairs", page.sources)),
        "counts": ("Leads, units, repairs", _grouped(_counts(page, "ALL"), "count")),
        "money": ("Revenue40, cost, profit", _grouped(_money(page, "ALL"), page.currency)),
        "revenue-by-segment": (
            "Revenue40 by segment",
            _stacked(by_segment, page.currency, sorted({str(r["name"]) for r in by_segment})),
        ),
        "conversions": ("Conversions", _lines(conversions, "", "month:O", ("L→U", "U→R", "L→R"), percent=True)),
        "cpl": ("Cost per lead", _lines(cpl, page.currency, "month:O", ("CPL", "Ceiling"), dashed=("Ceiling",))),
    }


def _month(page: PageData) -> dict[str, tuple[str, Json]]:
    target = page.whole[page.month]
    days, cpl, conversion = [], [], []
    for day in page.days:
        if day.repairs is None:
            continue
        here = {"day": day.date.day}
        days += [
            {**here, "name": n, "value": v}
            for n, v in (("Leads", day.leads), ("Units", day.units), ("Repairs", day.repairs))
        ]
        leads = day.leads_to_date
        if leads and day.cost_to_date is not None and day.repairs_to_date is not None:
            cpl.append({**here, "name": "CPL so far", "value": float(day.cost_to_date / leads)})
            conversion.append({**here, "name": "L→R so far", "value": day.repairs_to_date / leads})
        if target.target_cpl_max is not None:
            cpl.append({**here, "name": "Ceiling", "value": float(target.target_cpl_max)})
        if target.target_conv_l2r is not None:
            conversion.append({**here, "name": "Target", "value": float(target.target_conv_l2r)})
    return {
        "repairs-to-date": ("Repairs so far", _pace(page, "repairs", "repairs")),
        "revenue40-to-date": ("Revenue40 so far", _pace(page, "revenue40", page.currency)),
        "days": ("Day by day", _grouped(days, "count", x="day:O")),
        "cpl-to-date": (
            "CPL so far",
            _lines(cpl, page.currency, "day:Q", ("CPL so far", "Ceiling"), dashed=("Ceiling",)),
        ),
        "l2r-to-date": (
            "Conversion so far",
            _lines(conversion, "", "day:Q", ("L→R so far", "Target"), dashed=("Target",), percent=True),
        ),
    }  # fmt: skip


def _pace(page: PageData, measure: str, unit: str) -> Json:
    """Returns the chart of sums to date, the pace that reaches the target, and the forecast from the last whole day."""
    rows: list[Json] = []
    for day in page.days:
        so_far, pace = getattr(day, f"{measure}_to_date"), getattr(day, f"{measure}_pace")
        number = day.date.day
        if so_far is not None:
            rows.append({"day": number, "name": "So far", "value": float(so_far)})
        if pace is not None:
            rows.append({"day": number, "name": "Target pace", "value": float(pace)})
    rows += _forecast_rows(page, measure)
    names = ("So far", "Target pace", "Forecast", "4 of 5 end above", "4 of 5 end below")
    return _lines(rows, unit, "day:Q", names, dashed=names[1:])


def _forecast_rows(page: PageData, measure: str) -> Iterator[Json]:
    """Yields the forecast for each remaining day, from the last whole day on, and a line to each end of its range."""
    found = page.estimate(measure)
    if found is None or not found.path:
        return
    start = {"day": found.as_of.day if found.as_of >= found.month else 0, "value": float(found.reached)}
    yield {**start, "name": "Forecast"}
    for day, value in found.path:
        yield {"day": day.day, "name": "Forecast", "value": float(value)}
    for name, end in (("4 of 5 end above", found.low), ("4 of 5 end below", found.high)):
        if end is not None:
            yield {**start, "name": name}
            yield {"day": found.path[-1][0].day, "name": name, "value": float(end)}


def _counts(page: PageData, source: str) -> list[Json]:
    return _long(page, source, (("Leads", "leads"), ("Units", "units"), ("Repairs", "repairs")))


def _money(page: PageData, source: str) -> list[Json]:
    return _long(page, source, (("Revenue40", "revenue40"), ("Cost", "cost"), ("Profit", "profit")))


def _long(page: PageData, source: str, names: Iterable[tuple[str, str]]) -> list[Json]:
    pairs = list(names)
    return [
        {"month": _name(line.month), "name": shown, "value": float(getattr(line, name))}
        for line in page.of(source)
        for shown, name in pairs
    ]


def _feeds(page: PageData) -> Json:
    rows = [{"name": f.feed, "value": f.rows} for f in page.feeds]
    return _chart(
        rows,
        {"type": "bar", "color": BLUE, "tooltip": True},
        {
            "y": {"field": "name", "type": "nominal", "sort": "-x", "title": None},
            "x": {"field": "value", "type": "quantitative", "title": "rows"},
        },
    )


# -- kinds of charts


def _stacked(rows: list[Json], unit: str, order: Sequence[str]) -> Json:
    return _chart(
        rows,
        {"type": "bar", "tooltip": True},
        {
            "x": {"field": "month", "type": "ordinal", "title": None, "axis": _SLANTED},
            "y": {"field": "value", "type": "quantitative", "title": unit},
            "color": _colours(order),
        },
    )


def _grouped(rows: list[Json], unit: str, x: str = "month:O") -> Json:
    name, _ = x.split(":")
    order = list(dict.fromkeys(r["name"] for r in rows))
    return _chart(
        rows,
        {"type": "bar", "tooltip": True},
        {
            "x": {"field": name, "type": "ordinal", "title": None, "axis": _LEVEL if name == "day" else _SLANTED},
            "xOffset": {"field": "name", "sort": order},
            "y": {"field": "value", "type": "quantitative", "title": unit},
            "color": _colours(order),
        },
    )  # fmt: skip


def _lines(
    rows: list[Json], unit: str, x: str, order: Sequence[str], *, dashed: Sequence[str] = (), percent: bool = False
) -> Json:
    name, kind = x.split(":")
    present = [o for o in order if any(r["name"] == o for r in rows)]
    colours = {"Ceiling": RED, "Target": GREY, "Target pace": GREY, "Forecast": GREEN,
               "4 of 5 end above": GREY, "4 of 5 end below": GREY}  # fmt: skip
    palette = [colours.get(o, PALETTE[i]) for i, o in enumerate(present)]
    quantity: Json = {"field": "value", "type": "quantitative", "title": unit or None}
    if percent:
        quantity |= {"axis": {"format": ".0%"}}
    across: Json = {"field": name, "title": "day of the month" if kind == "Q" else None}
    across |= (
        {"type": "quantitative", "axis": {"tickMinStep": 1, "format": "d"}, "scale": {"nice": False, "zero": False}}
        if kind == "Q"
        else {"type": "ordinal", "axis": _SLANTED}
    )
    return _chart(
        [r for r in rows if r["value"] is not None],
        {"type": "line", "point": {"size": 24} if kind != "Q" else False, "tooltip": True},
        {
            "x": across,
            "y": quantity,
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": present, "range": palette},
                "title": None,
                "legend": {"symbolType": "stroke", "symbolStrokeWidth": 2.5},
            },
            "strokeDash": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": present, "range": [[5, 4] if o in dashed else [1, 0] for o in present]},
                "title": None,
            },
        },
    )


def _colours(order: Sequence[str]) -> Json:
    palette = [PALETTE[i % len(PALETTE)] for i in range(len(order))]
    return {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": list(order), "range": palette},
        "sort": list(order),
        "title": None,
    }


def _chart(rows: list[Json], mark: Json, encoding: Json) -> Json:
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": 260,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": rows},
        "mark": mark,
        "encoding": encoding,
        "config": _CONFIG,
    }


def _name(month: Any) -> str:
    return f"{month:%Y-%m}"


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
