"""The history of a month as text and JSON."""

from itertools import groupby

from rmetrics.findings import count
from rmetrics.output.plan import figure
from rmetrics.output.reporter import Report, names, plain, table
from rmetrics.usecases.history import History, Recorded


def show_history(report: Report, history: History) -> None:
    """Shows the changed figures and their causes by run, oldest first."""
    if report.as_json:
        document = plain(history)
        del document["kinds"]  # how figures are shown as text
        report.json(document, "changes", names(Recorded))
        return
    several = history.last != history.month
    month = f"{history.month:%B %Y}" + (f" to {history.last:%B %Y}" if several else "")
    first = f"{history.month:%B %Y}"
    if history.first_run and history.first_at:
        report.line(f"{first} was first published by run {history.first_run} at {history.first_at:%Y-%m-%d %H:%M} UTC.")
    if not history.changes:
        days = f"; {count(history.days, 'daily figure')} did: see --daily" if history.days else ""
        whose = f" of {history.dimension}" if history.dimension else ""
        report.line(f"No published figure{whose} of {month} has changed since then{days}.")
        _of_members(report, history)
        return
    for run_id, group in groupby(history.changes, key=lambda c: c.run_id):
        changes = list(group)
        causes = list(dict.fromkeys(c.cause or "unknown" for c in changes))
        grid = table(
            f"{changes[0].at:%Y-%m-%d %H:%M} UTC, run {run_id}",
            *(["day"] if changes[0].date else ["month"] if several else []),
            *([history.dimension] if history.dimension else ["source", "segment"]),
            "measure",
            "before",
            "after",
            "why",
        )
        for change in changes:
            grid.add_row(
                *([str(change.date)] if change.date else [f"{change.month:%Y-%m}"] if several else []),
                *([_member(change)] if history.dimension else [change.source, change.segment]),
                change.metric,
                "-" if change.before is None else figure(history.kinds.get(change.metric), change.before),
                "-" if change.after is None else figure(history.kinds.get(change.metric), change.after),
                f"[{causes.index(change.cause or 'unknown') + 1}]",
            )
        report.table(grid)
        for i, cause in enumerate(causes, 1):
            report.line(f"[{i}] {cause}", "dim")
    if not changes[0].date and history.days and not history.dimension:
        report.line(f"{count(history.days, 'daily figure')} also changed: see --daily.", "dim")
    _of_members(report, history)


def _member(change: Recorded) -> str:
    return change.member or f"({count(change.members or 0, 'member')} together)"


def _of_members(report: Report, history: History) -> None:
    """Says how many figures of members changed, where these are not shown."""
    for dimension, figures in history.members.items() if not history.dimension else ():
        report.line(f"{count(figures, 'figure')} of members also changed: see --dimension {dimension}.", "dim")
