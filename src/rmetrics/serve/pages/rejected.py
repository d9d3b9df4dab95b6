"""``/rejected``: rows that could not be read, with file, line and reason."""

from rmetrics.errors import SettingsError
from rmetrics.findings import count
from rmetrics.html_report import cells
from rmetrics.pipeline.landing.quarantine import quarantine
from rmetrics.rules.suggest import did_you_mean
from rmetrics.serve.frame import LINKS, Page, PageRequest, choice, form, heading, notes_of

_MAX_ROWS = 1_000


def rejected(asked: PageRequest) -> Page:
    """Lists the rows in quarantine; with their values only if rows may be shown, and never private ones."""
    view, feed = asked.view, asked.text("feed")
    feeds = view.lake.rules.feeds
    if feed is not None and feed not in feeds:
        raise SettingsError(f"unknown feed: {feed!r}{did_you_mean(feed, feeds)}", f"Feeds: {', '.join(feeds)}.")
    every = tuple(quarantine(view.lake.lake, view.lake.rules, view.lake.computed.placed))
    found = [r for r in every if feed in {None, r.feed}]
    rows = [
        [
            cells.cell(r.id, text=True),
            cells.cell(r.feed, text=True, href=LINKS.to("/health", feed=r.feed)),
            cells.cell(r.file, text=True),
            cells.cell(f"{r.line:,}"),
            cells.cell(r.column or "the whole row", text=True),
            *([cells.cell(r.value or "", text=True)] if asked.rows else []),
            f'<td class="fold">{cells.linked(r.reason, None)}</td>',
        ]
        for r in found[:_MAX_ROWS]
    ]
    head = ("Id", "Feed", "File", "Line", "Column", *(["Value"] if asked.rows else []), "Why")
    picked = form("/rejected", choice("feed", "Feed", {"": "All feeds", **{f: f for f in feeds}}, feed))
    message = f"{count(len(found), 'row')} in quarantine" if found else "No row is in quarantine"
    more = f" The first {_MAX_ROWS:,} are shown; for all, run: rmetrics rejected list" if len(found) > _MAX_ROWS else ""
    hint = "" if asked.rows else " To show the content of rows, run: rmetrics serve --rows"
    fix = " Correct the file or the rules of the feed; the next sync reads these rows again." if found else ""
    table = cells.card("Rejected rows", cells.table(head, rows, "rejected")) if rows else ""
    body = f"{heading('Rejected rows')}<p>{message}.{more}{fix}{hint}</p>{picked}{table}"
    return Page("Rejected rows", body, "/rejected", notes=notes_of(view))
