"""The company's own measures on a page: by month, and by member of each dimension."""

import datetime as dt
from decimal import Decimal
from html import escape
from shlex import quote

from rmetrics.html_report import cells
from rmetrics.html_report.cells import DASH, Links
from rmetrics.html_report.data import ALL, PageData
from rmetrics.html_report.own_data import MonthMembers, OwnData
from rmetrics.metrics.figures import FigureKind

MAX_MEMBERS = 40
_NON_ADDITIVE = "A row of several members counts for each of them, so these measures do not add up: {}."


def own_section(page: PageData, links: Links) -> str:
    """Returns the section of the report; empty if nothing is declared."""
    if not page.own.any:
        return ""
    about = (
        "Declared in <code>rules/</code>, computed by both engines; the members of a dimension add up to the total, "
        "<i>(none)</i> and <i>(other)</i> included."
    )
    made = own_months(page, links) if page.own.lines else ""
    members = "".join(members_card(page.own, t, page.month, page.currency, links) for t in page.own.tables)
    return f'<section id="own"><h2>Own measures</h2><p>{about}</p>{made}{members}</section>'


def own_months(page: PageData, links: Links) -> str:
    """Returns a table with a row per month, newest first, and a column per measure and per target."""
    own = page.own
    found = {(line.month, line.measure): line for line in own.lines}
    targets = {line.measure for line in own.lines if line.target is not None}
    head = ["Month"]
    for name, title in own.measures.items():
        head += [title, *(["Target"] if name in targets else [])]
    rows = []
    for month in reversed(page.months):
        row = [cells.cell(f"{month:%Y-%m}", text=True, href=links.month(month))]
        for name in own.measures:
            line = found.get((month, name))
            value = None if line is None else line.value
            row.append(value_cell(value, own.kinds[name], page.currency, links.figure(name, ALL, month)))
            if name in targets:
                row.append(value_cell(line.target if line else None, own.kinds[name], page.currency, None))
        rows.append(row)
    return cells.card("Month by month", cells.table(head, rows, "own"))


def members_card(own: OwnData, table: MonthMembers, month: dt.date, currency: str, links: Links) -> str:
    """Returns a table with a row per member, largest first, and the total."""
    title = f"By {table.title.lower()}, {month:%B %Y}"
    if not table.members or not table.figures:
        return cells.card(title, "<p>No row of this month has a member.</p>")
    head = [table.title, *(table.titles.get(f.name, f.name) for f in table.figures)]
    rows = []
    for member in table.members[:MAX_MEMBERS]:
        row = [cells.cell(member, text=True)]
        row += [
            value_cell(
                table.of(member, f), own.kinds[f.name], currency, links.member(f.name, table.dimension, member, month)
            )
            for f in table.figures
        ]
        rows.append(row)
    totals = [
        value_cell(table.in_all(f), own.kinds[f.name], currency, links.figure(f.name, ALL, month))
        for f in table.figures
    ]
    rows.append([cells.cell(ALL, text=True), *totals])
    omitted = len(table.members) - MAX_MEMBERS
    command = f"rmetrics metrics --dimension {quote(table.dimension)} --from {month:%Y-%m} --to {month:%Y-%m}"
    more = f"<p>{omitted:,} more members: <code>{escape(command)}</code></p>" if omitted > 0 else ""
    non_additive = [table.titles[f.name] for f in table.figures if f.name in table.non_additive]
    note = f"<p>{escape(_NON_ADDITIVE.format(', '.join(non_additive)))}</p>" if non_additive else ""
    inside = cells.table(head, rows, f"by-{table.dimension}", total_last=True)
    return cells.card(title, f"<p>{escape(table.words[:1].upper() + table.words[1:])}.</p>{inside}{more}{note}")


def value_cell(value: Decimal | None, kind: FigureKind, currency: str, href: str | None) -> str:
    """Returns the cell of a figure, formatted by its kind."""
    return cells.cell(shown_value(value, kind, currency), value=cells.plain(value), href=href)


def shown_value(value: Decimal | None, kind: FigureKind, currency: str) -> str:
    """Formats a figure: whole counts, amounts with cents, ratios in percent."""
    if value is None:
        return DASH
    match kind:
        case FigureKind.COUNT:
            return cells.whole_number(value)
        case FigureKind.RATIO:
            return cells.share(value)
        case FigureKind.NUMBER_RATIO:
            return cells.shown_amount(value, 2)
        case FigureKind.MONEY | FigureKind.EXACT | FigureKind.MONEY_RATIO:
            return cells.shown_amount(value, 2, currency)


__all__ = ["members_card", "own_months", "own_section", "shown_value", "value_cell"]
