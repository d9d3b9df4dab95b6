"""What all pages share: the document around them, what was asked, and what they are made with."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from rmetrics.errors import RmetricsError, SettingsError
from rmetrics.html_report.cells import Links, linked
from rmetrics.periods import parse_month
from rmetrics.pipeline.asked import month_named
from rmetrics.serve.view import View
from rmetrics.settings import Settings
from rmetrics.version import __version__

LINKS = Links("")
MENU = (
    ("/", "Overview"),
    ("/funnel", "Funnel"),
    ("/measures", "Measures"),
    ("/plan", "What if"),
    ("/rules", "Rules"),
    ("/health", "Data health"),
    ("/rejected", "Rejected rows"),
    ("/runs", "Runs"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a page.

    Attributes:
        view: the version of the project to show.
        rows: whether rows of exports may be shown.
        query: the parts of the address after the question mark.
        path: names in the path.
        charts: charts that were drawn already, by what they show.
    """

    settings: Settings
    view: View
    rows: bool
    query: Mapping[str, str]
    path: Mapping[str, str]
    charts: dict[object, str]

    def text(self, name: str) -> str | None:
        """A part of the query; None where it is blank or missing."""
        return self.query.get(name, "").strip() or None

    def month(self, text: str | None) -> dt.date | None:
        """A month that has data; None where none is named.

        Raises:
            SettingsError: it is no month, or has no data.
        """
        if text is None:
            return None
        month = parse_month(text)
        if month is None:
            raise SettingsError(f"not a month: {text!r}", "Write it YYYY-MM, for instance 2024-11.")
        return month_named(month, {line.month for line in self.view.page().lines})

    @property
    def months(self) -> list[dt.date]:
        """All months with data, newest first."""
        return sorted({line.month for line in self.view.page().lines}, reverse=True)


@dataclass(frozen=True, slots=True)
class Page:
    """A page's own part.

    Attributes:
        body: HTML.
        menu: the entry of the menu it belongs to.
        notes: what to know of all figures on it.
    """

    title: str
    body: str
    menu: str = "/"
    status: int = 200
    notes: tuple[str, ...] = field(default=())


def document(page: Page, mark: str) -> str:
    """The whole document.

    Args:
        page: its own part.
        mark: of the version shown; the page looks for a newer one by itself.
    """
    menu = "".join(
        f'<a href="{path}"{" aria-current=page" if path == page.menu else ""}>{escape(name)}</a>' for path, name in MENU
    )
    notes = "".join(f'<p class="note">{escape(n)}</p>' for n in page.notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/static/style.css">
<link rel="stylesheet" href="/static/serve.css">
<script src="/static/live.js" defer></script>
<title>{escape(page.title)} · rmetrics</title>
</head>
<body data-mark="{escape(mark)}">
<a class="skip" href="#content">Skip to the figures</a>
<header><nav aria-label="Pages">{menu}</nav></header>
<div id="news" role="status" aria-live="polite"></div>
<main id="content" tabindex="-1">{notes}{page.body}</main>
<footer>rmetrics {escape(__version__)}, on this machine only. Every figure leads to its rule, its rows and its proof.
Nothing can be changed here.</footer>
</body>
</html>
"""


def error_page(error: RmetricsError) -> Page:
    """What is wrong, and what to do about it."""
    status = 404 if isinstance(error, SettingsError) else 503
    lines = "".join(f"<p class=wrong>{escape(line)}</p>" for line in error.message.splitlines())
    body = f"<h1>{'Not found' if status == 404 else 'Nothing to show yet'}</h1>{lines}<p>{escape(error.hint)}</p>"
    return Page("Not found" if status == 404 else "Nothing to show", body, "", status)


def notes_of(view: View) -> tuple[str, ...]:
    """What to know of every figure of a view."""
    waiting = len(view.waiting)
    them = "export is" if waiting == 1 else "exports are"
    landed = f"{waiting} landed {them} not in these figures yet: run rmetrics sync."
    return (*(p.message for p in view.lake.problems), *((landed,) if waiting else ()))


def heading(title: str, *trail: tuple[str, str | None]) -> str:
    """The title of a page, with the way to it."""
    way = " / ".join(linked(name, href) for name, href in trail)
    return (f'<p class="trail">{way}</p>' if trail else "") + f"<h1>{escape(title)}</h1>"


def place(where: str) -> str:
    """``file:line`` of a rule, as a link to the line."""
    path, _, line = where.rpartition(":")
    if not line.isdigit():
        return f"<code>{escape(where)}</code>"
    name = path.replace("\\", "/").rpartition("/")[2]
    href = f"{LINKS.to('/rules', file=name)}#L{line}"
    return f'<a class="place" href="{escape(href)}"><code>{escape(where)}</code></a>'


def choice(name: str, label: str, options: Mapping[str, str], chosen: str | None) -> str:
    """A list to choose from, in a form."""
    made = "".join(
        f'<option value="{escape(value)}"{" selected" if value == (chosen or "") else ""}>{escape(shown)}</option>'
        for value, shown in options.items()
    )
    return f'<label>{escape(label)} <select name="{escape(name)}">{made}</select></label>'


def form(action: str, inside: str, button: str = "Show") -> str:
    """A form that asks by address, so that its answer can be kept as a link."""
    return f'<form method="get" action="{escape(action)}">{inside}<button>{escape(button)}</button></form>'
