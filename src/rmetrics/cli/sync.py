"""``rmetrics sync`` and ``rmetrics status``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, Form, Quiet, reporter
from rmetrics.errors import RmetricsError, RulesError

if TYPE_CHECKING:
    from rmetrics.report.base import Report
    from rmetrics.results import Finding
    from rmetrics.settings import Settings


def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute and check, but write nothing.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Make and compare everything again.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when rows were rejected, too.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on without exports that were published or had landed, and are gone.")
    ] = False,
    months: Annotated[int, typer.Option(help="How many of the last months to show by source.", min=0)] = 2,
    as_json: AsJson = False,
    form: AsForm = Form.TABLE,
    quiet: Quiet = False,
) -> int:
    """Read new exports, check the numbers and publish them."""
    from rmetrics.pipeline.unchanged import nothing_to_do
    from rmetrics.report.sync import show_sync
    from rmetrics.settings import load_settings

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    settings = load_settings()
    result = None if full or dry_run or force else nothing_to_do(settings)
    try:
        if result is None:
            from rmetrics.pipeline.sync import sync as run_sync  # loads both engines

            with report.progress() as progress:
                result = run_sync(settings, full=full, dry_run=dry_run, force=force, progress=progress)
    except RulesError:  # neither figures nor channels can be told
        raise
    except RmetricsError:  # that a run failed is one of the things alerts tell
        _tell_alerts(report, settings, dry_run=dry_run)
        raise
    told = _tell_alerts(report, settings, dry_run=dry_run)
    result = replace(result, findings=(*result.findings, *told))
    show_sync(report, result, months=months)
    errors = any(f.severity == "error" for f in result.findings)
    if errors and quiet:
        for finding in result.findings:
            if finding.severity == "error":
                report.failure(finding.message)
    rejected = strict and any(f.rejected for f in result.files)
    return DATA_FINDINGS if errors or rejected else 0


def _tell_alerts(report: "Report", settings: "Settings", *, dry_run: bool) -> "tuple[Finding, ...]":
    """Evaluates alerts; a message that did not go out is told on stderr and stops nothing."""
    from rmetrics.pipeline.told import may_have_channels

    if dry_run or not may_have_channels(settings):
        return ()
    from rmetrics.usecases.alerts import alerts_after_sync

    told = alerts_after_sync(settings)
    for finding in told:
        report.message(f"warning: {finding.message}")
    return told


def status(as_json: AsJson = False, form: AsForm = Form.TABLE, quiet: Quiet = False) -> None:
    """Show the last runs, feeds and published tables."""
    from rmetrics.pipeline.status import status as run_status
    from rmetrics.report.status import show_status
    from rmetrics.settings import load_settings

    show_status(reporter(as_json=as_json, quiet=quiet, form=form), run_status(load_settings()))
