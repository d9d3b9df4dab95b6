"""``/`` and ``/month/YYYY-MM``: the company's key figures."""

import datetime as dt
from html import escape

import polars as pl

from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL, PageData
from rmetrics.html_report.sections import FORECAST, Sections, day_in_words
from rmetrics.serve.charts import drawing
from rmetrics.serve.frame import LINKS, Page, PageRequest, choice, form, heading, notes_of


def overview(asked: PageRequest) -> Page:
    """Renders the newest month's key figures, every source, and the months before."""
    page = asked.view.page()
    parts = _sections(asked, page)
    charts = cells.grid(parts.draw(n) for n in ("repairs-to-date", "revenue40-to-date"))
    body = f"{heading(f'{page.month:%B %Y}')}{_about(page)}{parts.tiles()}{charts}{parts.sources()}{parts.months()}"
    return Page("Overview", body, "/", notes=notes_of(asked.view))


def month(asked: PageRequest) -> Page:
    """Renders one month in depth."""
    page = asked.view.page(asked.month(asked.path["month"]))
    parts = _sections(asked, page)
    charts = cells.grid(
        parts.draw(n) for n in ("repairs-to-date", "revenue40-to-date", "days", "cpl-to-date", "l2r-to-date")
    )
    body = (
        f"{heading(f'{page.month:%B %Y}', ('Overview', '/'))}{_about(page)}{_others(asked, page.month)}"
        f"{parts.tiles()}{charts}{parts.sources()}{_segments(page)}{days_table(asked, page.month, ALL)}"
    )
    return Page(f"{page.month:%B %Y}", body, "/", notes=notes_of(asked.view))


def _sections(asked: PageRequest, page: PageData) -> Sections:
    return Sections(page, LINKS, drawing(page, LINKS, asked.charts, asked.view.mark))


def _about(page: PageData) -> str:
    return (
        f"<p>Data up to {day_in_words(page.last_day)}: {page.passed} of {len(page.days)} days of the month. "
        f"Time zone {escape(page.timezone)}, money in {escape(page.currency)}. {FORECAST} "
        "Every figure links to its proof.</p>"
    )


def _others(asked: PageRequest, month: dt.date) -> str:
    found = asked.months
    i = found.index(month)
    near = [("← ", m) for m in found[i + 1 : i + 2]] + [("→ ", m) for m in found[max(i - 1, 0) : i]]
    return '<p class="trail">' + " &nbsp; ".join(
        f"{arrow}{cells.linked(f'{m:%B %Y}', LINKS.month(m))}" for arrow, m in near
    ) + "</p>"  # fmt: skip


def _segments(page: PageData) -> str:
    rows = [
        [
            cells.cell(line.segment, text=True, href=LINKS.to("/explain", source=ALL, month=f"{line.month:%Y-%m}",
                                                              segment=line.segment)),
            cells.count(line.repairs, href=LINKS.figure("repairs", ALL, line.month, segment=line.segment)),
            cells.money(line.revenue40, 2, href=LINKS.figure("revenue40", ALL, line.month, segment=line.segment)),
            cells.money(line.cost, 2, href=LINKS.figure("cost", ALL, line.month, segment=line.segment)),
        ]
        for line in page.segments
        if line.month == page.month
    ]  # fmt: skip
    return cells.card("Every segment", cells.table(("Segment", "Repairs", "Revenue40", "Cost"), rows, "segments"))


def days_table(asked: PageRequest, month: dt.date, source: str) -> str:
    """Renders the days of a month, each figure linked to its explanation."""
    shown = ("leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
    days = asked.view.days(month)
    if source != ALL:
        days = days.filter(pl.col("source") == source)
    sums = days.group_by("date").agg(pl.col(m).sum() for m in shown).sort("date")
    rows = [
        [
            cells.cell(f"{row['date']:%a %d %b}", text=True,
                       href=LINKS.to("/explain", source=source, month=f"{month:%Y-%m}", day=row["date"])),
            *(
                (cells.count if m in {"leads", "units", "repairs"} else _amount)(
                    row[m], href=LINKS.figure(m, source, month, day=row["date"])
                )
                for m in shown
            ),
        ]
        for row in sums.iter_rows(named=True)
    ]  # fmt: skip
    head = ("Day", "Leads", "Units", "Repairs", "Revenue gross", "Revenue40", "Cost")
    return cells.card("Day by day", cells.table(head, rows, "days"))


def _amount(value: object, *, href: str | None) -> str:
    return cells.money(value, 2, href=href)  # type: ignore[arg-type]


def month_form(asked: PageRequest, action: str, month: dt.date) -> str:
    """Renders a form that selects another month of the same page."""
    options = {f"{m:%Y-%m}": f"{m:%B %Y}" for m in asked.months}
    return form(action, choice("month", "Month", options, f"{month:%Y-%m}"))
