"""Breaks a figure down by day, by segment and, for all sources together, by source."""

import polars as pl

from rmetrics.explain.asked import Query as Figure
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.output.explain import figure
from rmetrics.rules.funnel import funnel_names
from rmetrics.serve.frame import LINKS, PageRequest


def breakdown(asked: PageRequest, of: Figure, metric: str, scale: int) -> str:
    """Renders tables of parts that add up to the figure, each linked to its own explanation.

    Args:
        asked: the request.
        of: the figure.
        metric: its measure.
        scale: its number of decimals.
    """
    rows = _days(asked, of, metric)
    tables = []
    for column, title in (("source", "By source"), ("segment", "By segment"), ("date", "By day")):
        sums = rows.group_by(column).agg(pl.col(metric).sum()).filter(pl.col(metric) != 0).sort(column)
        if sums.height < 1 or (column == "source" and of.source != ALL) or (column == "date" and of.day is not None):
            continue
        if column == "segment" and (of.segment is not None or sums["segment"].to_list() == [ALL]):
            continue
        lines = []
        for value, amount in sums.iter_rows():
            source = value if column == "source" else of.source
            segment = value if column == "segment" else of.segment
            href = LINKS.figure(metric, source, of.month, segment, value if column == "date" else of.day)
            shown = f"{value:%a %d %b}" if column == "date" else str(value)
            lines.append(
                [cells.cell(shown, text=True, href=href),
                 cells.cell(figure(scale, amount), value=cells.plain(amount), href=href)]
            )  # fmt: skip
        head = (title.removeprefix("By ").capitalize(), metric)
        tables.append(cells.card(title, cells.table(head, lines, f"by-{column}")))
    return f'<div class="columns">{"".join(tables)}</div>'


def _days(asked: PageRequest, of: Figure, metric: str) -> pl.DataFrame:
    """Returns the rows by day, source and segment that add up to a figure; touches have no segment."""
    funnel = funnel_names(asked.view.lake.rules)
    if metric in funnel:
        return asked.view.journey_days(of).rename({funnel[metric]: metric})
    rows = asked.view.days(of.month).filter(of.of(pl.col("source")))
    if of.segment is not None:
        rows = rows.filter(pl.col("segment") == of.segment)
    return rows if of.day is None else rows.filter(pl.col("date") == of.day)
