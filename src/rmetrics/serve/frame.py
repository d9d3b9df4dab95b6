"""The parts that all pages share: the request, the HTML document around a page, links and forms."""

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
class PageRequest:
    """A request for a page.

    Attributes:
        view: the version of the project to show.
        rows: whether rows of exports may be shown.
        query: the query parameters.
        path: the path parameters.
        charts: cache of rendered charts; see ``drawing`` for the key.
    """

    settings: Settings
    view: View
    rows: bool
    query: Mapping[str, str]
    path: Mapping[str, str]
    charts: dict[object, str]

    def text(self, name: str) -> str | None:
        """Returns a query parameter; None if it is blank or missing."""
        return self.query.get(name, "").strip() or None

    def month(self, text: str | None) -> dt.date | None:
        """Parses a month that has data; None for None.

        Raises:
            SettingsError: the text is not a month, or the month has no data.
        """
        if text is None:
            return None
        month = parse_month(text)
        if month is None:
            raise SettingsError(f"not a month: {text!r}", "Use the form YYYY-MM, for instance 2024-11.")
        return month_named(month, {line.month for line in self.view.page().lines})

    @property
    def months(self) -> list[dt.date]:
        """All months with data, newest first."""
        return sorted({line.month for line in self.view.page().lines}, reverse=True)


@dataclass(frozen=True, slots=True)
class Page:
    """The content of one page.

    Attributes:
        body: HTML.
        menu: path of the menu entry to highlight.
        notes: remarks that apply to every figure on the page.
    """

    title: str
    body: str
    menu: str = "/"
    status: int = 200
    notes: tuple[str, ...] = field(default=())


def document(page: Page, mark: str) -> str:
    """Renders the whole HTML document.

    Args:
        page: its content.
        mark: the mark of the version shown; a script on the page polls for a newer one.
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
These pages are read-only.</footer>
</body>
</html>
"""


def error_page(error: RmetricsError) -> Page:
    """Renders an error: what went wrong and how to fix it."""
    status = 404 if isinstance(error, SettingsError) else 503
    lines = "".join(f"<p class=wrong>{escape(line)}</p>" for line in error.message.splitlines())
    body = f"<h1>{'Not found' if status == 404 else 'Nothing to show yet'}</h1>{lines}<p>{escape(error.hint)}</p>"
    return Page("Not found" if status == 404 else "Nothing to show", body, "", status)


def notes_of(view: View) -> tuple[str, ...]:
    """Returns remarks that apply to every figure of a view."""
    waiting = len(view.waiting)
    them = "export is" if waiting == 1 else "exports are"
    landed = f"{waiting} landed {them} not in these figures yet; run: rmetrics sync"
    return (*(p.message for p in view.lake.problems), *((landed,) if waiting else ()))


def heading(title: str, *trail: tuple[str, str | None]) -> str:
    """Renders a page's title with its breadcrumb trail."""
    way = " / ".join(linked(name, href) for name, href in trail)
    return (f'<p class="trail">{way}</p>' if trail else "") + f"<h1>{escape(title)}</h1>"


def place(where: str) -> str:
    """Renders a rule's ``file:line`` as a link to that line."""
    path, _, line = where.rpartition(":")
    if not line.isdigit():
        return f"<code>{escape(where)}</code>"
    name = path.replace("\\", "/").rpartition("/")[2]
    href = f"{LINKS.to('/rules', file=name)}#L{line}"
    return f'<a class="place" href="{escape(href)}"><code>{escape(where)}</code></a>'


def choice(name: str, label: str, options: Mapping[str, str], chosen: str | None) -> str:
    """Renders a labelled drop-down list for a form."""
    made = "".join(
        f'<option value="{escape(value)}"{" selected" if value == (chosen or "") else ""}>{escape(shown)}</option>'
        for value, shown in options.items()
    )
    return f'<label>{escape(label)} <select name="{escape(name)}">{made}</select></label>'


def form(action: str, inside: str, button: str = "Show") -> str:
    """Renders a GET form, so that the result has an address of its own to bookmark."""
    return f'<form method="get" action="{escape(action)}">{inside}<button>{escape(button)}</button></form>'
