"""``rmetrics calls``: callers to call back, and the outcomes of calls."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, day_of, reporter


def calls(
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only the calls of this day.")] = None,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Show the callers to call back now, and the outcomes of calls.

    Numbers appear on a terminal only, never in JSON or a file.
    """
    from rmetrics.output.calls import show_calls
    from rmetrics.settings import load_settings
    from rmetrics.usecases.calls import calls as find_calls

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    with report.progress() as progress:
        result = find_calls(load_settings(), day_of(day), progress)
    show_calls(report, result)
