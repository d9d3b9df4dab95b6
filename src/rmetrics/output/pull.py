"""The results of pulls as text and JSON."""

from rmetrics.findings import count
from rmetrics.output.reporter import Report, names
from rmetrics.usecases.pull import Pulled, PullResult


def show_pulled(report: Report, pulled: Pulled, *, failures: bool = True) -> None:
    """Shows one block per pull; failures go to stderr, each with its next step.

    Args:
        report: the report to write to.
        pulled: the result.
        failures: whether to report incomplete pulls; a sync reports them among its findings.
    """
    if report.as_json:
        document = {"pulls": pulled.pulls, "findings": pulled.findings, "seconds": pulled.seconds}
        report.json(document, "pulls", names(PullResult))
    elif not pulled.pulls:
        report.line("No pull is declared, so nothing was fetched. See docs/pulls.md and rules/examples/pull_*.toml.")
    for result in pulled.pulls:
        if failures or result.status != "incomplete":
            _show(report, result)
    new = [f for p in pulled.pulls for f in p.files if p.status == "complete"]
    if new and failures:
        report.line(f"{count(len(new), 'new file')} in the inbox. They count from the next sync: rmetrics sync", "bold")


def _show(report: Report, result: PullResult) -> None:
    match result.status:
        case "incomplete":
            report.failure(f"pull {result.name} is not complete: {result.message}", result.hint)
        case "dry-run":
            day = f", from {result.since:%Y-%m-%d} on" if result.since else ""
            report.line(
                f"{result.name} ({result.kind}, {result.feed}{day}): nothing was sent. The first request would be:",
                "bold",
            )
            report.script(f"  {result.request}\n".replace("\n", "\n  ").rstrip(" "))
        case "empty":
            report.line(f"{result.name}: nothing found{_since(result)}; {result.message}")
        case _:
            rows = "" if result.rows is None else f"{count(result.rows, 'row')}{_since(result)}; "
            unchanged = "the same as last time; " if result.status == "unchanged" else ""
            report.line(f"{result.name}: {rows}{unchanged}{result.message}")
            for file in result.files:
                report.line(f"  {file}", "dim")


def _since(result: PullResult) -> str:
    return f" since {result.since:%Y-%m-%d}" if result.since else ""
