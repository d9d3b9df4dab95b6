"""``rmetrics journeys``: follows every lead to its revenue."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, From, OutputForm, Quiet, To, ToDate, months_of, reporter


def journeys(
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="Touches of this month. Default: all months.")
    ] = None,
    first: From = None,
    last: To = None,
    to_date: ToDate = False,
    source: Annotated[str | None, typer.Option(help="Only touches of this source.")] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="Compare windows of 0 to 90 days: jobs claimed, and how many the CRM confirms."
        ),
    ] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="List each touch with its job, or the reason it has none.")
    ] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Follow every lead to its jobs and the money."""
    from rmetrics.output.journeys import show_journeys
    from rmetrics.pipeline.asked import MonthRange
    from rmetrics.settings import load_settings
    from rmetrics.usecases.journeys import journeys as run_journeys

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    asked = months_of(month, first, last, to_date=to_date) if month or first or last or to_date else MonthRange()
    with report.progress() as progress:
        found = run_journeys(
            load_settings(), asked, source=source, sensitivity=sensitivity, rows=rows, progress=progress
        )
    show_journeys(report, found, rows=rows)
