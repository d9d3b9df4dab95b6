"""``rmetrics plan``: the changes that edited rules and new exports would make."""

from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, OutputForm, Quiet, month_of, reporter


def plan(
    month: Annotated[str | None, typer.Option(help="Only this month, YYYY-MM.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Show every row that would count differently.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 3 if anything would change.")] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Show what edited rules and new exports would change.

    Lists changes of figures and rows with their causes. Nothing is written.
    """
    from rmetrics.output.plan import show_plan
    from rmetrics.settings import load_settings
    from rmetrics.usecases.plan import plan as run_plan

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    wanted = month_of(month)
    with report.progress() as progress:
        found = run_plan(load_settings(), month=wanted, source=source, progress=progress)
    show_plan(report, found, rows=rows)
    return DATA_FINDINGS if exit_code and found.any else 0
