"""Alerts as text and JSON."""

from rmetrics.findings import count
from rmetrics.output.brief import show_deliveries
from rmetrics.output.reporter import Report, names
from rmetrics.usecases.alerts import AlertsResult, RaisedAlert


def show_alerts(report: Report, result: AlertsResult) -> None:
    """Shows each raised alert with its cause and the command that explains it."""
    if report.as_json:
        report.json(result, "alerts", names(RaisedAlert))
    elif not result.evaluated:
        report.line("Nothing is published yet, so no alert can be evaluated. Run: rmetrics sync")
    else:
        for alert in result.alerts:
            of = f": {alert.of}" if alert.of else ""
            report.line(f"{alert.title}{of}", "bold red")
            report.line(f"    {alert.cause}")
            report.line(f"    {alert.command}", "dim")
        declared = count(result.declared, "declared alert")
        message = count(len(result.alerts), "row") + " raised an alert" if result.alerts else "No alert is raised"
        report.line(f"{message}; {declared}.")
    show_deliveries(report, result.sent)
