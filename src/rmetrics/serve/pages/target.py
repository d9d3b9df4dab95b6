"""The section of ``/explain`` that shows which row of which export sets a target."""

from html import escape

import polars as pl

from rmetrics.explain.asked import Query as Figure
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.positions import FILE, LINE
from rmetrics.rules.names import TARGETS as FEED
from rmetrics.serve.formulas import TARGETS
from rmetrics.serve.frame import PageRequest, place


def target_of(asked: PageRequest, of: Figure, name: str) -> str:
    """Renders a target and the line that sets it; shown even without ``--rows``: a target is no customer's data."""
    title, places = TARGETS[name]
    rules, lake = asked.view.lake.rules, asked.view.lake
    value, where = None, "No target is set. To set one: rmetrics target set"
    computed = lake.computed.rows
    if FEED in rules.feeds and computed.has(FEED):
        rows = computed.scan(FEED).filter(
            (pl.col("month") == of.month) & (pl.col("source") == of.source) & (pl.col("segment") == (of.segment or ALL))
        )
        found = rows.collect().rows(named=True)
        if found and found[0].get(name) is not None:
            row = found[0]
            value, raw = row[name], lake.exports.get(row.get(FILE, -1))
            where = (
                f"Line {row.get(LINE)} of {raw.name}, the newest export with this target."
                if raw
                else "Set in a targets sheet."
            )
    shown = cells.DASH if value is None else f"{value:,.{places}f}" if places != 4 else cells.share(value)
    exact = "" if value is None else f' data-value="{cells.plain(value)}"'
    rule = place(rules.place(f"feeds.{FEED}")) if FEED in rules.feeds else ""
    return (
        f'<section class="measure"><h2>{escape(title)}</h2>'
        f'<p class="figure" data-metric="{escape(name)}"{exact}>{escape(shown)}</p>'
        f"<p>{escape(where)} {rule}</p></section>"
    )
