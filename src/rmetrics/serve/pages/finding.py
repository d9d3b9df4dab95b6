"""``/health?finding=CODE``: the findings of one kind and the published figures they concern."""

from html import escape

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.html_report import cells
from rmetrics.lake.snapshot import load
from rmetrics.rules.model import UNATTRIBUTED
from rmetrics.serve.frame import LINKS, Page, PageRequest, heading, notes_of
from rmetrics.tables import MONTHLY


def finding(asked: PageRequest, code: str) -> Page:
    """Renders all findings of a kind in full.

    Raises:
        SettingsError: there is no finding of that kind.
    """
    every = asked.view.page().findings
    found = [f for f in every if f.code == code]
    if not found:
        known = ", ".join(dict.fromkeys(f.code for f in every)) or "none"
        raise SettingsError(f"unknown finding: {code!r}", f"Findings: {known}.")
    cards = "".join(cells.card(str(f.severity), f"<p>{escape(f.message)}</p>") for f in found)
    return Page(
        code,
        f"{heading(code, ('Data health', '/health'))}{cards}{_figures(asked, code)}",
        "/health",
        notes=notes_of(asked.view),
    )


def _figures(asked: PageRequest, code: str) -> str:
    """Renders the figures by month and source if the finding is about sources; otherwise empty."""
    match code:
        case "undeclared-source":
            declared = [*asked.view.lake.rules.sources, UNATTRIBUTED]
            return _table(asked, "jobs", ~pl.col("source").is_in(declared))
        case "payment-without-job":
            return _table(asked, "revenue_gross", pl.col("source") == UNATTRIBUTED)
        case _:
            return ""


def _table(asked: PageRequest, metric: str, which: pl.Expr) -> str:
    rows = load(asked.view.lake.lake).scan(MONTHLY).filter(which & (pl.col(metric) != 0))
    sums = rows.group_by("month", "source").agg(pl.col(metric).sum()).sort("month", "source", descending=[True, False])
    currency = asked.view.page().currency
    made = []
    for month, source, value in sums.collect().iter_rows():
        to = LINKS.figure(metric, source, month)
        figure = cells.count(value, href=to) if metric == "jobs" else cells.money(value, 2, currency=currency, href=to)
        made.append(
            [
                cells.cell(f"{month:%Y-%m}", text=True, href=LINKS.month(month)),
                cells.cell(source, text=True, href=LINKS.source(source, month)),
                figure,
            ]
        )
    head = ("Month", "Source", "Jobs" if metric == "jobs" else "Paid")
    return cells.card("Figures affected", cells.table(head, made, "concerned"))


__all__ = ["finding"]
