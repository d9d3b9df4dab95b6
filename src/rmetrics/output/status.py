"""The status of a project as text and JSON."""

import datetime as dt
from collections.abc import Sequence

from rmetrics.output.reporter import Report, names, number, table
from rmetrics.postgres.publish.group import PublishedCompany
from rmetrics.usecases.status import FeedStatus, StatusResult


def show_status(report: Report, result: StatusResult) -> None:
    """Shows feeds, tables, last runs, pulls and the daily run."""
    if report.as_json:
        report.json(result, "feeds", names(FeedStatus))
        return
    report.line(result.server, "bold")
    _show_companies(report, result.companies)
    if result.feeds:
        grid = table("Feeds", "feed", "exports", "rows", "last day", "newest export")
        for feed in result.feeds:
            numbers = (number(feed.exports), number(feed.rows))
            grid.add_row(feed.feed, *numbers, str(feed.last_date or "-"), _moment(feed.last_export_at))
        report.table(grid)
    if result.tables:
        tables = table("Published", "table", "rows")
        for name, rows in result.tables.items():
            tables.add_row(name, number(rows))
        report.table(tables)
    _show_runs(report, result)
    _show_pulls(report, result)


def _show_companies(report: Report, companies: Sequence[PublishedCompany]) -> None:
    if not companies:
        return
    headers = ("company", "title", "currency", "time zone", "exports", "days", "months", "published (UTC)")
    grid = table("Companies", *headers)
    for of in companies:
        numbers = (number(of.exports or 0), number(of.days), number(of.months))
        grid.add_row(of.company, of.title, of.currency, of.timezone, *numbers, _moment(of.published_at))
    report.table(grid)
    for of in companies:
        if of.message:
            report.line(f"{of.company} failed: {of.message}", "bold red")


def _show_runs(report: Report, result: StatusResult) -> None:
    if result.runs:
        runs = table("Last runs", "run", "finished (UTC)", "status", "exports", "rows read", "rejected")
        for run in result.runs:
            at = f"{run.finished_at:%Y-%m-%d %H:%M:%S}" if run.finished_at else "-"
            runs.add_row(
                run.run_id, at, run.status, number(run.files), number(run.rows_read), number(run.rows_rejected)
            )
        report.table(runs)
        if result.runs[0].status == "failed":
            report.line(f"The last run failed: {result.runs[0].message}", "bold red")
    elif not result.companies:
        report.line("No run yet. Put exports into the inbox and run: rmetrics sync")


def _show_pulls(report: Report, result: StatusResult) -> None:
    if result.pulls:
        grid = table("Pulls", "pull", "last tried (UTC)", "last complete (UTC)")
        for pull in result.pulls:
            grid.add_row(pull.name, _moment(pull.tried_at), _moment(pull.complete_at))
        report.table(grid)
        for pull in result.pulls:
            if pull.trouble:
                report.line(f"Pull {pull.name}: {pull.trouble}. Next: rmetrics pull {pull.name}", "bold red")
    if result.schedule is not None:
        last = f", last {result.schedule.ran_at:%Y-%m-%d %H:%M} UTC" if result.schedule.ran_at else ", not run yet"
        report.line(f"Daily run at {result.schedule.at} by {result.schedule.kind}{last}.")
        if result.schedule.trouble:
            report.line(f"Problem: {result.schedule.trouble}. See: rmetrics schedule show", "bold red")


def _moment(at: dt.datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"
