"""``rmetrics sync``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, OutputForm, Quiet, reporter
from rmetrics.errors import RmetricsError, RulesError

if TYPE_CHECKING:
    from rmetrics.findings import Finding
    from rmetrics.output.reporter import Report
    from rmetrics.settings import Settings


def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute and check only; write nothing.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Recompute and compare everything.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Also exit with 3 if rows were rejected.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Continue without exports that had landed or been published and are now missing."),
    ] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Fetch the declared exports first.")] = False,
    months: Annotated[int, typer.Option(help="The number of recent months to show by source.", min=0)] = 2,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Read new exports, check the numbers and publish them."""
    from rmetrics.opening import sync_places
    from rmetrics.output.sync import show_sync
    from rmetrics.pipeline.unchanged import nothing_to_do
    from rmetrics.settings import load_settings

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    settings = load_settings()
    try:
        found = _pulled(report, settings, dry_run=dry_run) if pull else ()
        result = None if full or dry_run or force else nothing_to_do(sync_places(settings))
        if result is None:
            from rmetrics.usecases.sync import sync as run_sync  # imports both engines

            with report.progress() as progress:
                result = run_sync(settings, full=full, dry_run=dry_run, force=force, progress=progress, before=found)
        elif found:
            result = replace(result, findings=(*found, *result.findings))
    except RulesError:  # without rules there are neither figures nor channels
        raise
    except RmetricsError:  # alerts may report failed runs
        _evaluate_alerts(report, settings, dry_run=dry_run)
        raise
    alert_findings = _evaluate_alerts(report, settings, dry_run=dry_run)
    result = replace(result, findings=(*result.findings, *alert_findings))
    show_sync(report, result, months=months)
    errors = any(f.severity == "error" for f in result.findings)
    if errors and quiet:
        for finding in result.findings:
            if finding.severity == "error":
                report.failure(finding.message)
    rejected = strict and any(f.rejected for f in result.files)
    return DATA_FINDINGS if errors or rejected else 0


def _pulled(report: "Report", settings: "Settings", *, dry_run: bool) -> "tuple[Finding, ...]":
    """Pulls before a sync, which continues with the available exports; returns findings on failed pulls."""
    from rmetrics.output.pull import show_pulled
    from rmetrics.usecases.pull import pull

    with report.progress() as progress:
        pulled = pull(settings, dry_run=dry_run, progress=progress)
    if not report.as_json:
        show_pulled(report, pulled, failures=False)
    return pulled.findings


def _evaluate_alerts(report: "Report", settings: "Settings", *, dry_run: bool) -> "tuple[Finding, ...]":
    """Evaluates alerts; a message that could not be sent is reported on stderr and stops nothing."""
    from rmetrics.notify.declared import may_have_channels

    if dry_run or not may_have_channels(settings.rules_dir):
        return ()
    from rmetrics.usecases.alerts import alerts_after_sync

    findings = alerts_after_sync(settings)
    for finding in findings:
        report.message(f"warning: {finding.message}")
    return findings
