"""``rmetrics check``."""

from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, OutputForm, Quiet, reporter


def check(
    offline: Annotated[bool, typer.Option("--offline", help="Do not read the database.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Also exit with 3 on warnings.")] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Check the numbers, the database and the data; change nothing.

    Compares two engines with each other and with PostgreSQL, and looks for implausible data.
    """
    from rmetrics.output.check import show_check
    from rmetrics.settings import load_settings
    from rmetrics.usecases.check import check as run_check

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    with report.progress() as progress:
        result = run_check(load_settings(), offline=offline, progress=progress)
    show_check(report, result)
    if quiet and not report.as_json:
        for finding in result.findings:
            if finding.severity == "error":
                report.failure(f"{finding.code}: {finding.message}")
    warned = strict and any(f.severity == "warning" for f in result.findings)
    return DATA_FINDINGS if warned or not result.ok else 0
