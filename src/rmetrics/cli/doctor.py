"""``rmetrics doctor``."""

from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, OutputForm, Quiet, reporter


def doctor(
    verify: Annotated[
        bool, typer.Option("--verify", help="Also read and hash every file of the lake and the inbox.")
    ] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Examine this installation; change nothing."""
    from rmetrics.output.doctor import show_doctor
    from rmetrics.settings import load_settings
    from rmetrics.usecases.doctor import doctor as run_doctor

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    settings = load_settings()
    with report.progress() as progress:
        result = run_doctor(settings, verify=verify, progress=progress)
    show_doctor(report, result)
    return 0 if result.ok else DATA_FINDINGS
