"""``/source/NAME?month=``: one channel."""

from decimal import Decimal
from html import escape

from rmetrics.errors import SettingsError
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL, PageData
from rmetrics.html_report.sections import Linked, Sections
from rmetrics.pipeline.asked import source_named
from rmetrics.rules.describe import rules_in_words
from rmetrics.serve.charts import drawing
from rmetrics.serve.frame import LINKS, Page, PageRequest, heading, notes_of, place
from rmetrics.serve.pages.overview import days_table, month_form


def source(asked: PageRequest) -> Page:
    """Renders a source: its key figures of a month, its rules, its months and days."""
    page = asked.view.page(asked.month(asked.text("month")))
    name = source_named(asked.path["name"], asked.view.lake.rules, {line.source for line in page.lines})
    if name == ALL:
        raise SettingsError("ALL is the whole company", "See the overview.")
    trail = heading(name, ("Overview", "/"), (f"{page.month:%B %Y}", LINKS.month(page.month)))
    chosen = month_form(asked, LINKS.to(f"/source/{name}") or "", page.month)
    parts = Sections(page, LINKS, drawing(page, LINKS, asked.charts, asked.view.mark))
    months = (
        cells.card("Month by month", parts.channel(name))
        if name in page.sources
        else "<p>No job, lead or cost of this source counts in the twelve months shown.</p>"
    )
    body = (
        f"{trail}{chosen}{_tiles(page, name)}{_rules(asked, page, name)}{months}{days_table(asked, page.month, name)}"
    )
    return Page(name, body, "/", notes=notes_of(asked.view))


def _tiles(page: PageData, name: str) -> str:
    line = next((x for x in page.lines if (x.month, x.source) == (page.month, name)), None)
    if line is None:
        return "<p>Nothing of this source counts in this month.</p>"
    of = Linked(line, LINKS, page.currency)
    repairs = "no target" if line.target_repairs is None else f"target {cells.whole_number(line.target_repairs)}"
    ceiling = (
        "" if line.target_cpl_max is None else f"ceiling {cells.shown_amount(line.target_cpl_max, 2, page.currency)}"
    )
    made = (
        cells.tile("Leads", of.count("leads"), ""),
        cells.tile("Units", of.count("units"), ""),
        cells.tile("Repairs", of.count("repairs"), repairs, href=_to(of, "target_repairs", line.target_repairs)),
        cells.tile(
            "Revenue40",
            of.money("revenue40"),
            f"of {cells.shown_amount(line.revenue_gross, 0, page.currency)} paid",
            href=of.to("revenue_gross"),
        ),
        cells.tile("Cost", of.money("cost"), ""),
        cells.tile("Cost per lead", of.cpl(), ceiling, href=_to(of, "target_cpl_max", line.target_cpl_max)),
        cells.tile("Profit", of.money("profit"), "revenue40 minus cost"),
    )
    return f'<div class="tiles">{"".join(made)}</div>'


def _to(of: Linked, target: str, value: Decimal | None) -> str | None:
    return None if value is None else of.to(target)


def _rules(asked: PageRequest, page: PageData, name: str) -> str:
    described = [s for s in rules_in_words(asked.view.lake.rules, page.month) if s.topic == name]
    if not described:
        return cells.card(
            "Rules", "<p>No rule declares this source: its jobs count, but it has neither leads nor cost.</p>"
        )
    lines = "".join(f'<p class="rule">{escape(s.rule)}: {escape(s.words)} {place(s.where)}</p>' for s in described)
    return cells.card(f"Rules in {page.month:%B %Y}", lines)
