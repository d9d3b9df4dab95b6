"""The diagnosis of an installation as text and JSON."""

from rmetrics.diagnosis.finding import DoctorResult
from rmetrics.findings import count
from rmetrics.output.reporter import STYLES, Report

_MARKS = {
    None: ("ok", "green"),
    "info": ("note", STYLES["info"]),
    "warning": ("warning", STYLES["warning"]),
    "error": ("error", STYLES["error"]),
}


def show_doctor(report: Report, result: DoctorResult) -> None:
    """Shows a line per check, followed by its advice."""
    if report.as_json:
        report.json({"ok": result.ok, "checks": result.checks, "damaged": result.damaged}, "checks")
        return
    for check in result.checks:
        word, style = _MARKS[check.severity]
        if report.quiet:
            if check.severity == "error":
                report.failure(f"{check.name}: {check.message}")
            continue
        report.parts((f"{word:<8}", style), (f"{check.name:<16}{check.message}", ""))
        if check.advice:
            report.line(f"{'':<24}{check.advice}")
    errors = [c for c in result.checks if c.severity == "error"]
    warnings = [c for c in result.checks if c.severity == "warning"]
    message = (
        f"{count(len(errors), 'error')}, {count(len(warnings), 'warning')}."
        if errors or warnings
        else "No problems found."
    )
    report.line(message, "bold red" if errors else "bold")
