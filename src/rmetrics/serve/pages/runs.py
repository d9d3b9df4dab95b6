"""``/runs``: the log of runs; with ``?run=`` the figures that one run changed, and why."""

from html import escape

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.findings import count
from rmetrics.html_report import cells
from rmetrics.postgres.run_log import LoggedRun
from rmetrics.serve.frame import LINKS, Page, PageRequest, heading, notes_of
from rmetrics.serve.pages.changes import changes_table
from rmetrics.usecases.history import run_changes
from rmetrics.usecases.status import status

_MAX_RUNS, _MAX_CHANGES = 100, 500


def runs(asked: PageRequest) -> Page:
    """Renders the last runs, or one of them."""
    notes = notes_of(asked.view)
    try:
        run = asked.text("run")
        if run is not None:
            return _run(asked, run)
        found = status(asked.settings, runs=_MAX_RUNS)
    except PostgresError as error:
        body = heading("Runs") + "<p>They are stored in PostgreSQL, which is not available.</p>"
        return Page("Runs", body, "/runs", notes=(*notes, f"{error.message}. {error.hint}"))
    head = ("Run", "Finished (UTC)", "Status", "Files", "Rows read", "Rejected", "Error")
    table = cells.table(head, [_line(r) for r in found.runs], "runs") if found.runs else "<p>None yet.</p>"
    feeds = asked.view.lake.rules.feeds
    tables = []
    for name, rows in sorted(found.tables.items()):
        href = LINKS.to("/health", feed=name) if name in feeds else "/measures"
        tables.append([cells.cell(name, text=True, href=href), cells.count(rows, href=href)])
    body = (
        f"{heading('Runs')}<p>Published to {escape(found.server)}.</p>{cells.card('The last runs', table)}"
        f"{cells.card('Published tables', cells.table(('Table', 'Rows'), tables, 'tables')) if tables else ''}"
    )
    return Page("Runs", body, "/runs", notes=notes)


def _line(run: LoggedRun) -> list[str]:
    href = LINKS.to("/runs", run=run.run_id)
    at = run.finished_at or run.started_at
    return [
        cells.cell(run.run_id, text=True, href=href),
        cells.cell(f"{at:%Y-%m-%d %H:%M}" if at else cells.DASH),
        cells.cell(run.status, "good" if run.status == "ok" else "bad"),
        cells.count(run.files, href=href),
        cells.count(run.rows_read, href=LINKS.to("/health")),
        cells.count(run.rows_rejected, "warn" if run.rows_rejected else "", href=LINKS.to("/rejected")),
        f'<td class="fold">{escape(run.message or "")}</td>',
    ]


def _run(asked: PageRequest, run_id: str) -> Page:
    found = next((r for r in status(asked.settings, runs=10_000).runs if r.run_id == run_id), None)
    if found is None:
        raise SettingsError(f"unknown run: {run_id!r}", "See the last runs: /runs")
    changes = run_changes(asked.settings, run_id, limit=_MAX_CHANGES)
    monthly = [c for c in changes if c.date is None]
    table = changes_table(monthly) if monthly else "<p>It changed no published monthly figure.</p>"
    facts = ", ".join(
        part
        for part in (
            found.status,
            f"version {found.version}" if found.version else "",
            f"{found.finished_at:%Y-%m-%d %H:%M:%S} UTC" if found.finished_at else "",
            count(found.files, "file") if found.files is not None else "",
            f"{count(found.rows_read, 'row')} read" if found.rows_read is not None else "",
        )
        if part
    )
    failed = f'<p class="wrong">{escape(found.message)}</p>' if found.message else ""
    more = f" The first {_MAX_CHANGES} are shown." if len(changes) == _MAX_CHANGES else ""
    body = (
        f"{heading(f'Run {run_id}', ('Runs', '/runs'))}<p>{escape(facts)}.{more}</p>{failed}"
        f"{cells.card('Published figures that it changed', table)}"
    )
    return Page(f"Run {run_id}", body, "/runs", notes=notes_of(asked.view))
