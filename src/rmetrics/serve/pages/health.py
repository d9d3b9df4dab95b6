"""``/health``: the freshness of the data and the findings.

``?feed=`` accounts for the rows of each export of a feed, ``?finding=`` shows the findings of one kind.
"""

from collections.abc import Sequence

from rmetrics.errors import SettingsError
from rmetrics.html_report import cells
from rmetrics.html_report.sections import Sections
from rmetrics.rules.suggest import did_you_mean
from rmetrics.serve.charts import drawing
from rmetrics.serve.frame import LINKS, Page, PageRequest, heading, notes_of, place
from rmetrics.serve.pages.finding import finding


def health(asked: PageRequest) -> Page:
    """Renders freshness and findings, one feed, or the findings of one kind."""
    name = asked.text("feed")
    if name is not None:
        return _feed(asked, name)
    code = asked.text("finding")
    if code is not None:
        return finding(asked, code)
    page = asked.view.page()
    made = Sections(page, LINKS, drawing(page, LINKS, asked.charts, asked.view.mark)).health()
    return Page("Data health", made.replace("<h2>Data health</h2>", heading("Data health"), 1), "/health",
                notes=notes_of(asked.view))  # fmt: skip


def _feed(asked: PageRequest, name: str) -> Page:
    """Renders every export of a feed: each row read is accepted, rejected, superseded or a total; none is lost."""
    lake = asked.view.lake
    if name not in lake.rules.feeds:
        raise SettingsError(
            f"unknown feed: {name!r}{did_you_mean(name, lake.rules.feeds)}", f"Feeds: {', '.join(lake.rules.feeds)}."
        )
    bad = LINKS.to("/rejected", feed=name)

    def counted(numbers: Sequence[int]) -> list[str]:
        return [cells.count(n, href=bad if i == 2 and n else None) for i, n in enumerate(numbers)]

    rows, sums = [], [0] * 5
    for item in lake.computed.placed:
        if item.feed != name:
            continue
        counts = lake.computed.counts[item.raw.sha256]
        figures = (counts.rows, counts.accepted, counts.rejected, counts.superseded, counts.totals)
        sums = [a + b for a, b in zip(sums, figures, strict=True)]
        exported = cells.cell(f"{item.raw.exported_at:%Y-%m-%d %H:%M}")
        rows.append([cells.cell(item.raw.name, text=True), exported, *counted(figures)])
    rows.append([cells.cell("All", text=True), cells.cell(""), *counted(sums)])
    head = ("Export", "Exported (UTC)", "Rows read", "Accepted", "Rejected", "Superseded", "Totals")
    where = place(lake.rules.place(f"feeds.{name}"))
    about = (
        f"<p>Declared in {where}. Rows read = accepted + rejected + superseded by a newer export + total lines: "
        "nothing is lost.</p>"
    )
    table = cells.card("Exports", cells.table(head, rows, "exports", total_last=True))
    return Page(
        name, f"{heading(name, ('Data health', '/health'))}{about}{table}", "/health", notes=notes_of(asked.view)
    )
