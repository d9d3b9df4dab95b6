"""The building blocks of pages: cells, tables, tiles, and the links of figures.

All text from the data is escaped. Figures carry their exact value in ``data-value``.
"""

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

from rmetrics import findings
from rmetrics.html_report import amounts

DASH = amounts.DASH
# The printed rows of a long list, so that the report fits on eight sheets. The style sheet hides the marked rest.
ON_PAPER = {"against": 24, "sources": 36, "feeds": 24, "findings": 12, "own": 12}
SCREEN = ' class="screen"'
_TEXT = re.compile(r'<td class="[^"]*\b(text|fold)\b')


@dataclass(frozen=True, slots=True)
class Links:
    """Links from figures to their explanations in ``rmetrics serve``.

    Attributes:
        base: its address without a trailing slash, empty for the server's own pages; None: no links.
    """

    base: str | None = None

    def to(self, path: str, **query: object) -> str | None:
        """Returns the address of a page, without the parts of the query that are None."""
        if self.base is None:
            return None
        asked = urlencode({name: value for name, value in query.items() if value is not None}, quote_via=quote)
        return f"{self.base}{quote(path)}" + (f"?{asked}" if asked else "")

    def figure(
        self, metric: str, source: str, month: dt.date, segment: str | None = None, day: dt.date | None = None
    ) -> str | None:
        """Returns the address of a figure's explanation."""
        return self.to("/explain", source=source, month=f"{month:%Y-%m}", metric=metric, segment=segment, day=day)

    def member(self, metric: str, dimension: str, member: str | None, month: dt.date) -> str | None:
        """Returns the address of the explanation of a member's figure; without a member, of all members' figures."""
        return self.to("/explain", dimension=dimension, member=member, month=f"{month:%Y-%m}", metric=metric)

    def source(self, name: str, month: dt.date) -> str | None:
        """Returns the address of a source's page, or of its explanation if browsers would read its name as a path."""
        if name in {".", ".."}:
            return self.to("/explain", source=name, month=f"{month:%Y-%m}")
        return self.to(f"/source/{name}", month=f"{month:%Y-%m}")

    def month(self, month: dt.date) -> str | None:
        """Returns the address of a month's page."""
        return self.to(f"/month/{month:%Y-%m}")


NO_LINKS = Links()


def linked(shown: str, href: str | None) -> str:
    """Escapes text, and makes it a link if there is an address."""
    return escape(shown) if href is None else f'<a href="{escape(href)}">{escape(shown)}</a>'


def cell(shown: str, colour: str = "", value: Any = None, *, text: bool = False, href: str | None = None) -> str:
    """Returns a cell of a table.

    Args:
        shown: the text.
        colour: ``good``, ``bad``, ``warn`` or empty.
        value: the exact value.
        text: whether it is left-aligned.
        href: the address of its link.
    """
    names = " ".join(n for n in (colour, "text" if text else "") if n)
    style = f' class="{names}"' if names else ""
    exact = f' data-value="{escape(str(value))}"' if value is not None else ""
    return f"<td{style}{exact}>{linked(shown, None if shown == DASH else href)}</td>"


def count(value: int | Decimal | None, colour: str = "", *, href: str | None = None) -> str:
    """Returns the cell of a whole number."""
    return cell(whole_number(value), colour, plain(value), href=href)


def money(
    value: Decimal | None, places: int = 0, colour: str = "", *, currency: str = "", href: str | None = None
) -> str:
    """Returns the cell of an amount; see ``shown_amount``."""
    return cell(shown_amount(value, places, currency), colour, plain(value), href=href)


def percent(top: int | Decimal, bottom: int | Decimal, *, href: str | None = None) -> str:
    """Returns the cell of a ratio; a dash if the divisor is 0."""
    value = Decimal(top) / bottom if bottom else None
    return cell(DASH if value is None else share(value), "", plain(value), href=href)


def attained(value: int | Decimal, target: Decimal | None, *, href: str | None = None) -> str:
    """Returns the cell of the attained share of a target."""
    reached = Decimal(value) / target if target else None
    colour = "" if reached is None else "good" if reached >= 1 else "warn" if reached >= Decimal("0.9") else "bad"
    return cell(DASH if reached is None else share(reached, 0), colour, plain(reached), href=href)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str, *, total_last: bool = False) -> str:
    """Returns a table that scrolls on its own if it is wider than the page; headers are aligned like the cells below.

    It can also be scrolled with the keyboard.

    Args:
        head: the titles of its columns.
        rows: cells made by ``cell``.
        name: its id is ``table-NAME``; ``ON_PAPER`` may limit the number of printed rows.
        total_last: whether the last row is a total.
    """
    rows = list(rows)
    texts = {i for i, made in enumerate(rows[0]) if _TEXT.match(made)} if rows else set()
    max_rows = ON_PAPER.get(name)
    kept = [f"<tr{SCREEN if max_rows and i >= max_rows else ''}>{''.join(row)}</tr>" for i, row in enumerate(rows)]
    if total_last and kept:
        kept[-1] = kept[-1].replace(f"<tr{SCREEN}>", "<tr>", 1).replace("<tr>", '<tr class="total">', 1)
    heads = "".join(
        f'<th scope="col" class="text">{escape(h)}</th>' if i in texts else f'<th scope="col">{escape(h)}</th>'
        for i, h in enumerate(head)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table id="table-{name}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(kept)}</tbody></table></div>"
        f"{omitted_note(len(kept) - max_rows if max_rows else 0, 'row')}"
    )


def omitted_note(number: int, what: str) -> str:
    """Returns a note on the unprinted part of a long list; visible on paper only."""
    return f'<p class="paper">{findings.count(number, f"more {what}")} on the page itself.</p>' if number > 0 else ""


def card(title: str, inside: str) -> str:
    """Returns a box with a title."""
    return f'<div class="card wide"><h3>{escape(title)}</h3>{inside}</div>'


def tile(title: str, made: str, below: str, *, href: str | None = None) -> str:
    """Returns a tile with one big number: a title, a cell, and a line below it, with its own link."""
    inside = made.removeprefix("<td").removesuffix("</td>")
    return f'<div class="tile"><span>{escape(title)}</span><b{inside}</b><span>{linked(below, href)}</span></div>'


def grid(figures: Iterable[str]) -> str:
    """Returns charts side by side."""
    return f'<div class="grid">{"".join(figures)}</div>'


# -- figures as text


def whole_number(value: int | Decimal | None) -> str:
    """Formats a number without decimals."""
    return DASH if value is None else f"{Decimal(value).quantize(Decimal(1), ROUND_HALF_UP):,}"


def shown_amount(value: Decimal | None, places: int = 0, currency: str = "") -> str:
    """Formats an amount with the given decimals, and with its currency if one is given."""
    if currency:
        return amounts.amount(value, currency, places)
    return DASH if value is None else f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}"


def share(value: Decimal, places: int = 1) -> str:
    """Formats a ratio as a percentage."""
    return f"{(value * 100).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)} %"


def plain(value: int | Decimal | None) -> str | None:
    """Returns the exact value as text."""
    return None if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


def no_chart(title: str) -> str:
    """Returns the replacement of a chart without data."""
    return f'<figure class="card"><h3>{escape(title)}</h3><p>Nothing to show for this month.</p></figure>'
