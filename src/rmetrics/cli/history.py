"""``rmetrics history``: changes of a month's published figures."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, From, OutputForm, Quiet, To, ToDate, months_of, reporter


def history(
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The month. Default: the newest with data.")
    ] = None,
    first: From = None,
    last: To = None,
    to_date: ToDate = False,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Only this measure, including those of journeys, such as booked.")
    ] = None,
    daily: Annotated[bool, typer.Option("--daily", help="Daily figures instead of monthly ones.")] = False,
    dimension: Annotated[str | None, typer.Option(help="The monthly figures of its members instead.")] = None,
    member: Annotated[str | None, typer.Option(help="Only this member of the dimension.")] = None,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Show how published numbers changed: when and why."""
    from rmetrics.output.history import show_history
    from rmetrics.settings import load_settings
    from rmetrics.usecases.history import history as run_history

    found = run_history(
        load_settings(),
        months_of(month, first, last, to_date=to_date),
        source=source,
        metric=metric,
        daily=daily,
        dimension=dimension,
        member=member,
    )
    show_history(reporter(as_json=as_json, quiet=quiet, form=form), found)
