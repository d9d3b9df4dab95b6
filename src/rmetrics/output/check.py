"""The results of checks as text and JSON."""

from rmetrics.findings import count
from rmetrics.output.reporter import STYLES, Report, names, plain
from rmetrics.pipeline.verify.quality import CheckFinding
from rmetrics.usecases.check import CheckResult

_KINDS = {"engines": "Two engines", "published": "PostgreSQL", "lake": "Lake", "data": "Data"}


def show_check(report: Report, result: CheckResult) -> None:
    """Shows the comparisons, then one block per finding, most severe first."""
    if report.as_json:
        report.json({
            "ok": result.ok, "cross_check": result.engines, "published": result.published, "run_id": result.run_id,
            "findings": result.findings,
        }, "findings", names(CheckFinding))  # fmt: skip
        return
    if report.quiet:
        return
    _compared(report, result)
    for finding in result.findings:
        _finding(report, finding)
    errors = [f for f in result.findings if f.severity == "error"]
    warnings = [f for f in result.findings if f.severity == "warning"]
    report.line(f"{count(len(errors), 'error')}, {count(len(warnings), 'warning')}.", "bold red" if errors else "bold")


def _compared(report: Report, result: CheckResult) -> None:
    if result.engines is not None:
        agree = "every figure agrees" if not result.engines else f"{count(result.engines, 'figure')} differ"
        report.line(f"Two engines: {agree}.", "bold red" if result.engines else "green")
    if result.published is not None:
        wrong = {n: c for n, c in result.published.items() if c}
        tables = ", ".join(f"{n} {c:,}" for n, c in wrong.items())
        agree = (
            f"rows differ in {tables}"
            if wrong
            else f"{count(len(result.published), 'table')} match the computed figures"
        )
        report.line(f"PostgreSQL (run {result.run_id}): {agree}.", "bold red" if wrong else "green")


def _finding(report: Report, finding: CheckFinding) -> None:
    many = f" ({finding.rows:,})" if finding.rows > 1 else ""
    label = (f"{finding.severity}: ", STYLES[finding.severity])
    report.parts(label, (f"{finding.code}{many}: {finding.message}", ""))
    for example in finding.examples:
        report.line("    " + ", ".join(f"{k} {_text(v)}" for k, v in example.items()), "dim")
    if finding.rows > len(finding.examples) > 0:
        report.line(f"    and {finding.rows - len(finding.examples):,} more", "dim")
    if finding.advice:
        report.line(f"    {finding.advice}")


def _text(value: object) -> str:
    return "-" if value is None else str(plain(value))
