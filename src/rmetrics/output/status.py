"""What is known of a project, for people and as JSON."""

from rmetrics.output.reporter import Report, names, number, table
from rmetrics.usecases.status import FeedStatus, StatusResult


def show_status(report: Report, result: StatusResult) -> None:
    """Feeds, tables and last runs."""
    if report.as_json:
        report.json(result, "feeds", names(FeedStatus))
        return
    report.line(result.server, "bold")
    if result.feeds:
        grid = table("Feeds", "feed", "exports", "rows", "last day", "newest export")
        for feed in result.feeds:
            at = f"{feed.last_export_at:%Y-%m-%d %H:%M}" if feed.last_export_at else "-"
            grid.add_row(feed.feed, number(feed.exports), number(feed.rows), str(feed.last_date or "-"), at)
        report.table(grid)
    if result.tables:
        tables = table("Published", "table", "rows")
        for name, rows in result.tables.items():
            tables.add_row(name, number(rows))
        report.table(tables)
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
    else:
        report.line("No run yet. Put exports into the inbox and run: rmetrics sync")
