"""The history of a published figure, as in ``rmetrics history``."""

from collections.abc import Sequence
from decimal import Decimal
from html import escape

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.explain.asked import SCALES
from rmetrics.explain.asked import Query as Figure
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.output.explain import figure
from rmetrics.pipeline.asked import MonthRange
from rmetrics.rules.funnel import FUNNEL, PREFIX
from rmetrics.serve.frame import LINKS, PageRequest
from rmetrics.usecases.history import Recorded, history

_MAX_ROWS = 200


def history_of(asked: PageRequest, of: Figure, metric: str) -> str:
    """Renders each change of a figure since its first publication: when, by which run and why."""
    try:
        found = history(
            asked.settings,
            MonthRange(last=of.month, one=True),
            source=None if of.source == ALL else of.source,
            metric=metric,
            daily=of.day is not None,
        )
    except (SettingsError, PostgresError):  # nothing is published, or no server answers; the notes report it
        return ""
    changes = [
        c for c in found.changes if of.segment in {None, c.segment} and of.day in {None, c.date}
    ]  # fmt: skip
    first = ""
    if found.first_run and found.first_at:
        run = cells.linked(found.first_run, LINKS.to("/runs", run=found.first_run))
        first = f"<p>First published by run {run}, {found.first_at:%Y-%m-%d %H:%M} UTC.</p>"
    inside = changes_table(changes[-_MAX_ROWS:]) if changes else "<p>It has not changed since.</p>"
    return cells.card("History", f"{first}{inside}")


def changes_table(changes: Sequence[Recorded]) -> str:
    """Renders a table of changes of published figures."""
    rows = []
    for c in changes:
        why = LINKS.figure(c.metric, c.source, c.month, c.segment, c.date)
        rows.append(
            [
                cells.cell(f"{c.at:%Y-%m-%d %H:%M}", text=True, href=LINKS.to("/runs", run=c.run_id)),
                cells.cell(str(c.date or f"{c.month:%Y-%m}")),
                cells.cell(c.source, text=True),
                cells.cell(c.segment, text=True),
                cells.cell(c.metric, text=True),
                cells.cell(shown(c.metric, c.before), value=cells.plain(c.before)),
                cells.cell(shown(c.metric, c.after), value=cells.plain(c.after), href=why),
                f'<td class="fold">{escape(c.cause or "")}</td>',
            ]
        )
    head = ("At (UTC)", "Of", "Source", "Segment", "Measure", "Before", "After", "Why")
    return cells.table(head, rows, "history")


def shown(metric: str, value: Decimal | None) -> str:
    """Formats a figure; a dash for None."""
    if value is None:
        return cells.DASH
    column = metric.removeprefix(PREFIX)
    if column != metric and column in FUNNEL:
        return figure(FUNNEL[column].decimals, value)
    return figure(SCALES[metric], value) if metric in SCALES else f"{value:f}"
