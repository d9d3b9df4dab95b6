"""The parts pages are put together from: cells, tables, tiles, and where a figure leads to.

Every word from the data is escaped. Figures carry the exact value beside what is shown (``data-value``).
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
# How much of a long list is printed, for the report to fit eight sheets. The rest is marked for the style sheet.
ON_PAPER = {"against": 24, "sources": 36, "feeds": 24, "findings": 12, "own": 12}
SCREEN = ' class="screen"'
_TEXT = re.compile(r'<td class="[^"]*\b(text|fold)\b')


@dataclass(frozen=True, slots=True)
class Links:
    """Where figures lead to: the explanations of ``rmetrics serve``.

    Attributes:
        base: its address without a slash at the end, empty for the server's own pages; None: nowhere.
    """

    base: str | None = None

    def to(self, path: str, **query: object) -> str | None:
        """The address of a page; parts of the query that are None are left out."""
        if self.base is None:
            return None
        asked = urlencode({name: value for name, value in query.items() if value is not None}, quote_via=quote)
        return f"{self.base}{quote(path)}" + (f"?{asked}" if asked else "")

    def figure(
        self, metric: str, source: str, month: dt.date, segment: str | None = None, day: dt.date | None = None
    ) -> str | None:
        """The address of a figure's explanation."""
        return self.to("/explain", source=source, month=f"{month:%Y-%m}", metric=metric, segment=segment, day=day)

    def member(self, metric: str, dimension: str, member: str | None, month: dt.date) -> str | None:
        """The address of the explanation of what a member has; without a member, of what all have."""
        return self.to("/explain", dimension=dimension, member=member, month=f"{month:%Y-%m}", metric=metric)

    def source(self, name: str, month: dt.date) -> str | None:
        """The address of a source's page; of its explanation where browsers would take its name for a step up."""
        if name in {".", ".."}:
            return self.to("/explain", source=name, month=f"{month:%Y-%m}")
        return self.to(f"/source/{name}", month=f"{month:%Y-%m}")

    def month(self, month: dt.date) -> str | None:
        """The address of a month's page."""
        return self.to(f"/month/{month:%Y-%m}")


NOWHERE = Links()


def linked(shown: str, href: str | None) -> str:
    """Escaped text, as a link where there is somewhere to go."""
    return escape(shown) if href is None else f'<a href="{escape(href)}">{escape(shown)}</a>'


def cell(shown: str, colour: str = "", value: Any = None, *, text: bool = False, href: str | None = None) -> str:
    """A cell of a table.

    Args:
        shown: what is read.
        colour: ``good``, ``bad``, ``warn`` or nothing.
        value: the exact value.
        text: whether it stands to the left.
        href: where it leads to.
    """
    names = " ".join(n for n in (colour, "text" if text else "") if n)
    style = f' class="{names}"' if names else ""
    exact = f' data-value="{escape(str(value))}"' if value is not None else ""
    return f"<td{style}{exact}>{linked(shown, None if shown == DASH else href)}</td>"


def count(value: int | Decimal | None, colour: str = "", *, href: str | None = None) -> str:
    """The cell of a whole number."""
    return cell(whole(value), colour, plain(value), href=href)


def money(
    value: Decimal | None, places: int = 0, colour: str = "", *, currency: str = "", href: str | None = None
) -> str:
    """The cell of an amount; see ``shown_amount``."""
    return cell(shown_amount(value, places, currency), colour, plain(value), href=href)


def percent(top: int | Decimal, bottom: int | Decimal, *, href: str | None = None) -> str:
    """The cell of a ratio; a dash where there is nothing to divide by."""
    value = Decimal(top) / bottom if bottom else None
    return cell(DASH if value is None else share(value), "", plain(value), href=href)


def attained(value: int | Decimal, target: Decimal | None, *, href: str | None = None) -> str:
    """The cell of how much of a target is reached."""
    reached = Decimal(value) / target if target else None
    colour = "" if reached is None else "good" if reached >= 1 else "warn" if reached >= Decimal("0.9") else "bad"
    return cell(DASH if reached is None else share(reached, 0), colour, plain(reached), href=href)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str, *, total_last: bool = False) -> str:
    """A table that scrolls by itself where it is wider than the page; a title stands as the cells below it do.

    The keyboard can scroll it, too.

    Args:
        head: the titles of its columns.
        rows: cells, as ``cell`` makes them.
        name: its id is ``table-NAME``; ``ON_PAPER`` may say how many of its rows are printed.
        total_last: whether the last row is a sum.
    """
    rows = list(rows)
    texts = {i for i, made in enumerate(rows[0]) if _TEXT.match(made)} if rows else set()
    most = ON_PAPER.get(name)
    kept = [f"<tr{SCREEN if most and i >= most else ''}>{''.join(row)}</tr>" for i, row in enumerate(rows)]
    if total_last and kept:
        kept[-1] = kept[-1].replace(f"<tr{SCREEN}>", "<tr>", 1).replace("<tr>", '<tr class="total">', 1)
    heads = "".join(
        f'<th scope="col" class="text">{escape(h)}</th>' if i in texts else f'<th scope="col">{escape(h)}</th>'
        for i, h in enumerate(head)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table id="table-{name}">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(kept)}</tbody></table></div>"
        f"{left_out(len(kept) - most if most else 0, 'row')}"
    )


def left_out(number: int, what: str) -> str:
    """How much of a long list is not printed; said on paper only."""
    return f'<p class="paper">{findings.count(number, f"more {what}")} in the page itself.</p>' if number > 0 else ""


def card(title: str, inside: str) -> str:
    """A box with a title."""
    return f'<div class="card wide"><h3>{escape(title)}</h3>{inside}</div>'


def tile(title: str, made: str, below: str, *, href: str | None = None) -> str:
    """One big number: a title, a cell, a line below it, which may lead somewhere of its own."""
    inside = made.removeprefix("<td").removesuffix("</td>")
    return f'<div class="tile"><span>{escape(title)}</span><b{inside}</b><span>{linked(below, href)}</span></div>'


def grid(figures: Iterable[str]) -> str:
    """Charts side by side."""
    return f'<div class="grid">{"".join(figures)}</div>'


# -- figures as text


def whole(value: int | Decimal | None) -> str:
    """A number without decimals."""
    return DASH if value is None else f"{Decimal(value).quantize(Decimal(1), ROUND_HALF_UP):,}"


def shown_amount(value: Decimal | None, places: int = 0, currency: str = "") -> str:
    """An amount with so many decimals, and with its currency where one is named."""
    if currency:
        return amounts.amount(value, currency, places)
    return DASH if value is None else f"{value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}"


def share(value: Decimal, places: int = 1) -> str:
    """A ratio as a percentage."""
    return f"{(value * 100).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)} %"


def plain(value: int | Decimal | None) -> str | None:
    """The exact value."""
    return None if value is None else format(value, "f") if isinstance(value, Decimal) else str(value)


def no_chart(title: str) -> str:
    """What stands in the place of a chart that has nothing to draw."""
    return f'<figure class="card"><h3>{escape(title)}</h3><p>Nothing to show in this month.</p></figure>'
