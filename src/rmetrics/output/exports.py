"""Landed exports as text and JSON."""

from rmetrics.findings import count
from rmetrics.output.reporter import Report, names
from rmetrics.usecases.exports import Decision, LandedExport


def show_exports(report: Report, exports: tuple[LandedExport, ...]) -> None:
    """Shows one line per export, oldest first."""
    if report.as_json:
        report.json({"exports": exports}, "exports", names(LandedExport))
        return
    if not exports:
        report.line("No export has landed yet.")
        return
    width = max(len(e.name) for e in exports)
    for export in exports:
        state = "" if export.in_force else "  withdrawn" if export.withdrawn_at else "  fits no feed"
        report.line(
            f"{export.sha256[:12]}  {export.name:<{width}}  {export.feed}  {count(export.rows, 'row')}  "
            f"exported {export.exported_at:%Y-%m-%d %H:%M} UTC{state}",
            "dim" if state else "",
        )
    out = sum(1 for e in exports if not e.in_force)
    report.line(f"{count(len(exports), 'export')}, {out} not in force.", "bold")


def show_decision(report: Report, decision: Decision, *, withdrawn: bool) -> None:
    """Shows the decision and the next step."""
    if report.as_json:
        report.json({"export": decision.export, "changed": decision.changed})
        return
    what = "withdrawn" if withdrawn else "in force"
    already = "" if decision.changed else " already"
    report.line(f"{decision.export.name} ({decision.export.sha256[:12]}) is{already} {what}.")
    if decision.changed:
        report.line("To see the effect, run: rmetrics plan. The next sync applies it.")
