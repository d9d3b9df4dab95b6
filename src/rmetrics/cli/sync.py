"""``rmetrics sync`` and ``rmetrics status``."""

from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, Form, Quiet, reporter


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
    if result is None:
        from rmetrics.pipeline.sync import sync as run_sync  # loads both engines

        with report.progress() as progress:
            result = run_sync(settings, full=full, dry_run=dry_run, force=force, progress=progress)
    show_sync(report, result, months=months)
    errors = any(f.severity == "error" for f in result.findings)
    if errors and quiet:
        for finding in result.findings:
            if finding.severity == "error":
                report.failure(finding.message)
    rejected = strict and any(f.rejected for f in result.files)
    return DATA_FINDINGS if errors or rejected else 0


def status(as_json: AsJson = False, form: AsForm = Form.TABLE, quiet: Quiet = False) -> None:
    """Show the last runs, feeds and published tables."""
    from rmetrics.pipeline.status import status as run_status
    from rmetrics.report.status import show_status
    from rmetrics.settings import load_settings

    show_status(reporter(as_json=as_json, quiet=quiet, form=form), run_status(load_settings()))
