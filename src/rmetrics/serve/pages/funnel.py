"""``/funnel``: from touch to money and from call to repair, by source and month."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.opening import database_of
from rmetrics.pipeline.asked import source_named
from rmetrics.rules.funnel import FUNNEL, PREFIX, RATIOS, funnel_names
from rmetrics.serve.call_funnel import STEPS, CallFunnelLine, call_funnel
from rmetrics.serve.frame import LINKS, Page, PageRequest, choice, form, heading, notes_of

_CALLS = ("Source", "Calls", "Inbound", "Answered", "Missed", "With a job", "Jobs", "Units", "Repairs")
_STEPS = ("touches", "answered", "booked", "visited", "repaired", "paid")
_MONEY = ("cost", "revenue_gross")
_FUNNEL = (
    "Touches", "Answered", "Booked", "Visited", "Repaired", "Paid", "Cost", "Paid by jobs",
    "Cost per booked", "Cost per repaired", "ROAS",
)  # fmt: skip
_ENDS = ("touches", "booked", "no_job", "no_number", "shared", "outside_window", "returning_customers")
_OUTCOMES = (
    "Touches",
    "With a job",
    "No job",
    "No number",
    "Shared number",
    "Outside the window",
    "Returning customers",
)
_ABOUT = (
    "<p>Outcomes of the leads of a month: a touch is a row of a lead feed, or an inbound call of a source without "
    "one. It counts in its own month, whenever its jobs were visited and paid. Every figure links to its rule, its "
    "rows and its proof.</p>"
)


def funnel(asked: PageRequest) -> Page:
    """Renders touches of a month by source and of a source by month, and the month's calls as published.

    Raises:
        SettingsError: no such source, or the month has neither touches nor calls.
    """
    notes = notes_of(asked.view)
    metrics = asked.view.journey_months()
    try:
        calls, silent = call_funnel(database_of(asked.settings)) or (), ""
    except PostgresError as error:
        calls, silent = (), "<p>The calls are read from PostgreSQL, which is not available.</p>"
        notes = (*notes, f"{error.message}. {error.hint}")
    months = sorted({*metrics["month"], *(line.month for line in calls)}, reverse=True)
    if not months:
        return Page("Funnel", heading("Funnel") + (silent or "<p>There are no leads and no calls.</p>"), "/funnel",
                    notes=notes)  # fmt: skip
    month = asked.month(asked.text("month")) or months[0]
    if month not in months:
        raise SettingsError(
            f"no leads and no calls in {month:%Y-%m}",
            f"There are data from {months[-1]:%Y-%m} to {months[0]:%Y-%m}.",
        )
    names = sorted(set(metrics["source"]))
    source = source_named(asked.text("source") or ALL, asked.view.lake.rules, names)
    options = {f"{m:%Y-%m}": f"{m:%B %Y}" for m in months}
    picked = form(
        "/funnel",
        choice("month", "Month", options, f"{month:%Y-%m}")
        + choice("source", "Source", {n: "All sources" if n == ALL else n for n in (ALL, *names)}, source),
    )
    body = (
        f"{heading('Funnel')}{_ABOUT}{picked}{_journeys(asked, metrics, month, source)}{_calls(calls, month)}{silent}"
    )
    return Page("Funnel", body, "/funnel", notes=notes)


def _journeys(asked: PageRequest, metrics: pl.DataFrame, month: dt.date, source: str) -> str:
    """Renders the month by source, the outcome of its touches, and all months of the source."""
    names = {column: name for name, column in funnel_names(asked.view.lake.rules).items()}
    mine = metrics if source == ALL else metrics.filter(pl.col("source") == source)
    of_month = mine.filter(pl.col("month") == month).sort(["touches", "source"], descending=[True, False])
    lines = list(of_month.iter_rows(named=True))
    if source == ALL and lines:
        lines.append(_summed(of_month, month, ALL))
    if not lines:
        return f"<p>No touch in {month:%B %Y}.</p>"
    by_source = [[_source(line), *_figures(line, names)] for line in lines]
    outcomes = [[_source(line), *(_count(line, column, names) for column in _ENDS)] for line in lines]
    every = [_summed(rows, when, source) for when, rows in _by_month(mine)]
    by_month = [[_month(line), *_figures(line, names)] for line in every]
    whole = source == ALL
    return (
        cells.card(
            f"{month:%B %Y} by source", cells.table(("Source", *_FUNNEL), by_source, "touches", total_last=whole)
        )
        + cells.card(
            "Outcomes of touches", cells.table(("Source", *_OUTCOMES), outcomes, "went", total_last=whole)
            + "<p>With a job, no job, no number, shared number and outside the window add up to all touches.</p>",
        )
        + cells.card(
            f"{'All sources' if whole else source} by month", cells.table(("Month", *_FUNNEL), by_month, "months")
        )
    )  # fmt: skip


def _by_month(metrics: pl.DataFrame) -> list[tuple[dt.date, pl.DataFrame]]:
    """Splits rows by month, newest first."""
    parts = metrics.partition_by("month", as_dict=True)
    return [(month, parts[month,]) for month in sorted((m for (m,) in parts), reverse=True)]


def _summed(rows: pl.DataFrame, month: dt.date, source: str) -> dict[str, Any]:
    """Sums the rows of a month into one line."""
    return {"source": source, "month": month, **{c: rows[c].sum() for c in (*FUNNEL, "cost")}}


def _source(line: Mapping[str, Any]) -> str:
    name, month = line["source"], line["month"]
    shown, href = ("All sources", LINKS.month(month)) if name == ALL else (name, LINKS.source(name, month))
    return cells.cell(shown, text=True, href=href)


def _month(line: Mapping[str, Any]) -> str:
    month, source = line["month"], line["source"]
    href = LINKS.to("/funnel", month=f"{month:%Y-%m}", source=None if source == ALL else source)
    return cells.cell(f"{month:%B %Y}", text=True, href=href)


def _count(line: Mapping[str, Any], column: str, names: Mapping[str, str]) -> str:
    return cells.count(line[column], href=LINKS.figure(names[column], line["source"], line["month"]))


def _figures(line: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Renders the cells of a line: funnel steps, money and ratios."""

    def to(metric: str) -> str | None:
        return LINKS.figure(metric, line["source"], line["month"])

    ratios = []
    for name, (top, bottom) in RATIOS.items():
        above, below = (line[part.removeprefix(PREFIX)] for part in (top, bottom))
        value = Decimal(above) / below if below else None
        shown = cells.DASH if value is None else cells.shown_amount(value, 2)
        ratios.append(cells.cell(shown, value=cells.plain(value), href=to(f"{PREFIX}{name}")))
    return [
        *(_count(line, column, names) for column in _STEPS),
        *(cells.money(line[column], 2, href=to(names.get(column, column))) for column in _MONEY),
        *ratios,
    ]


def _calls(found: tuple[CallFunnelLine, ...], month: dt.date) -> str:
    """Renders the calls of the month by source."""
    rows = []
    for line in found:
        if line.month == month:
            why = LINKS.figure("calls", line.source, month)
            name = cells.cell(line.source, text=True, href=LINKS.source(line.source, month))
            rows.append([name, *(cells.count(line.steps[s], href=why) for s in STEPS)])
    if not rows:
        return ""
    about = (
        "<p>Calls are counted as calls, jobs as jobs: several calls can lead to one job, and a job with calls of two "
        "sources counts in both.</p>"
    )
    return cells.card(f"Calls of {month:%B %Y}: from call to repair", about + cells.table(_CALLS, rows, "funnel"))
