"""``/funnel``: from call to repair."""

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.html_report import cells
from rmetrics.serve.call_funnel import STEPS, call_funnel
from rmetrics.serve.frame import LINKS, Asked, Page, choice, form, heading, notes_of

_HEAD = ("Source", "Calls", "Inbound", "Answered", "Missed", "With a job", "Jobs", "Units", "Repairs")


def funnel(asked: Asked) -> Page:
    """The calls of a month by source, as they are published.

    Raises:
        SettingsError: the month has no calls.
    """
    notes = notes_of(asked.view)
    try:
        found = call_funnel(asked.settings)
    except PostgresError as error:
        silent = "<p>It is read from PostgreSQL, which does not answer.</p>"
        notes = (*notes, f"{error.message}. {error.hint}")
        return Page("Funnel", heading("Funnel") + silent, "/funnel", notes=notes)
    if not found:
        return Page("Funnel", heading("Funnel") + "<p>No calls are published.</p>", "/funnel", notes=notes)
    months = sorted({line.month for line in found}, reverse=True)
    month = asked.month(asked.text("month")) or months[0]
    if month not in months:
        raise SettingsError(
            f"no calls in {month:%Y-%m}", f"There are some from {months[-1]:%Y-%m} to {months[0]:%Y-%m}."
        )
    rows = []
    for line in found:
        if line.month == month:
            why = LINKS.figure("calls", line.source, month)
            name = cells.cell(line.source, text=True, href=LINKS.source(line.source, month))
            rows.append([name, *(cells.count(line.steps[s], href=why) for s in STEPS)])
    options = {f"{m:%Y-%m}": f"{m:%B %Y}" for m in months}
    picked = form("/funnel", choice("month", "Month", options, f"{month:%Y-%m}"))
    about = (
        "<p>From call to repair. Calls are counted as calls, jobs as jobs: several calls can lead to one job, and a "
        "job that was called about through two sources counts in both.</p>"
    )
    table = cells.card(f"{month:%B %Y}", cells.table(_HEAD, rows, "funnel"))
    return Page("Funnel", f"{heading('Funnel')}{about}{picked}{table}", "/funnel", notes=notes)
